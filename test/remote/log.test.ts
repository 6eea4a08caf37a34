// The log of an asset through the service: what captures into it, and what an agent that means harm cannot do to it.

import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { LogWriter, SHIP_POLICY } from '../../src/engine/log-writer.ts';
import { EMPTY_LOG_CATALOGUE, encodeLogCatalogue } from '../../src/format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../../src/format/log-object.ts';
import { LOG_PATHS, LogPutAnswer, LogSwapAnswer } from '../../src/protocol/log-messages.ts';
import { OutcomeAnswer } from '../../src/protocol/session-messages.ts';
import { RemoteLog } from '../../src/remote/remote-log.ts';
import { hex } from '../../src/repository/layout.ts';
import { registerCodec } from '../../src/repository/register-codec.ts';
import { TestService } from '../support/data-path.ts';
import { scratchDirectory } from '../support/scratch.ts';

async function begun() {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service') });
  onTestFinished(() => service.stop());
  const agent = await service.agent();
  const asset = await agent.asset(directory);
  const run = await agent.claim(asset, 'capture');
  const { client, store, close } = agent.client({ retry: { totalMs: 0 } });
  onTestFinished(close);
  const { signal } = new AbortController();
  const log = await RemoteLog.open({ client, store, runId: run.id, fence: run.fence, signal });
  const assetId = log.keyring.assetId(asset.name);
  const writer = (from = 0): LogWriter =>
    new LogWriter({
      repository: log,
      catalogue: new LogCatalogueKeeper(log, assetId),
      assetId,
      incarnation: '00000000000000aa',
      timeline: 1,
      from,
      host: 'test',
      now: () => new Date(),
      policy: SHIP_POLICY,
      known: [],
      signal,
      onTrouble: (error) => {
        throw error;
      },
      onDurable: () => {},
    });
  return { service, agent, asset, run, client, store, log, assetId, writer, signal };
}

it('what was captured through the service is read from the repository, byte for byte, and not by who wrote it', async () => {
  const { service, writer, asset, log, assetId } = await begun();
  const captured = writer();
  const bytes = randomBytes(LOG_SECTION_BYTES + 300_000);
  for (let at = 0; at < bytes.length; ) {
    await captured.ready();
    const piece = bytes.subarray(at, at + Math.min(captured.room, bytes.length - at));
    captured.append(piece, [], at + piece.length);
    at += piece.length;
  }
  await captured.flush();
  expect(captured.durable).toBe(bytes.length);
  await service.tenants.use(service.tenant.id, async (repository) => {
    const view = await LogView.open(repository, repository.keyring.assetId(asset.name));
    const read = new Uint8Array(bytes.length);
    await view!.read(1, 0, read);
    expect(Buffer.compare(read, bytes)).toBe(0);
  });
  const own = await LogView.open(log, assetId);
  expect(own!.stretches).toEqual([{ timeline: 1, from: 0, to: bytes.length }]);
  await expect(own!.read(1, 0, new Uint8Array(10))).rejects.toMatchObject({ code: 'RUN_FENCED' });
});

it('a capture that begins after somebody rotated the keys seals to the new pair', async () => {
  const { service, agent, run, log, signal } = await begun();
  const [before] = await service.rotateKeys();
  const { client, store, close } = agent.client({ retry: { attemptsMax: 5 } });
  onTestFinished(close);
  const again = await RemoteLog.open({ client, store, runId: run.id, fence: run.fence, signal });
  expect(log.keyring.payload).toMatchObject({ sealTo: { id: before } });
  expect(again.keyring.payload).not.toMatchObject({ sealTo: { id: before } });
});

it('an epoch that a capture begins after somebody rotated the keys beside it is sealed to the new pair, and can be read', async () => {
  const { service, agent, run, asset, assetId, signal } = await begun();
  const { client, store, close } = agent.client({ retry: { attemptsMax: 5 } });
  onTestFinished(close);
  const log = await RemoteLog.open({ client, store, runId: run.id, fence: run.fence, signal });
  const [before] = await service.rotateKeys();
  const captured = new LogWriter({
    repository: log,
    catalogue: new LogCatalogueKeeper(log, assetId),
    assetId,
    incarnation: '00000000000000aa',
    timeline: 1,
    from: 0,
    host: 'test',
    now: () => new Date(),
    policy: SHIP_POLICY,
    known: [],
    signal,
    onTrouble: () => {},
    onDurable: () => {},
  });
  const bytes = randomBytes(100_000);
  captured.append(bytes, [], bytes.length);
  await captured.flush();
  await service.beside(async (repository) => {
    const [newest] = repository.keyring.pairIds;
    expect(newest).not.toBe(before);
    const keys: string[] = [];
    for await (const page of repository.store.list('session-keys/')) keys.push(...page.map(({ key }) => key));
    expect(keys).toEqual([`session-keys/${newest}/${captured.epoch.epoch}`]);
    const view = await LogView.open(repository, repository.keyring.assetId(asset.name));
    const read = new Uint8Array(bytes.length);
    await view!.read(1, 0, read);
    expect(Buffer.compare(read, bytes)).toBe(0);
  });
});

it('nothing of a log can be taken away: not from its catalogue, and no range whose section is not stored', async () => {
  const { writer, client, run, log, assetId } = await begun();
  const captured = writer();
  captured.append(randomBytes(50_000), [], 50_000);
  await captured.flush();
  const register = `logs/${hex(assetId)}`;
  const value = await log.store.read(register);
  const empty = registerCodec(log.keyring, randomBytes).encode(
    register,
    encodeLogCatalogue(EMPTY_LOG_CATALOGUE, hex(randomBytes(16))),
  );
  const swap = { bytes: Buffer.from(empty).toString('base64'), version: value!.version };
  const path = LOG_PATHS.of(run.id, run.fence, 'swap');
  await expect(client.say(path, swap, LogSwapAnswer)).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  const prefix = `log/${hex(assetId)}/00000000000000aa/${captured.epoch.epoch}/00000001/`;
  const keys: string[] = [];
  for await (const page of log.store.list(prefix)) keys.push(...page.map(({ key }) => key));
  expect(keys).toHaveLength(1);
  await expect(log.store.delete(keys[0]!)).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  expect(await log.store.size(keys[0]!)).toBeGreaterThan(50_000);
});

it('a run touches the log of its own asset only, and an object only once, with the bytes that it named', async () => {
  const { client, store, run, assetId } = await begun();
  const bytes = randomBytes(1000);
  const put = (asset: string, name: string) =>
    client.say(
      LOG_PATHS.of(run.id, run.fence, 'put'),
      {
        key: `log/${asset}/00000000000000aa/6c6f6700000000000000/00000001/${name}`,
        lengthBytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      },
      LogPutAnswer,
    );
  await expect(put(hex(randomBytes(16)), '0000000000000000')).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  await expect(put(hex(assetId), '../../head')).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  const { grant } = await put(hex(assetId), '0000000000000000');
  await expect(store.put(grant, randomBytes(1000))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  expect(await store.put(grant, bytes)).toBe('created');
});

it('who does not hold the run any more adds nothing, and a restore reads and does not write', async () => {
  const { agent, run, asset, log, client, store, signal } = await begun();
  await agent.end(run, 'succeeded');
  const restore = await agent.claim(asset, 'restore', { snapshot: '0'.repeat(20) });
  const reading = await RemoteLog.open({ client, store, runId: restore.id, fence: restore.fence, signal });
  expect(await reading.store.read('logs/x')).toBeUndefined();
  await expect(reading.note({ kind: 'base-needed', why: 'x' }, signal)).rejects.toMatchObject({ code: 'RUN_FENCED' });
  const path = LOG_PATHS.of(restore.id, restore.fence, 'delete');
  const keys = [`log/${'0'.repeat(32)}/00000000000000aa/6c6f6700000000000000/00000001/0000000000000000.000000`];
  await expect(client.say(path, { keys }, OutcomeAnswer)).rejects.toMatchObject({ code: 'RUN_FENCED' });
  // The capture's run is over; that is noticed after a moment.
  const said = (): Promise<string> =>
    log.note({ kind: 'base-needed', why: 'x' }, signal).then(
      () => 'taken',
      ({ code }) => code,
    );
  await expect.poll(said, { timeout: 20_000 }).toBe('RUN_FENCED');
});

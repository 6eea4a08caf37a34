// An agent that means harm: it holds a good signature and a run of its own, and says whatever it likes.

import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { encodeDirectory } from '../../src/format/pack.ts';
import { proveSession } from '../../src/gateway/verify-session.ts';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import { encodePresence } from '../../src/protocol/presence-codec.ts';
import {
  BeginSessionAnswer,
  GrantsAnswer,
  IndexAnswer,
  OutcomeAnswer,
  SESSION_PATHS,
} from '../../src/protocol/session-messages.ts';
import { KeyReceiver } from '../../src/remote/received-keys.ts';
import { RemoteTarget } from '../../src/remote/remote-target.ts';
import { encodeIndexObject } from '../../src/repository/index-objects.ts';
import { hex, packKey, unhex } from '../../src/repository/layout.ts';
import { type TestAgent, TestService } from '../support/data-path.ts';
import { writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

async function start(): Promise<{ service: TestService; directory: string }> {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service') });
  onTestFinished(() => service.stop());
  return { service, directory };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A session that was begun, with its key stored, by hand. */
async function begun(agent: TestAgent, path: string) {
  const asset = await agent.asset(path);
  const run = await agent.claim(asset);
  const { client, store, close } = agent.client({ retry: { totalMs: 0 } });
  onTestFinished(close);
  const receiver = new KeyReceiver();
  const message = { fence: run.fence, type: 'files', boxKey: receiver.boxKey };
  const answer = await client.say(SESSION_PATHS.beginSession(run.id), message, BeginSessionAnswer);
  const { parameters, keyring } = receiver.open(answer.repository, answer.keys, answer.session);
  const assetId = keyring.assetId(asset.name);
  const made = keyring.newSession(unhex(answer.session), assetId, randomBytes);
  const storeKey = () =>
    client.say(
      SESSION_PATHS.ofSession(answer.session, 'key'),
      { pairId: made.pairId, sealed: Buffer.from(made.sealed).toString('base64') },
      OutcomeAnswer,
    );
  const grant = async (bytes: Uint8Array, pack = hex(randomBytes(32))) => {
    const packs = [{ pack, kind: 'data', firstBlock: hex(randomBytes(16)), lengthBytes: bytes.length, sha256: sha256(bytes) }];
    const { grants } = await client.say(SESSION_PATHS.ofSession(answer.session, 'grants'), { packs }, GrantsAnswer);
    return { pack, request: grants[0]! };
  };
  return { session: answer.session, client, store, grant, storeKey, keyring, parameters, run, asset, assetId, made };
}

it('the key that an agent gets writes one asset and opens no content', async () => {
  const { service, directory } = await start();
  writeSampleTree(join(directory, 'source'), 1, 10);
  const agent = await service.agent();
  const { keyring, made, session } = await begun(agent, join(directory, 'source'));
  expect(keyring.role).toBe('writer');
  expect(Object.keys(keyring.payload).sort()).toEqual(
    ['asset', 'assetKey', 'idKey', 'repositoryDigest', 'role', 'sealTo', 'signingKey', 'verifyKey'].sort(),
  );
  expect(() => keyring.openSessionKey(made.pairId, unhex(session), made.sealed)).toThrow(/sealed to the tenant/);
  expect(() => keyring.metadataKeyOf(unhex(session), keyring.assetId('another'))).toThrow(/opens nothing of others/);
});

it('a grant is good once, for one object, with exactly its bytes', async () => {
  const { service, directory } = await start();
  const { grant, store, storeKey } = await begun(await service.agent(), directory);
  await expect(grant(randomBytes(10))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  await storeKey();
  const bytes = randomBytes(5000);
  const { request, pack } = await grant(bytes);
  expect(await store.put(request, bytes)).toBe('created');
  await expect(store.put(request, bytes)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
  const wrong = await grant(bytes);
  await expect(store.put(wrong.request, randomBytes(5000))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  const longer = await grant(bytes);
  await expect(store.put(longer.request, randomBytes(6000))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  // Overwriting: the object stays what it was.
  const other = randomBytes(5000);
  const over = await grant(other, pack);
  await store.put(over.request, other);
  const stored = await service.tenants.use(service.tenant.id, (repository) => repository.store.get(packKey(unhex(pack))));
  expect(Buffer.compare(stored, bytes)).toBe(0);
  const none = await service.tenants.use(service.tenant.id, (repository) => repository.store.size(packKey(unhex(wrong.pack))));
  expect(none).toBeUndefined();
});

it('there is no way to delete, to list, or to read what was not granted', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  writeSampleTree(join(directory, 'source'), 2, 10);
  const asset = await agent.asset(join(directory, 'source'));
  await agent.backUp(asset);
  const { session, client } = await begun(agent, join(directory, 'source'));
  const transport = agent.transport();
  onTestFinished(() => transport.close());
  for (const path of ['/agent/v1/store', `/agent/v1/store?of=x.y`, '/agent/v1/store/'])
    expect((await transport.request('GET', path, undefined)).status).toBeGreaterThanOrEqual(400);
  expect(
    (await transport.request('PUT', '/agent/v1/store/guess', randomBytes(10), { contentType: 'application/vnd.holdfast.object' }))
      .status,
  ).toBe(503);
  // A data block of its own asset: a backup reads maps only.
  const blocks = await service.tenants.use(service.tenant.id, async (repository) => {
    const { readIndexes } = await import('../../src/repository/index-stream.ts');
    const { directoryOf } = await import('../../src/format/index-object.ts');
    const ids: Uint8Array[] = [];
    for await (const { packs } of readIndexes(repository, (await repository.heads.read()).indexes))
      for (const pack of packs) if (pack.kind === 'data') for (const block of directoryOf(pack).blocks) ids.push(block.id.slice());
    return ids;
  });
  expect(blocks.length).toBeGreaterThan(0);
  const places = await client.ask(SESSION_PATHS.ofSession(session, 'places'), Buffer.concat(blocks));
  expect(places.every((byte) => byte === 0)).toBe(true);
});

it('a session of another agent, or of another tenant, does not exist', async () => {
  const { service, directory } = await start();
  const victim = await begun(await service.agent(), directory);
  const stranger = await service.agent();
  const foreigner = await service.agent({ tenant: await service.secondTenant() });
  for (const agent of [stranger, foreigner]) {
    const { client, close } = agent.client({ retry: { totalMs: 0 } });
    onTestFinished(close);
    const say = (verb: 'commit' | 'abandon' | 'checkpoint' | 'grants', message: unknown) =>
      client.say(SESSION_PATHS.ofSession(victim.session, verb), message, OutcomeAnswer);
    const snapshot = { sealed: 'AAAA', signature: 'AAAA', keyId: 'x' };
    await expect(say('checkpoint', { indexes: [] })).rejects.toMatchObject({ code: 'SESSION_GONE' });
    await expect(say('commit', { snapshot, indexes: [] })).rejects.toMatchObject({ code: 'SESSION_GONE' });
    await say('abandon', {});
    const receiver = new KeyReceiver();
    const message = { fence: victim.run.fence, type: 'files', boxKey: receiver.boxKey };
    await expect(client.say(SESSION_PATHS.beginSession(victim.run.id), message, BeginSessionAnswer)).rejects.toMatchObject({
      code: 'RUN_FENCED',
    });
  }
  // It runs as before.
  await victim.storeKey();
  expect((await service.catalog.sessions.get(victim.session))?.state).toBe('open');
});

it('what another agent wrote is offered only when it was proved', async () => {
  const { service, directory } = await start();
  writeSampleTree(join(directory, 'one'), 4, 30);
  writeSampleTree(join(directory, 'two'), 4, 30);
  writeSampleTree(join(directory, 'three'), 4, 30);
  const first = await service.agent();
  const snapshot = await first.backUp(await first.asset(join(directory, 'one')));
  const second = await service.agent();
  const before = await second.backUp(await second.asset(join(directory, 'two')));
  expect(before.statistics.chunksNew).toBe(snapshot.statistics.chunksNew);
  // Of two copies the index knows the newer one.
  for (const { id } of [snapshot, before]) {
    const proof = await service.tenants.use(service.tenant.id, (repository) =>
      proveSession({ catalog: service.catalog, now: () => new Date() }, repository, id, { threads: 1 }),
    );
    expect(proof).toMatchObject({ outcome: 'proved' });
    expect(proof.packs).toBeGreaterThan(0);
  }
  const third = await service.agent();
  const asset = await third.asset(join(directory, 'three'));
  const after = await third.backUp(asset);
  expect(after.statistics.chunks).toBeGreaterThan(20);
  expect(after.statistics.chunksNew).toBe(0);
  expect(await third.restore(asset, after.id, join(directory, 'target'))).toEqual([]);
});

it('of another tenant nothing is ever offered, and its snapshots cannot be read', async () => {
  const { service, directory } = await start();
  writeSampleTree(join(directory, 'one'), 5, 20);
  const first = await service.agent();
  const snapshot = await first.backUp(await first.asset(join(directory, 'one')));
  const foreigner = await service.agent({ tenant: await service.secondTenant() });
  const asset = await foreigner.asset(join(directory, 'one'));
  const own = await foreigner.backUp(asset);
  expect(own.statistics.chunksNew).toBe(own.statistics.chunks);
  expect(snapshot.statistics.chunksNew).toBeGreaterThan(10);
  await expect(foreigner.openReader(asset, snapshot.id)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
});

it('an index object that names blocks of others, or packs that were not granted, is refused', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  const { session, client, grant, storeKey, keyring, assetId, store } = await begun(agent, directory);
  await storeKey();
  const victim = randomBytes(16);
  const forge = (blockId: Uint8Array, sealing: Uint8Array) =>
    encodeDirectory({
      sessions: [{ session: sealing, assetId }],
      blocks: [
        {
          id: blockId,
          offset: 0,
          storedLength: 116,
          rawLength: 100,
          codec: 0,
          sealedBy: 0,
          sealingCounter: blockId.subarray(10),
          extents: [{ offset: 0, length: 100, kind: 0, id: randomBytes(32) }],
        },
      ],
    });
  const tell = async (directoryBytes: Uint8Array, isGranted: boolean) => {
    const packLength = 116 + directoryBytes.length + 16 + 64;
    const bytes = randomBytes(packLength);
    const pack = hex(randomBytes(32));
    if (isGranted) {
      const { request } = await grant(bytes, pack);
      await store.put(request, bytes);
    }
    const one = { packId: unhex(pack), kind: 'data' as const, packLength, session: unhex(session), directory: directoryBytes };
    const index = encodeIndexObject([one], keyring, randomBytes);
    return client.tell(SESSION_PATHS.ofSession(session, 'indexes'), index.bytes, IndexAnswer);
  };
  await expect(tell(forge(victim, unhex(session)), true)).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  await expect(tell(forge(Buffer.concat([unhex(session), Buffer.alloc(6, 1)]), randomBytes(10)), true)).rejects.toMatchObject({
    code: 'SESSION_REFUSED',
  });
  const own = Buffer.concat([unhex(session), Buffer.alloc(6, 2)]);
  await expect(tell(forge(own, unhex(session)), false)).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  // What is its own is taken: the checks above are what refused the others.
  await expect(tell(forge(own, unhex(session)), true)).resolves.toMatchObject({ id: expect.any(String) });
});

it('a snapshot of another asset, or signed by another key, is refused', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  writeSampleTree(join(directory, 'source'), 6, 5);
  const asset = await agent.asset(join(directory, 'source'));
  const other = await agent.asset(join(directory, 'source'));
  const change =
    (how: (message: Record<string, unknown>) => unknown) =>
    (transport: AgentTransport): AgentTransport => ({
      request: (method, path, body, options) =>
        path.endsWith('/commit')
          ? transport.request(method, path, Buffer.from(JSON.stringify(how(JSON.parse(Buffer.from(body!).toString())))), options)
          : transport.request(method, path, body, options),
      close: () => transport.close(),
    });
  await agent.backUp(other);
  const theirs = (await service.catalog.recoveryPoints.list(service.tenant.id, other.id, { limit: 1 })).items[0]!;
  const register = await service.tenants.use(service.tenant.id, async (repository) => {
    const { readRegistered } = await import('../../src/repository/registry.ts');
    return readRegistered(repository.heads, theirs.snapshot);
  });
  const { sealed, signature, keyId } = register;
  const swapped = change((message) => ({ ...message, snapshot: { sealed, signature, keyId } }));
  await expect(agent.backUp(asset, { wrap: swapped })).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  const unsigned = change((message) => ({
    ...message,
    snapshot: { ...(message['snapshot'] as object), signature: Buffer.alloc(64).toString('base64') },
  }));
  await expect(agent.backUp(asset, { wrap: unsigned })).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  expect((await service.catalog.recoveryPoints.list(service.tenant.id, asset.id, { limit: 10 })).items).toEqual([]);
});

it('a restore reads what its snapshot needs and nothing else', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  writeSampleTree(join(directory, 'one'), 7, 10);
  writeSampleTree(join(directory, 'two'), 8, 10);
  const asset = await agent.asset(join(directory, 'one'));
  const secret = await agent.asset(join(directory, 'two'));
  const mine = await agent.backUp(asset);
  const theirs = await agent.backUp(secret);
  const { reader, close } = await agent.openReader(asset, mine.id);
  onTestFinished(close);
  expect(reader.snapshot.id).toBe(mine.id);
  await expect(reader.keys.dataKey(unhex(theirs.id))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
  const foreign = Buffer.concat([unhex(theirs.id), Buffer.alloc(6)]);
  await reader.blocks.learn(foreign);
  expect(reader.blocks.find(foreign)).toBeUndefined();
  expect(() => reader.keyring.metadataKeyOf(unhex(theirs.id), reader.keyring.assetId(secret.name))).toThrow();
});

it('a run that was given to somebody else takes its session with it', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  const one = await begun(agent, directory);
  await one.storeKey();
  const at = new Date().toISOString();
  await service.catalog.runs.end(one.run.id, one.run.fence, at, { state: 'failed', retryAt: at });
  const again = await agent.claimNext();
  expect(again.id).toBe(one.run.id);
  expect(again.fence).toBeGreaterThan(one.run.fence);
  const { client, store, close } = agent.client({ retry: { totalMs: 0 } });
  onTestFinished(close);
  const target = new RemoteTarget({ client, store, runId: again.id, fence: again.fence, directory });
  const details = { asset: one.asset.name, type: 'files', now: () => new Date(), signal: new AbortController().signal } as const;
  const session = await target.begin(details);
  expect(session.name).not.toBe(one.session);
  await expect(one.grant(randomBytes(10))).rejects.toMatchObject({ code: 'SESSION_GONE' });
  // Said twice, it is the same session.
  expect((await target.begin(details)).name).toBe(session.name);
});

it('a tenant without room gets no grants', async () => {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service'), quota: { storedBytesMax: 100_000 } });
  onTestFinished(() => service.stop());
  writeSampleTree(join(directory, 'source'), 9, 30);
  const agent = await service.agent();
  await expect(agent.backUp(await agent.asset(join(directory, 'source')))).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
});

it('a tenant that had no room has some as soon as less is measured, on the same day too', async () => {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service'), quota: { storedBytesMax: 10_000_000 } });
  onTestFinished(() => service.stop());
  writeSampleTree(join(directory, 'source'), 9, 30);
  const agent = await service.agent();
  const asset = await agent.asset(join(directory, 'source'));
  const measured = (storedBytes: number): Promise<void> => {
    const day = new Date().toISOString().slice(0, 10);
    return service.catalog.usage.put({
      tenantId: service.tenant.id,
      day,
      protectedBytes: 0,
      storedBytes,
      runs: 0,
      drillSeconds: 0,
    });
  };
  await measured(20_000_000);
  await expect(agent.backUp(asset)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
  // Pruned meanwhile.
  await measured(1_000_000);
  await agent.backUp(asset);
});

it('a tenant that protects more than it may gets no further backup, from the very next one on', async () => {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service'), quota: { logicalBytesMax: 10_000 } });
  onTestFinished(() => service.stop());
  writeSampleTree(join(directory, 'source'), 9, 30);
  const agent = await service.agent();
  const asset = await agent.asset(join(directory, 'source'));
  await agent.backUp(asset);
  await expect(agent.backUp(asset)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
});

it('a suspended tenant gives and takes nothing, not even by what was granted before', async () => {
  const { service, directory } = await start();
  const agent = await service.agent();
  writeSampleTree(join(directory, 'source'), 10, 5);
  const asset = await agent.asset(join(directory, 'source'));
  const snapshot = await agent.backUp(asset);
  const one = await begun(agent, directory);
  await one.storeKey();
  const bytes = randomBytes(100);
  const granted = await one.grant(bytes);
  let { tenant } = service;
  const become = async (state: 'active' | 'suspended'): Promise<void> => {
    tenant = (await service.catalog.tenants.change({ ...tenant, state })) as typeof tenant;
  };
  const presence = (): Promise<Uint8Array> => one.client.ask(SESSION_PATHS.ofSession(one.session, 'presence'), randomBytes(32));
  expect((await presence()).length).toBe(1);
  await become('suspended');
  const suspended = { code: 'TENANT_SUSPENDED' };
  await expect(presence()).rejects.toMatchObject(suspended);
  await expect(one.grant(randomBytes(10))).rejects.toMatchObject(suspended);
  await expect(one.store.put(granted.request, bytes)).rejects.toMatchObject(suspended);
  await expect(agent.openReader(asset, snapshot.id, { retry: { totalMs: 0 } })).rejects.toMatchObject(suspended);
  await become('active');
  expect(await one.store.put((await one.grant(bytes)).request, bytes)).toBe('created');
});

it('presence answers are no longer than what was found', () => {
  const found = Uint8Array.from([1, 0, 1]);
  const places = new Uint8Array(3 * 24).fill(9);
  expect(encodePresence({ found, places }, 3).length).toBe(1 + 2 * 24);
});

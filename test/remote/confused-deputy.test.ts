// An agent that writes other agents' blocks into its own map, to have them read out to it by a restore. And agents that refer to blocks of
// others as they may, whose commits are not refused.

import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { NONCE_BYTES } from '../../src/codec/aead.ts';
import { directoryOf } from '../../src/format/index-object.ts';
import { proveSession } from '../../src/gateway/verify-session.ts';
import { packReference } from '../../src/model/reference.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import { CHUNK_ID_BYTES, CHUNK_PLACE_BYTES, encodePresence } from '../../src/protocol/presence-codec.ts';
import { BeginSessionAnswer, OutcomeAnswer, SESSION_PATHS } from '../../src/protocol/session-messages.ts';
import { KeyReceiver } from '../../src/remote/received-keys.ts';
import { readIndexes } from '../../src/repository/index-stream.ts';
import { unhex } from '../../src/repository/layout.ts';
import { sealSnapshot } from '../../src/repository/snapshots.ts';
import { TestService } from '../support/data-path.ts';
import { writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

async function start(): Promise<{ service: TestService; directory: string }> {
  const directory = scratchDirectory();
  const service = await TestService.start({ directory: join(directory, 'service') });
  onTestFinished(() => service.stop());
  return { service, directory };
}

async function prove(service: TestService, { id }: Snapshot): Promise<void> {
  const proof = await service.tenants.use(service.tenant.id, (repository) =>
    proveSession({ catalog: service.catalog, now: () => new Date() }, repository, id, { threads: 1 }),
  );
  expect(proof.outcome).toBe('proved');
}

/** A block that this session has made. */
function blockOfSession(service: TestService, session: string, kind: 'data' | 'metadata'): Promise<Uint8Array> {
  return service.tenants.use(service.tenant.id, async (repository) => {
    for await (const { packs } of readIndexes(repository, (await repository.heads.read()).indexes))
      for (const pack of packs)
        if (pack.kind === kind && Buffer.compare(pack.session, unhex(session)) === 0)
          return directoryOf(pack).blocks[0]!.id.slice();
    throw new Error(`no block of ${session}`);
  });
}

const FORGED_BYTES = 1000;

/** Believes that every chunk that it asks for lies in this block. */
const believing =
  (block: Uint8Array) =>
  (transport: AgentTransport): AgentTransport => ({
    request: async (method, path, body, options) => {
      const answer = await transport.request(method, path, body, options);
      if (!path.endsWith('/presence')) return answer;
      const count = body!.length / CHUNK_ID_BYTES;
      const places = new Uint8Array(count * CHUNK_PLACE_BYTES);
      for (let i = 0; i < count; i++) {
        places.set(block, i * CHUNK_PLACE_BYTES);
        new DataView(places.buffer).setUint32(i * CHUNK_PLACE_BYTES + 20, FORGED_BYTES, true);
      }
      return { ...answer, body: encodePresence({ found: new Uint8Array(count).fill(1), places }, count) };
    },
    close: () => transport.close(),
  });

it("a map that names another agent's block is not committed, whether that was proved or not", async () => {
  const { service, directory } = await start();
  writeSampleTree(join(directory, 'secret'), 1, 20);
  // Each of them is one chunk.
  mkdirSync(join(directory, 'own'));
  for (const n of [1, 2, 3]) writeFileSync(join(directory, 'own', `f${n}`), seededBytes(FORGED_BYTES, n));
  const victim = await service.agent();
  const secret = await victim.backUp(await victim.asset(join(directory, 'secret')));
  const block = await blockOfSession(service, secret.id, 'data');
  const attacker = await service.agent();
  const asset = await attacker.asset(join(directory, 'own'));
  const refused = { code: 'SESSION_REFUSED', message: expect.stringContaining('was not offered') };
  await expect(attacker.backUp(asset, { wrap: believing(block) })).rejects.toMatchObject(refused);
  await prove(service, secret);
  await expect(attacker.backUp(asset, { wrap: believing(block) })).rejects.toMatchObject(refused);
  expect((await service.catalog.recoveryPoints.list(service.tenant.id, asset.id, { limit: 10 })).items).toEqual([]);
  // The same agent, honest, is heard.
  expect((await attacker.backUp(asset)).statistics.chunksNew).toBe(3);
});

it('a map of another asset is not committed as its own', async () => {
  const { service, directory } = await start();
  writeSampleTree(join(directory, 'secret'), 3, 20);
  const victim = await service.agent();
  const secret = await victim.backUp(await victim.asset(join(directory, 'secret')));
  const attacker = await service.agent();
  const commit = async (block: Uint8Array): Promise<unknown> => {
    const asset = await attacker.asset(directory);
    const run = await attacker.claim(asset);
    const { client, close } = attacker.client({ retry: { totalMs: 0 } });
    onTestFinished(close);
    const receiver = new KeyReceiver();
    const message = { fence: run.fence, type: 'files', boxKey: receiver.boxKey };
    const begun = await client.say(SESSION_PATHS.beginSession(run.id), message, BeginSessionAnswer);
    const { keyring, parameters } = receiver.open(begun.repository, begun.keys, begun.session);
    const root = { ...secret.root, reference: packReference(block, randomBytes(16), 0, 500) };
    const forged: Snapshot = { ...secret, id: begun.session, asset: asset.name, root };
    const snapshot = sealSnapshot({ keyring, parameters }, forged, keyring.assetId(asset.name), randomBytes(NONCE_BYTES));
    return client.say(SESSION_PATHS.ofSession(begun.session, 'commit'), { snapshot, indexes: [] }, OutcomeAnswer);
  };
  for (const kind of ['data', 'metadata'] as const)
    await expect(commit(await blockOfSession(service, secret.id, kind))).rejects.toMatchObject({ code: 'SESSION_REFUSED' });
});

it('blocks of others that were offered once are referred to by every later map of the asset', async () => {
  const { service, directory } = await start();
  const [one, two] = [join(directory, 'one'), join(directory, 'two')];
  for (const tree of [one, two]) {
    writeSampleTree(tree, 4, 40);
    writeFileSync(join(tree, 'd0', 'large'), seededBytes(3_000_000, 5));
    writeFileSync(join(tree, 'd0', 'paged'), seededBytes(4 * 1024 * 1024, 6));
  }
  const first = await service.agent();
  await prove(service, await first.backUp(await first.asset(one)));
  const second = await service.agent();
  const asset = await second.asset(two);
  const before = await second.backUp(asset);
  expect(before.statistics.chunksNew).toBe(0);
  // Leaves that change name unchanged neighbours' blocks, which nobody asks for again.
  for (const round of [1, 2]) {
    appendFileSync(join(two, 'd0', 'large'), 'more');
    writeFileSync(join(two, 'd1', `new-${round}`), seededBytes(50_000, 100 + round));
    const page = readFileSync(join(two, 'd0', 'paged'));
    page[round * 100_000]! ^= 1;
    writeFileSync(join(two, 'd0', 'paged'), page);
    const after = await second.backUp(asset);
    expect(after.parent).toBeDefined();
    expect(after.statistics.chunksNew).toBeLessThan(20);
    expect(await second.restore(asset, after.id, join(directory, `target-${round}`))).toEqual([]);
    expect(readFileSync(join(directory, `target-${round}`, 'd0', 'paged'))).toEqual(page);
  }
});

it('the map of a volume is held against that of its parent where it has changed', async () => {
  const { service, directory } = await start();
  const path = join(directory, 'image');
  const image = Buffer.from(seededBytes(24 * 1024 * 1024, 7));
  writeFileSync(path, image);
  const agent = await service.agent();
  const asset = await agent.asset(path, 'volume');
  await agent.backUp(asset);
  for (const at of [5, 9_000_000, 23_000_000]) image[at]! ^= 255;
  writeFileSync(path, image);
  const after = await agent.backUp(asset);
  expect(after.statistics.bytesNew).toBeLessThan(2_000_000);
  expect(await agent.restore(asset, after.id, join(directory, 'target'))).toEqual([]);
  expect(readFileSync(join(directory, 'target')).equals(image)).toBe(true);
});

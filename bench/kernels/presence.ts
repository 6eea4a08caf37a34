// How many chunk ids a second the service answers: real requests of one agent over the loopback, signed, against the index of a tenant on
// local disk. Half of the ids are known. Agent and service share this process and its one thread, so the figure is below what the service
// alone would do; on a machine with other work only the rate a CPU second can be compared.
//
//   bin/node bench/kernels/presence.ts [chunks in the index, default 1000000] [seconds]

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeDirectory, packLengthOf } from '../../src/format/pack.ts';
import { SESSION_PATHS } from '../../src/protocol/session-messages.ts';
import { RemoteTarget } from '../../src/remote/remote-target.ts';
import { encodeIndexObject } from '../../src/repository/index-objects.ts';
import { hex, indexKey, unhex } from '../../src/repository/layout.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import { TestService } from '../../test/support/data-path.ts';

const CHUNKS = Number(process.argv[2] ?? 1_000_000);
const SECONDS = Number(process.argv[3] ?? 5);
const EXTENTS_PER_BLOCK = 250;
const BLOCKS_PER_PACK = 8;
const PACKS_PER_INDEX = 100;

/** Index objects of packs that nobody has stored: presence does not look at packs. */
async function fill(repository: Repository, session: BackupSession, ids: Uint8Array): Promise<void> {
  const assetId = repository.keyring.assetId('filler');
  const name = unhex(session.name);
  let chunk = 0;
  let counter = 0;
  while (chunk < CHUNKS) {
    const packs = [];
    for (let p = 0; p < PACKS_PER_INDEX && chunk < CHUNKS; p++) {
      const blocks = [];
      for (let b = 0; b < BLOCKS_PER_PACK && chunk < CHUNKS; b++) {
        const extents = [];
        for (let e = 0; e < EXTENTS_PER_BLOCK && chunk < CHUNKS; e++, chunk++)
          extents.push({ offset: e * 4000, length: 4000, kind: 0, id: ids.subarray(chunk * 32, chunk * 32 + 32) });
        const sealingCounter = Buffer.alloc(6);
        sealingCounter.writeUIntBE(counter++, 0, 6);
        const id = Buffer.concat([name, sealingCounter]);
        blocks.push({
          id,
          offset: b * 500_000,
          storedLength: 500_000,
          rawLength: 1_000_000,
          codec: 1,
          sealedBy: 0,
          sealingCounter,
          extents,
        });
      }
      const directory = { sessions: [{ session: name, assetId }], blocks };
      const bytes = encodeDirectory(directory);
      packs.push({
        packId: randomBytes(32),
        kind: 'data' as const,
        packLength: packLengthOf(directory, bytes.length),
        session: name,
        directory: bytes,
      });
    }
    const index = encodeIndexObject(packs, repository.keyring, randomBytes);
    await repository.store.put(indexKey(index.id), index.bytes);
    await session.checkpoint([{ id: index.id, bytes: index.bytes.length, packs: packs.length }]);
  }
}

const directory = mkdtempSync(join(tmpdir(), 'holdfast-presence-'));
const service = await TestService.start({ directory });
try {
  const agent = await service.agent();
  const ids = randomBytes(CHUNKS * 32);
  const filler = await service.tenants.use(service.tenant.id, async (repository) => {
    const assetId = hex(repository.keyring.assetId('filler'));
    const session = await BackupSession.begin(repository.heads, { assetId, process: repository.process });
    await fill(repository, session, ids);
    return session.name;
  });
  const at = new Date().toISOString();
  const row = {
    session: filler,
    tenantId: service.tenant.id,
    agentId: agent.agent.id,
    runId: 'run_00000000000000000000000000',
    openedAt: at,
  };
  await service.catalog.sessions.put({ ...row, state: 'committed' });
  const asset = await agent.asset(directory);
  const run = await agent.claim(asset);
  const { client, store, close } = agent.client();
  const target = new RemoteTarget({ client, store, runId: run.id, fence: run.fence, directory });
  const session = await target.begin({
    asset: asset.name,
    type: 'files',
    now: () => new Date(),
    signal: new AbortController().signal,
  });
  for (const batch of [256, 2048, 8192]) {
    const question = (): Buffer => {
      const asked = randomBytes(batch * 32);
      for (let i = 0; i < batch; i += 2) {
        const known = Math.floor(Math.random() * CHUNKS);
        asked.set(ids.subarray(known * 32, known * 32 + 32), i * 32);
      }
      return asked;
    };
    const questions = Array.from({ length: 16 }, question);
    let asked = 0;
    let known = 0;
    const path = SESSION_PATHS.ofSession(session.name, 'presence');
    const startMs = performance.now();
    const cpuBefore = process.cpuUsage();
    const asker = async (n: number): Promise<void> => {
      for (let i = n; performance.now() - startMs < SECONDS * 1000; i++) {
        const answer = await client.ask(path, questions[i % questions.length]!);
        asked += batch;
        known += Math.round((answer.length - batch / 8) / 24);
      }
    };
    await Promise.all([asker(0), asker(1)]);
    const seconds = (performance.now() - startMs) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    const perCpu = Math.round(asked / ((user + system) / 1e6)).toLocaleString('en');
    console.log(
      `batches of ${batch}: ${Math.round(asked / seconds).toLocaleString('en')} ids/s, ${perCpu} a CPU second of both sides, ${Math.round((100 * known) / asked)} % known`,
    );
  }
  await session.abandon();
  await close();
} finally {
  await service.stop();
  rmSync(directory, { recursive: true, force: true });
}

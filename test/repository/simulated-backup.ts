// A backup of the simulation, on the real sessions.

import { isFault } from '../../src/base/faults.ts';
import { hex, PACKS_PREFIX } from '../../src/repository/layout.ts';
import { readRegistered } from '../../src/repository/registry.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import type { SimulatedAgent } from './protocol-simulation.ts';
import { blocksOf, indexBytes, type PackEntry, packBytes, readIndexes, readPack, sealBlocks } from './simulated-objects.ts';

const CHUNKS = ['a', 'b', 'c', 'd', 'e', 'f'];

export async function runBackup(agent: SimulatedAgent): Promise<void> {
  const { scheduler, checker } = agent;
  const session = await agent.again(() => BackupSession.begin(agent.heads, { assetId: '0'.repeat(32), process: agent.process }));
  if (session === undefined) return;
  try {
    const backup = new SimulatedBackup(agent, session);
    const blocks = await backup.store();
    if (blocks === undefined || scheduler.chance(0.15)) {
      await agent.again(() => session.abandon());
      return;
    }
    // What is not known is asked again: by a second commit, or by giving up.
    for (;;) {
      try {
        await session.commit(sealBlocks(blocks), backup.indexes);
        checker.told.add(session.name);
        return;
      } catch (fault) {
        if (isFault(fault, 'SESSION_REVOKED')) {
          agent.counts.revoked++;
          return;
        }
        if (!isFault(fault)) throw fault;
        if (scheduler.chance(0.5)) continue;
        if ((await agent.again(() => session.abandon())) === 'committed') checker.told.add(session.name);
        return;
      }
    }
  } catch (fault) {
    if (!isFault(fault)) throw fault;
    await agent.again(() => session.abandon());
  }
}

class SimulatedBackup {
  readonly #agent: SimulatedAgent;
  readonly #session: BackupSession;
  readonly #known = new Map<string, string>();
  readonly indexes: ReturnType<typeof indexBytes>['ref'][] = [];
  #blocks = 0;

  constructor(agent: SimulatedAgent, session: BackupSession) {
    this.#agent = agent;
    this.#session = session;
  }

  /** The blocks that the snapshot needs; undefined when the session is over. */
  async store(): Promise<string[] | undefined> {
    const { scheduler, store } = this.#agent;
    const { view } = this.#session;
    const read = await this.#whileRunning(() => readIndexes(store, view.indexes));
    if (read === undefined) return undefined;
    for (const index of read.values()) this.#learn(index.packs);
    if (scheduler.chance(0.5)) await this.#adopt(new Set([...read.values()].flatMap(({ packs }) => packs.map(({ id }) => id))));
    const needed: string[] = [];
    if (scheduler.chance(0.5)) needed.push(...(await this.#share()));
    const wanted = CHUNKS.filter(() => scheduler.chance(0.4));
    for (const part of [wanted.slice(0, 2), wanted.slice(2)]) {
      const fresh = part.filter((chunk) => !this.#known.has(chunk));
      if (fresh.length > 0) await this.#upload(fresh);
      for (const chunk of part) needed.push(this.#known.get(chunk)!);
    }
    return [...new Set(needed)];
  }

  #learn(packs: readonly PackEntry[]): void {
    for (const { blocks } of packs) for (const { id, chunk } of blocks) this.#known.set(chunk, id);
  }

  /** The map of a parent, whole. */
  async #share(): Promise<readonly string[]> {
    const { scheduler, heads } = this.#agent;
    const { parents } = this.#session.view;
    if (parents.length === 0) return [];
    const parent = scheduler.pick(parents);
    try {
      return blocksOf(await readRegistered(heads, parent.session));
    } catch (fault) {
      if (isFault(fault, 'SNAPSHOT_NOT_FOUND')) return [];
      throw fault;
    }
  }

  async #upload(chunks: readonly string[]): Promise<void> {
    const { agent, session } = { agent: this.#agent, session: this.#session.name };
    const pack = packBytes(
      { session, blocks: chunks.map((chunk) => ({ id: `${session}:${this.#blocks++}`, chunk })) },
      hex(agent.random(4)),
    );
    await agent.again(() => agent.store.put(pack.key, pack.bytes));
    await this.#index([pack.entry]);
    this.#learn([pack.entry]);
    if (agent.scheduler.chance(0.5)) await agent.again(() => this.#session.checkpoint(this.indexes));
  }

  async #index(packs: readonly PackEntry[]): Promise<void> {
    const index = indexBytes({ session: this.#session.name, packs }, hex(this.#agent.random(4)));
    await this.#agent.again(() => this.#agent.store.put(index.key, index.bytes));
    this.indexes.push(index.ref);
  }

  async #adopt(indexed: ReadonlySet<string>): Promise<void> {
    const { store, scheduler } = this.#agent;
    const orphans: PackEntry[] = [];
    for await (const page of store.list(PACKS_PREFIX)) {
      for (const { key } of page) {
        const id = key.slice(-64);
        if (indexed.has(id) || !scheduler.chance(0.7)) continue;
        const pack = await readPack(store, id).catch((fault: unknown) => {
          if (isFault(fault, 'STORE_NOT_FOUND')) return undefined;
          throw fault;
        });
        if (pack !== undefined && pack.session !== this.#session.name) orphans.push(pack);
      }
    }
    if (orphans.length === 0) return;
    const index = indexBytes({ session: this.#session.name, packs: orphans }, hex(this.#agent.random(4)));
    await this.#agent.again(() => store.put(index.key, index.bytes));
    if ((await this.#session.adopt(index.ref, orphans)) !== 'adopted') return;
    this.#agent.counts.adopted++;
    this.#learn(orphans);
  }

  /** An index object that the head named when this session was a writer is there as long as the session is. */
  async #whileRunning<T>(read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (fault) {
      if (!isFault(fault, 'STORE_NOT_FOUND')) throw fault;
      await this.#session.checkpoint([]);
      throw new Error('Broken: an index object is gone that a running backup has learned of', { cause: fault });
    }
  }
}

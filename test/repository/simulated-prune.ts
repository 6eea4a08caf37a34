// A prune of the simulation, on the real maintenance sessions: marks, moves blocks out of half-dead packs, condemns, settles, sweeps.

import { isFault } from '../../src/base/faults.ts';
import type { Condemned, Head } from '../../src/format/head.ts';
import { readCondemned } from '../../src/repository/condemned-lists.ts';
import { rootsOf } from '../../src/repository/head-changes.ts';
import { hex, INDEX_PREFIX, indexKey, PACKS_PREFIX } from '../../src/repository/layout.ts';
import { type CondemnPlan, type Examination, type Kept, MaintenanceSession } from '../../src/repository/maintenance.ts';
import { dropPins, readRegistered } from '../../src/repository/registry.ts';
import { sweep, sweepRegisters, sweepStrayLists, sweepStrays } from '../../src/repository/sweep.ts';
import { endWriters, type WriterPolicy } from '../../src/repository/writers.ts';
import type { SimulatedAgent } from './protocol-simulation.ts';
import {
  blocksOf,
  decodeIndex,
  type Index,
  indexBytes,
  type PackEntry,
  packBytes,
  readIndexes,
  readPack,
} from './simulated-objects.ts';

const PLANS_MAX = 4;

export async function runPrune(agent: SimulatedAgent, policy: WriterPolicy): Promise<void> {
  const session = await agent.again(() => MaintenanceSession.begin(agent.heads, agent.process));
  if (session === undefined) return;
  const prune = new SimulatedPrune(agent, session, policy);
  try {
    await prune.run();
  } catch (fault) {
    if (!isFault(fault)) throw fault;
  }
  await agent.again(() => session.end());
}

/** A prune that nobody disturbs: everything that is waste must be gone after it. */
export async function cleanAll(agent: SimulatedAgent): Promise<void> {
  await dropPins(agent.heads, () => true);
  const session = await MaintenanceSession.begin(agent.heads, agent.process);
  await endWriters(
    agent.heads,
    () => 'revoke',
    'the last prune',
    ({ session: other }) => other !== session.name,
  );
  await new SimulatedPrune(agent, session, () => 'revoke').run();
  await session.end();
}

class SimulatedPrune {
  readonly #agent: SimulatedAgent;
  readonly #session: MaintenanceSession;
  readonly #policy: WriterPolicy;
  /** Stored for plans that are void. */
  readonly #void: PackEntry[] = [];

  constructor(agent: SimulatedAgent, session: MaintenanceSession, policy: WriterPolicy) {
    this.#agent = agent;
    this.#session = session;
    this.#policy = policy;
  }

  async run(): Promise<void> {
    const { heads, scheduler } = this.#agent;
    if (scheduler.chance(0.5)) await endWriters(heads, this.#policy, 'a prune', ({ session }) => session !== this.#session.name);
    for (const { generation } of (await heads.read()).condemned) await this.#settleAndSweep(generation);
    for (let plan = 0; plan < PLANS_MAX; plan++) {
      const entry = await this.#condemn();
      if (entry === 'stale') continue;
      if (entry === undefined) break;
      this.#agent.counts.condemned++;
      await this.#settleAndSweep(entry.generation);
      break;
    }
    await sweepRegisters(heads);
    await sweepStrayLists(heads);
    await sweepStrays(heads, {
      prefix: INDEX_PREFIX,
      named: (head) => [...head.indexes, ...head.condemned.flatMap(({ indexes }) => indexes)].map(({ id }) => indexKey(id)),
      sessionOf: async (key) => {
        try {
          return decodeIndex(await this.#agent.store.get(key)).session;
        } catch (fault) {
          if (isFault(fault, 'STORE_NOT_FOUND')) return undefined;
          throw fault;
        }
      },
    });
  }

  async #settleAndSweep(generation: number): Promise<void> {
    const { heads } = this.#agent;
    const details = { policy: this.#policy, by: 'a prune', examine: (examination: Examination) => this.#examine(examination) };
    const { outcome } = await this.#session.settle(generation, details);
    if (outcome !== 'settled') return;
    const entry = (await heads.read()).condemned.find((other) => other.generation === generation);
    if (entry === undefined) return;
    await sweep(heads, entry);
    this.#agent.counts.swept++;
  }

  async #condemn(): Promise<Condemned | 'stale' | undefined> {
    const { store, heads } = this.#agent;
    const listed: string[] = [];
    for await (const page of store.list(PACKS_PREFIX)) for (const { key } of page) listed.push(key.slice(-64));
    const { head, packs: condemned } = await readCondemned(heads);
    try {
      const indexes = await readIndexes(store, head.indexes);
      const needed = await this.#needed(rootsOf(head));
      const known = new Set([...indexes.values()].flatMap(({ packs }) => packs.map(({ id }) => id)).concat(...condemned));
      const garbage = await this.#garbage(
        listed.filter((id) => !known.has(id)),
        head,
      );
      return await this.#condemnDead(head, indexes, needed, garbage);
    } catch (fault) {
      // Another prune was faster: what was planned from is gone.
      if (isFault(fault, 'STORE_NOT_FOUND', 'SNAPSHOT_NOT_FOUND')) return 'stale';
      throw fault;
    }
  }

  async #needed(snapshots: Iterable<string>): Promise<Set<string>> {
    const needed = new Set<string>();
    for (const session of snapshots)
      for (const block of blocksOf(await readRegistered(this.#agent.heads, session))) needed.add(block);
    return needed;
  }

  async #garbage(unknown: readonly string[], head: Head): Promise<PackEntry[]> {
    const garbage: PackEntry[] = [];
    for (const id of unknown) {
      const pack = await readPack(this.#agent.store, id).catch((fault: unknown) => {
        if (isFault(fault, 'STORE_NOT_FOUND')) return undefined;
        throw fault;
      });
      if (pack !== undefined && !head.writers.some(({ session }) => session === pack.session)) garbage.push(pack);
    }
    return garbage;
  }

  async #condemnDead(
    head: Head,
    indexes: ReadonlyMap<string, Index>,
    needed: ReadonlySet<string>,
    garbage: readonly PackEntry[],
  ): Promise<Condemned | 'stale' | undefined> {
    const running = new Set(head.writers.map(({ session }) => session));
    const packs = new Map([...indexes.values()].flatMap((index) => index.packs.map((pack) => [pack.id, pack] as const)));
    const dead = new Map<string, PackEntry>([...garbage, ...this.#void].map((pack) => [pack.id, pack]));
    const moved = new Map<string, PackEntry['blocks'][number]>();
    for (const pack of packs.values()) {
      const isNeeded = pack.blocks.filter((block) => needed.has(block.id));
      if (running.has(pack.session) || isNeeded.length === pack.blocks.length) continue;
      dead.set(pack.id, pack);
      for (const block of isNeeded) moved.set(block.id, block);
    }
    if (dead.size === 0) return undefined;
    const isCompaction = this.#agent.scheduler.chance(0.5);
    const drop = [...indexes].filter(([, index]) => isCompaction || index.packs.some(({ id }) => dead.has(id)));
    const dropped = new Map(drop.flatMap(([, index]) => index.packs.map((pack) => [pack.id, pack] as const)));
    const rest = [...dropped.values()].filter(({ id }) => !dead.has(id));
    const newPack = moved.size === 0 ? undefined : await this.#put([...moved.values()]);
    if (newPack !== undefined) rest.push(newPack);
    const newIndex = rest.length === 0 ? undefined : await this.#putIndex(rest);
    const add = newIndex === undefined ? [] : [newIndex];
    const plan: CondemnPlan = {
      generation: head.generation,
      roots: rootsOf(head),
      drop: drop.map(([id]) => id),
      add,
      packs: [...dead.values()],
    };
    const entry = await this.#session.condemn(plan);
    if (entry === 'stale') {
      // What was stored for a plan that is void is waste: index objects at once, packs with the next plan.
      if (newIndex !== undefined) await this.#agent.again(() => this.#agent.store.delete(indexKey(newIndex.id)));
      if (newPack !== undefined) this.#void.push(newPack);
    }
    return entry;
  }

  async #examine({ head, entry, packs, snapshots }: Examination): Promise<Kept | undefined> {
    const { store } = this.#agent;
    const needed = await this.#needed(snapshots);
    const live = await readIndexes(store, head.indexes);
    for (const { packs: present } of live.values())
      for (const { blocks } of present) for (const { id } of blocks) needed.delete(id);
    const shadows = await readIndexes(store, entry.indexes);
    const condemned = new Set(packs);
    const kept = new Map<string, PackEntry>();
    for (const { packs: present } of shadows.values()) {
      for (const pack of present)
        if (condemned.has(pack.id) && pack.blocks.some(({ id }) => needed.has(id))) kept.set(pack.id, pack);
    }
    if (kept.size === 0) return undefined;
    this.#agent.counts.kept++;
    return { packs: [...kept.keys()], index: await this.#putIndex([...kept.values()]) };
  }

  async #put(blocks: PackEntry['blocks']): Promise<PackEntry> {
    const pack = packBytes({ session: this.#session.name, blocks }, hex(this.#agent.random(4)));
    await this.#agent.again(() => this.#agent.store.put(pack.key, pack.bytes));
    return pack.entry;
  }

  async #putIndex(packs: readonly PackEntry[]): Promise<ReturnType<typeof indexBytes>['ref']> {
    const index = indexBytes({ session: this.#session.name, packs }, hex(this.#agent.random(4)));
    await this.#agent.again(() => this.#agent.store.put(index.key, index.bytes));
    return index.ref;
  }
}

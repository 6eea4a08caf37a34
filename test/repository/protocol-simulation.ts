// Runs the real protocol code against a store whose every call waits for its turn: several backups, prunes, forgets and readers at once,
// lost and late requests, stale listings, agents that are killed. After every step the whole store is checked.

import { type FaultCode, isFault } from '../../src/base/faults.ts';
import type { ProcessFacts } from '../../src/format/head.ts';
import { HeadKeeper } from '../../src/repository/head.ts';
import { readableIndexes, rootsOf } from '../../src/repository/head-changes.ts';
import { forgetSnapshots, pinSnapshot, readRegistered, unpinSnapshot } from '../../src/repository/registry.ts';
import { endWriters } from '../../src/repository/writers.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { ScheduledStore, type SharedStore } from '../support/scheduled-store.ts';
import { Scheduler } from '../support/scheduler.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ProtocolChecker } from './protocol-checker.ts';
import { runBackup } from './simulated-backup.ts';
import { blocksOf, jsonCodec, readIndexes, readPack } from './simulated-objects.ts';
import { cleanAll, runPrune } from './simulated-prune.ts';

const STEPS_MAX = 50_000;
const TRIES_MAX = 8;
const READS_MAX = 60;
const KILLED_MAX = 4;
const CALM = { lost: 0, doubted: 0, failed: 0, missed: 0, stale: 0 };

export type SimulatedAgent = {
  readonly scheduler: Scheduler;
  readonly checker: ProtocolChecker;
  readonly store: ObjectStore;
  readonly heads: HeadKeeper;
  readonly process: ProcessFacts;
  readonly random: (bytes: number) => Uint8Array;
  readonly counts: Counts;
  /** Tries again while the store fails; undefined when it gives up or the repository refuses. */
  readonly again: <T>(run: () => Promise<T>) => Promise<T | undefined>;
};

/** What happened, so that a run in which nothing happens is noticed. */
export type Counts = {
  committed: number;
  adopted: number;
  revoked: number;
  condemned: number;
  kept: number;
  swept: number;
  read: number;
  killed: number;
  strays: number;
};

export type SimulationResult = Readonly<Counts> & { readonly steps: number };

export type SimulationDetails = {
  readonly seed: number;
  readonly onLog?: (line: string) => void;
  /** Changes an agent's store: for proving that the simulation finds what is wrong. */
  readonly wrapStore?: (store: ObjectStore) => ObjectStore;
};

export async function simulate({ seed, onLog, wrapStore }: SimulationDetails): Promise<SimulationResult> {
  const random = seededRandom(seed);
  const scheduler = new Scheduler(random);
  const memory = new MemoryStore();
  const checker = new ProtocolChecker(memory);
  const isCalm = scheduler.chance(0.3);
  const weather = isCalm ? CALM : { lost: 0.04, doubted: 0.02, failed: 0.02, missed: 0.2, stale: 0.3 };
  const shared: SharedStore = { memory, scheduler, weather, deleted: new Set(), ...(onLog === undefined ? {} : { onLog }) };
  const counts: Counts = { committed: 0, adopted: 0, revoked: 0, condemned: 0, kept: 0, swept: 0, read: 0, killed: 0, strays: 0 };
  const agent = (name: string, of: SharedStore = shared): SimulatedAgent => makeAgent(of, { checker, counts, name, wrapStore });
  await makeAgent({ ...shared, weather: CALM, scheduler: instant(random) }, { checker, counts, name: 'init' }).heads.create();
  // Some snapshots first, so that there is something to share and to forget.
  for (let i = 0; i < 3; i++) scheduler.spawn(`first ${i}`, () => runBackup(agent(`first ${i}`, { ...shared, weather: CALM })));
  await scheduler.run(() => checker.check(), STEPS_MAX);
  const names = spawnAgents(scheduler, agent);
  await scheduler.run(() => {
    checker.check();
    if (counts.killed >= KILLED_MAX || !scheduler.chance(0.01)) return;
    const victim = scheduler.pick(names);
    onLog?.(`${victim} dies`);
    scheduler.kill(victim);
    counts.killed++;
  }, STEPS_MAX);
  await finish(scheduler, checker, agent('the last prune', { ...shared, weather: CALM }), isCalm && counts.killed === 0);
  return { ...counts, committed: checker.told.size, strays: checker.strays().length, steps: scheduler.steps };
}

/** Nobody is left but one prune, which must leave nothing that nobody needs. */
async function finish(
  scheduler: Scheduler,
  checker: ProtocolChecker,
  last: SimulatedAgent,
  mustBeSpotless: boolean,
): Promise<void> {
  const isSpotless = checker.strays().length === 0;
  if (mustBeSpotless && !isSpotless) throw new Error('Broken: a register is left, and nobody died');
  scheduler.spawn('the last prune', () => cleanAll(last));
  await scheduler.run(() => checker.check(), STEPS_MAX);
  scheduler.spawn('the last prune', () => cleanAll(last));
  await scheduler.run(() => checker.check(), STEPS_MAX);
  checker.checkClean();
  if (checker.strays().some(({ state }) => state === 'committed')) throw new Error('Broken: a committed register is left');
}

function spawnAgents(scheduler: Scheduler, agent: (name: string) => SimulatedAgent): readonly string[] {
  const names: string[] = [];
  const spawn = (name: string, run: (agent: SimulatedAgent) => Promise<void>): void => {
    names.push(name);
    scheduler.spawn(name, () => run(agent(name)));
  };
  const count = (max: number) => Math.floor(scheduler.random() * (max + 1));
  for (let i = 2 + count(4); i > 0; i--) spawn(`backup ${i}`, runBackup);
  for (let i = 1 + count(2); i > 0; i--) {
    const patience = scheduler.random();
    spawn(`prune ${i}`, (prune) => runPrune(prune, () => (scheduler.chance(patience) ? 'wait' : 'revoke')));
  }
  for (let i = 1 + count(2); i > 0; i--) spawn(`forget ${i}`, runForget);
  for (let i = count(2); i > 0; i--) spawn(`reader ${i}`, runReader);
  for (let i = count(1); i > 0; i--) spawn(`finisher ${i}`, runFinisher);
  return names;
}

async function runForget(agent: SimulatedAgent): Promise<void> {
  const head = await agent.again(() => agent.heads.read());
  const sessions = new Set(head?.snapshots.map(({ session }) => session).filter(() => agent.scheduler.chance(0.4)));
  for (const session of sessions) agent.checker.forgotten.add(session);
  await agent.again(() => forgetSnapshots(agent.heads, sessions));
}

/** Somebody lists snapshots, and finishes what it finds committed. */
async function runFinisher(agent: SimulatedAgent): Promise<void> {
  await agent.again(() => endWriters(agent.heads, () => 'wait', 'nobody'));
}

/** Whoever holds a snapshot can read it, wherever its blocks are moved to meanwhile. */
async function runReader(agent: SimulatedAgent): Promise<void> {
  const { scheduler, heads } = agent;
  const head = await agent.again(() => heads.read());
  if (head === undefined || head.snapshots.length === 0) return;
  const { session } = scheduler.pick(head.snapshots);
  const pinned = await agent.again(() => pinSnapshot(heads, session, agent.process));
  if (pinned === undefined) return;
  const register = await agent.again(() => readRegistered(heads, session));
  for (const block of register === undefined ? [] : blocksOf(register)) {
    if (scheduler.isDead(agent.process.host)) return;
    await readBlock(agent, session, block);
  }
  await agent.again(() => unpinSnapshot(heads, pinned.holder));
}

async function readBlock({ heads, store, counts }: SimulatedAgent, session: string, block: string): Promise<void> {
  for (let attempt = 0; attempt < READS_MAX; attempt++) {
    try {
      const head = await heads.read();
      if (!rootsOf(head).has(session)) throw new Error('Broken: a pin is gone');
      const packs = [...(await readIndexes(store, readableIndexes(head))).values()].flatMap((index) => index.packs);
      const pack = packs.find(({ blocks }) => blocks.some(({ id }) => id === block));
      if (pack === undefined) throw new Error(`Broken: the block ${block} of the pinned snapshot ${session} is in no index`);
      const { blocks } = await readPack(store, pack.id);
      if (!blocks.some(({ id }) => id === block)) throw new Error('Broken: a pack does not hold what the index says');
      counts.read++;
      return;
    } catch (fault) {
      if (!isFault(fault)) throw fault;
    }
  }
  throw new Error(`Broken: the block ${block} was always somewhere else`);
}

const REFUSED: readonly FaultCode[] = ['SESSION_REVOKED', 'SNAPSHOT_NOT_FOUND', 'HEAD_CONTENTION'];

type AgentDetails = Pick<SimulatedAgent, 'checker' | 'counts'> & {
  readonly name: string;
  readonly wrapStore?: SimulationDetails['wrapStore'] | undefined;
};

function makeAgent(shared: SharedStore, { checker, counts, name, wrapStore }: AgentDetails): SimulatedAgent {
  const { scheduler } = shared;
  const scheduled = new ScheduledStore(shared, name);
  const store = wrapStore?.(scheduled) ?? scheduled;
  const random = (bytes: number) => Uint8Array.from({ length: bytes }, () => Math.floor(scheduler.random() * 256));
  const now = () => new Date(Date.UTC(2030, 0, 1) + scheduler.steps * 1000);
  const heads = new HeadKeeper({ store, codec: jsonCodec, random, now, sleep: () => scheduler.turn(name) });
  const again = async <T>(run: () => Promise<T>): Promise<T | undefined> => {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      try {
        return await run();
      } catch (fault) {
        if (!isFault(fault)) throw fault;
        if (REFUSED.some((code) => fault.code === code)) return undefined;
      }
    }
    return undefined;
  };
  return { scheduler, checker, store, heads, process: { host: name, processId: 1, bootId: 'boot' }, random, counts, again };
}

/** For what happens before anybody else is there. */
function instant(random: () => number): Scheduler {
  const scheduler = new Scheduler(random);
  scheduler.turn = async () => {};
  return scheduler;
}

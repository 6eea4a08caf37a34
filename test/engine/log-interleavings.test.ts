// Capture, bases, forgetting, trimming and restoring at once: every call of the store waits for its turn, which is drawn by a seed, and some
// trims die. Whoever holds a base reads all of its log, a capture that begins anew finds the end of what is stored, and what is left at the
// end is what the bases need.

import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { neededBy, trimCluster } from '../../src/engine/cluster-retention.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { forgetSnapshots, pinSnapshot, unpinSnapshot } from '../../src/repository/registry.ts';
import { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { ASSET, logBytes, makeBase, newLogWriter, RECORD, SECTION, writeLog } from '../support/log-asset.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { PASSPHRASE } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const SEEDS = 5;
const END = 4 * SECTION;
const ARRIVE_MS = 2;

/** Lets one call of the store go on after the other. */
class Turns {
  readonly random: () => number;
  readonly #waiting: { readonly agent: string; readonly go: () => void }[] = [];
  readonly #running = new Map<string, Promise<void>>();
  readonly #dead = new Set<string>();
  #failure: unknown;
  isOn = false;

  constructor(random: () => number) {
    this.random = random;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  spawn(agent: string, work: () => Promise<void>): void {
    const run = work().catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#running.set(
      agent,
      run.finally(() => this.#running.delete(agent)),
    );
  }

  turn(agent: string): Promise<void> {
    if (!this.isOn) return Promise.resolve();
    return new Promise((go) => {
      if (!this.#dead.has(agent)) this.#waiting.push({ agent, go });
    });
  }

  /** It takes no further step. */
  kill(agent: string): void {
    this.#dead.add(agent);
    this.#running.delete(agent);
  }

  async run(): Promise<void> {
    while (this.#running.size > 0) {
      // Those that compress or have threads of their own arrive late.
      const until = performance.now() + ARRIVE_MS;
      const agents = (): number => new Set(this.#waiting.map(({ agent }) => agent)).size;
      while (agents() < this.#running.size && performance.now() < until) await setImmediate();
      if (this.#failure !== undefined) throw this.#failure;
      const next = this.pick(this.#waiting);
      if (next === undefined) await sleep(1);
      else this.#waiting.splice(this.#waiting.indexOf(next), 1)[0]!.go();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function scheduled(store: ObjectStore, turns: Turns, agent: string): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (name === 'list')
        return async function* (...args: unknown[]) {
          await turns.turn(agent);
          yield* method(...args) as AsyncIterable<unknown>;
        };
      return async (...args: unknown[]) => {
        await turns.turn(agent);
        return method(...args);
      };
    },
  });
}

class World {
  readonly turns: Turns;
  readonly memory = new MemoryStore();
  readonly directory = scratchDirectory();
  durable = 0;
  reads = 0;
  /** Readers that hold a base. */
  reading = 0;

  constructor(seed: number) {
    this.turns = new Turns(seededRandom(seed));
  }

  async open(agent: string): Promise<Repository> {
    const store = scheduled(this.memory, this.turns, agent);
    const process = { host: agent, processId: 1, bootId: 'boot' };
    return Repository.open({ store, passphrase: PASSPHRASE, cacheDirectory: `${this.directory}/${agent}`, process });
  }

  async capture(repository: Repository): Promise<void> {
    const { turns } = this;
    for (let writer = newLogWriter(repository); this.durable < END; ) {
      await writeLog(writer, Math.min(END, this.durable + RECORD * (1 + Math.floor(turns.random() * 12))));
      this.durable = writer.durable;
      if (turns.random() > 0.3) continue;
      const view = await LogView.open(repository, repository.keyring.assetId(ASSET));
      const end = Math.max(...view!.epochs.map(({ recordsEnd }) => recordsEnd));
      if (end !== this.durable) throw new Error(`Broken: the stored log ends at ${end}, not at ${this.durable}`);
      writer = newLogWriter(repository, { from: Math.floor(end / SECTION) * SECTION });
    }
  }

  /** One for each section or so. */
  async bases(repository: Repository): Promise<void> {
    for (let start = 0; start < END - RECORD; ) {
      await makeBase(repository, { start });
      for (const next = start + SECTION; this.durable < Math.min(next, END); ) await this.turns.turn('bases');
      start = this.durable;
    }
  }

  async forget(repository: Repository): Promise<void> {
    while (this.durable < END || this.reading > 0) {
      const all = await listSnapshots(repository, await repository.heads.read());
      const old = all.slice(0, -1).filter(() => this.turns.random() < 0.5);
      if (old.length > 0) await forgetSnapshots(repository.heads, new Set(old.map(({ id }) => id)));
    }
  }

  async trim(repository: Repository): Promise<void> {
    while (this.durable < END || this.reading > 0) await trimCluster(repository, ASSET);
  }

  /** As a restore does: choose, hold, read. */
  async restore(repository: Repository): Promise<void> {
    while (this.durable < END) {
      // The oldest is what is forgotten next.
      const [chosen] = await listSnapshots(repository, await repository.heads.read());
      if (chosen === undefined) continue;
      const holder = await pinSnapshot(repository.heads, chosen.id, repository.process).catch((error: unknown) => {
        if (!isFault(error, 'SNAPSHOT_NOT_FOUND')) throw error;
        return undefined;
      });
      if (holder === undefined) continue;
      this.reading++;
      await mustRead(repository, neededBy(chosen)!.start, this.durable);
      this.reading--;
      this.reads++;
      await unpinSnapshot(repository.heads, holder.holder);
    }
  }
}

async function mustRead(repository: Repository, from: number, to: number): Promise<void> {
  const view = await LogView.open(repository, repository.keyring.assetId(ASSET));
  for (let at = from; at < to; at += SECTION / 2) {
    const end = Math.min(to, at + SECTION / 2);
    const read = new Uint8Array(end - at);
    await view!.read(1, at, read);
    if (Buffer.compare(read, logBytes(at, end)) !== 0) throw new Error(`Broken: other bytes from ${at} to ${end}`);
  }
}

async function simulate(seed: number): Promise<number> {
  const world = new World(seed);
  const { turns, memory } = world;
  const process = { host: 'init', processId: 1, bootId: 'boot' };
  const cacheDirectory = `${world.directory}/init`;
  await (await Repository.init({ store: memory, passphrase: PASSPHRASE, cacheDirectory, process, label: 'test' })).close();
  const agents: Record<string, (repository: Repository) => Promise<void>> = {
    capture: (repository) => world.capture(repository),
    bases: (repository) => world.bases(repository),
    forget: (repository) => world.forget(repository),
    'trim 1': (repository) => world.trim(repository),
    'trim 2': (repository) => world.trim(repository),
    'restore 1': (repository) => world.restore(repository),
    'restore 2': (repository) => world.restore(repository),
  };
  const open = await Promise.all(Object.keys(agents).map(async (agent) => [agent, await world.open(agent)] as const));
  turns.isOn = true;
  for (const [agent, repository] of open) turns.spawn(agent, () => agents[agent]!(repository));
  if (turns.random() < 0.5) void dieLater(turns, 'trim 2');
  await turns.run();
  turns.isOn = false;
  const last = await world.open('last');
  await trimCluster(last, ASSET);
  const bases = (await listSnapshots(last, await last.heads.read())).map((snapshot) => neededBy(snapshot)!);
  const oldest = Math.min(...bases.map(({ start }) => start));
  await mustRead(last, oldest, END);
  const { facts, view } = (await readClusterFacts(last, ASSET))!;
  expect(await recoveryWindow(facts, 1)).toMatchObject([{ to: { position: END } }]);
  const left = [...memory.objects.keys()].filter((key) => key.startsWith('log/'));
  const positions = left.map((key) => Number.parseInt(/\/([0-9a-f]{16})[^/]*$/.exec(key)![1]!, 16));
  expect(Math.min(...positions)).toBe(oldest);
  const { epochs, retired } = await new LogCatalogueKeeper(last, last.keyring.assetId(ASSET)).read();
  expect(retired).toBeUndefined();
  expect(epochs).toHaveLength(view.epochs.length);
  const keys = [...memory.objects.keys()].filter((key) => key.includes('/6c6f67'));
  expect(keys).toHaveLength(epochs.length + left.length);
  for (const [, repository] of open) await repository.close();
  await last.close();
  return world.reads;
}

/** At a turn that the seed draws. */
async function dieLater(turns: Turns, agent: string): Promise<void> {
  for (let n = Math.floor(turns.random() * 60); n > 0; n--) await turns.turn('death');
  turns.kill(agent);
}

describe('logs under retention', () => {
  it.each(Array.from({ length: SEEDS }, (_, n) => n + 1))('lose nothing that a base or a reader needs: seed %i', async (seed) => {
    expect(await simulate(seed)).toBeGreaterThan(0);
  });
});

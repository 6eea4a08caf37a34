// The ObjectStore port of one agent over a shared memory store: each call waits for its turn. By chance a request is lost (before or after it
// took effect, or it takes effect much later), and a listing is stale: it misses what is there and shows what is gone.

import { Fault } from '../../src/base/faults.ts';
import type {
  ByteRange,
  ListedObject,
  ObjectStore,
  RegisterValue,
  StoreFacts,
  StoreKey,
  SwapResult,
} from '../../src/store/object-store.ts';
import type { MemoryStore } from './memory-store.ts';
import type { Scheduler } from './scheduler.ts';

export type Weather = {
  /** Of a request that writes: that it is not known what became of it. */
  readonly lost: number;
  /** Of a swap that takes effect: that it is reported as a conflict. Worse than the port allows. */
  readonly doubted: number;
  /** Of a request that reads: that it fails. */
  readonly failed: number;
  /** Of each object: that a listing misses it. */
  readonly missed: number;
  /** That a listing shows objects that are deleted. */
  readonly stale: number;
};

/** Of its agent's turns, that a request may outlive its sender. */
const LATE_TURNS_MAX = 20;

/** What all agents share. */
export type SharedStore = {
  readonly memory: MemoryStore;
  readonly scheduler: Scheduler;
  readonly weather: Weather;
  readonly deleted: Set<StoreKey>;
  onLog?: (line: string) => void;
};

export class ScheduledStore implements ObjectStore {
  readonly location = 'memory';
  readonly #shared: SharedStore;
  readonly #agent: string;
  #zombies = 0;

  constructor(shared: SharedStore, agent: string) {
    this.#shared = shared;
    this.#agent = agent;
  }

  put(key: StoreKey, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#write(`put ${key}`, () => this.#shared.memory.put(key, bytes));
  }

  async get(key: StoreKey, range?: ByteRange): Promise<Uint8Array> {
    await this.#read(`get ${key}`);
    return this.#shared.memory.get(key, range);
  }

  async size(key: StoreKey): Promise<number | undefined> {
    await this.#read(`size ${key}`);
    return this.#shared.memory.size(key);
  }

  delete(key: StoreKey): Promise<void> {
    const { memory, deleted } = this.#shared;
    return this.#write(`delete ${key}`, () => {
      if (memory.objects.has(key)) deleted.add(key);
      return memory.delete(key);
    });
  }

  async *list(prefix: StoreKey): AsyncIterable<readonly ListedObject[]> {
    const { memory, scheduler, weather, deleted } = this.#shared;
    await this.#read(`list ${prefix}`);
    const keys = [...memory.objects.keys()].filter(() => !scheduler.chance(weather.missed));
    if (scheduler.chance(weather.stale)) keys.push(...deleted);
    for (const key of keys) if (key.startsWith(prefix)) yield [{ key, sizeBytes: 1 }];
  }

  async read(key: StoreKey): Promise<RegisterValue | undefined> {
    await this.#read(`read ${key}`);
    return this.#shared.memory.read(key);
  }

  swap(key: StoreKey, bytes: Uint8Array, version: string | undefined): Promise<SwapResult> {
    const { memory, scheduler, weather } = this.#shared;
    return this.#write(`swap ${key}`, async () => {
      const answer = await memory.swap(key, bytes, version);
      return scheduler.chance(weather.doubted) ? 'conflict' : answer;
    });
  }

  async probe(): Promise<StoreFacts> {
    return this.#shared.memory.probe();
  }

  async close(): Promise<void> {}

  async #read(what: string): Promise<void> {
    const { scheduler, weather } = this.#shared;
    await scheduler.turn(this.#agent);
    this.#log(what);
    if (scheduler.chance(weather.failed)) throw new Fault('STORE_UNREACHABLE', `${what}: no answer`);
  }

  async #write<T>(what: string, apply: () => Promise<T>): Promise<T> {
    const { scheduler, weather } = this.#shared;
    await scheduler.turn(this.#agent);
    if (!scheduler.chance(weather.lost)) {
      const answer = await apply();
      this.#log(`${what} -> ${typeof answer === 'object' ? 'swapped' : (answer ?? 'done')}`);
      return answer;
    }
    const fate = scheduler.pick(['never', 'before', 'later'] as const);
    this.#log(`${what} is lost, takes effect ${fate}`);
    if (fate === 'before') await apply();
    // It outlives its sender.
    const zombie = `${this.#agent}'s zombie ${this.#zombies++}`;
    if (fate === 'later') {
      scheduler.spawn(zombie, async () => {
        for (let wait = 1 + Math.floor(scheduler.random() * LATE_TURNS_MAX); wait > 0; wait--) await scheduler.turn(zombie);
        if (this.#shared.deleted.has(what.slice('put '.length))) return;
        const answer = await apply();
        this.#log(`(late) ${what} -> ${typeof answer === 'object' ? 'swapped' : (answer ?? 'done')}`);
      });
    }
    throw new Fault('STORE_TIMEOUT', `${what}: no answer`);
  }

  #log(line: string): void {
    this.#shared.onLog?.(`${this.#agent}: ${line}`);
  }
}

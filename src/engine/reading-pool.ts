// Workers that read packs, and the requests that feed them: for a store in the local file system the workers read by themselves; for any
// other the main thread fetches ranges, a bounded number at a time.

import { packKey } from '../repository/layout.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { PackBytes, ReadAnswer, ReadRequest, ReadThreadSpec } from '../worker/read-task.ts';
import { ThreadPool, WarmThreads } from '../worker/thread-pool.ts';

const READ_THREAD = new URL('../worker/read-thread.ts', import.meta.url);
/** Ranges in flight for each thread. */
const AHEAD_PER_THREAD = 3;

export type ReadThreads = WarmThreads;

/** Starts threads before the pool that takes them can be made. Who starts them closes them. */
export function warmReadThreads(threads: number): ReadThreads {
  return new WarmThreads(READ_THREAD, threads);
}

export class ReadingPool {
  readonly #store: ObjectStore;
  readonly #pool: ThreadPool<ReadRequest, ReadAnswer>;
  readonly #signal: AbortSignal;
  readonly #ahead: number;
  #spec: ReadThreadSpec;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  bytesFetched = 0;

  /** `warm`: taken before other threads are started. */
  constructor(store: ObjectStore, threads: number, spec: ReadThreadSpec, signal: AbortSignal, warm?: WarmThreads) {
    this.#store = store;
    this.#signal = signal;
    this.#ahead = threads * AHEAD_PER_THREAD;
    this.#spec = spec;
    this.#pool = new ThreadPool({
      script: READ_THREAD,
      threads,
      warm,
      dataOf: () => this.#spec,
      onMessage: () => {},
    });
  }

  /** What is asked for from now on is about another directory. Nothing may be under way. */
  turnTo(target: string): void {
    this.#spec = { ...this.#spec, target };
    this.#pool.broadcast(this.#spec);
  }

  /** Where a worker gets a range of a pack from. */
  async packBytes(packId: Uint8Array, offset: number, length: number): Promise<PackBytes> {
    this.bytesFetched += length;
    const key = packKey(packId);
    if (this.#store.localPath !== undefined) return { path: this.#store.localPath(key) };
    return { bytes: await this.#store.get(key, { offset, length }, { signal: this.#signal }) };
  }

  run(request: ReadRequest): Promise<ReadAnswer> {
    const transfer =
      'pack' in request &&
      'bytes' in request.pack &&
      request.pack.bytes.buffer instanceof ArrayBuffer &&
      request.pack.bytes.byteLength === request.pack.bytes.buffer.byteLength;
    return this.#pool.run(request, transfer ? [(request.pack as { bytes: Uint8Array<ArrayBuffer> }).bytes.buffer] : []);
  }

  /** Starts `work` as soon as there is room among the running ones; throws what an earlier one threw. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#ahead) await Promise.race(this.#running);
    this.check();
    const running: Promise<void> = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when everything that was started is done. */
  async drain(): Promise<void> {
    await Promise.all(this.#running);
    this.check();
  }

  async close(): Promise<void> {
    await Promise.all(this.#running);
    await this.#pool.close();
  }

  /** Throws what went wrong first. */
  check(): void {
    this.#signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** Work in a pool that others use as well. */
export class JobGroup {
  readonly #pool: ReadingPool;
  readonly #ended: Promise<void>[] = [];

  constructor(pool: ReadingPool) {
    this.#pool = pool;
  }

  /** As the pool's. */
  start(work: () => Promise<void>): Promise<void> {
    return this.#pool.start(() => {
      const running = work();
      this.#ended.push(running.catch(() => {}));
      return running;
    });
  }

  /** Resolves when everything of this group is done. */
  async drain(): Promise<void> {
    await Promise.all(this.#ended);
    this.#pool.check();
  }
}

// Drives a thread that walks. It is asked to stop, not ended from outside.

import { Worker } from 'node:worker_threads';
import type { WalkedPlace, WalkItem } from '../files/walk.ts';
import type { WalkRequest } from '../files/walk-request.ts';
import { decodeThreadFault } from './thread-fault.ts';
import { STOPPED, TAKEN, WALK_WORDS, type WalkMessage, type WalkThreadSpec } from './walk-message.ts';
import { walkedItems } from './walked-batch.ts';

const YOUNG_GENERATION_MB = 1;

/** Begins to walk at once: what comes behind `after` in the tree at `location`. */
export class Walker {
  readonly #words: Int32Array;
  readonly #waiting: WalkMessage[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  /** The thread has loaded its code, or ended. */
  readonly #loaded: Promise<void>;

  constructor(location: string, request: WalkRequest, after: WalkedPlace) {
    const memory = new SharedArrayBuffer(WALK_WORDS * 4);
    this.#words = new Int32Array(memory);
    const thread = new Worker(new URL('./walk-thread.ts', import.meta.url), {
      workerData: { location, request, after, memory } satisfies WalkThreadSpec,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#loaded = promise;
    thread.on('message', (message: WalkMessage) => {
      resolve();
      this.#waiting.push(message);
      this.#wake?.();
    });
    const fail = (error: unknown): void => {
      resolve();
      this.#failure ??= { error };
      this.#wake?.();
    };
    thread.on('error', fail);
    thread.on('exit', () => fail(new Error('The thread that walks ended early')));
  }

  /** All items, a batch at a time, once. Throws what the walk has thrown. */
  async *batches(): AsyncGenerator<Iterable<WalkItem>, void, undefined> {
    try {
      for (;;) {
        const message = this.#waiting.shift();
        if (message === undefined) {
          if (this.#failure !== undefined) throw this.#failure.error;
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        if (message.kind === 'end') return;
        if (message.kind === 'fault') throw decodeThreadFault(message);
        Atomics.add(this.#words, TAKEN, 1);
        Atomics.notify(this.#words, TAKEN);
        yield walkedItems(message.batch);
      }
    } finally {
      await this.close();
    }
  }

  /** Wants no more. Resolves when the process may end: Node can abort when it does while a thread loads. */
  async close(): Promise<void> {
    Atomics.store(this.#words, STOPPED, 1);
    // Of another value, too: it may be about to wait for the one it has seen.
    Atomics.add(this.#words, TAKEN, 1);
    Atomics.notify(this.#words, TAKEN);
    await this.#loaded;
  }
}

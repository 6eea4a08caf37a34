// Finished packs on their way to the store: a few at a time, their buffers freed when they are durable.

import { packKey } from '../repository/layout.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { FinishedPack } from '../worker/pack-writer.ts';

export type StoredPack = {
  readonly packId: Uint8Array;
  readonly kind: 'data' | 'metadata';
  readonly packLength: number;
  readonly directory: Uint8Array;
};

export class UploadQueue {
  readonly #store: Pick<ObjectStore, 'put'>;
  readonly #signal: AbortSignal;
  readonly #parallel: number;
  readonly #before: (pack: FinishedPack) => Promise<void>;
  readonly #onStored: (pack: StoredPack) => void;
  readonly #queue: (() => Promise<void>)[] = [];
  readonly #drained: (() => void)[] = [];
  #running = 0;
  #failure: { readonly error: unknown } | undefined;
  #onFailure: ((error: unknown) => void) | undefined;
  bytesStored = 0;

  /** `before` is awaited before each pack is stored. */
  constructor(
    store: Pick<ObjectStore, 'put'>,
    parallel: number,
    signal: AbortSignal,
    before: (pack: FinishedPack) => Promise<void>,
    onStored: (pack: StoredPack) => void,
  ) {
    this.#store = store;
    this.#parallel = parallel;
    this.#signal = signal;
    this.#before = before;
    this.#onStored = onStored;
  }

  onFailure(listener: (error: unknown) => void): void {
    this.#onFailure = listener;
  }

  /** `free` is called when the buffer can be used again, whatever the outcome. */
  add(pack: FinishedPack, bytes: Uint8Array, free: () => void): void {
    this.#queue.push(async () => {
      try {
        await this.#before(pack);
        await this.#store.put(packKey(pack.packId), bytes, { signal: this.#signal, isNamed: true });
      } finally {
        free();
      }
      this.bytesStored += pack.length;
      this.#onStored({ packId: pack.packId, kind: pack.kind, packLength: pack.length, directory: pack.directory });
    });
    this.#pump();
  }

  /** Resolves when everything added so far is durable. */
  async drain(): Promise<void> {
    while ((this.#running > 0 || this.#queue.length > 0) && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#drained.push(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #pump(): void {
    while (this.#running < this.#parallel && this.#queue.length > 0 && this.#failure === undefined) {
      this.#running++;
      const upload = this.#queue.shift()!;
      upload()
        .catch((error: unknown) => {
          this.#failure ??= { error };
          this.#onFailure?.(error);
        })
        .finally(() => {
          this.#running--;
          this.#pump();
          for (const wake of this.#drained.splice(0)) wake();
        });
    }
  }
}

// What objects of a log say of themselves, kept by who looks at the same log again and again: objects never change, so one that a listing still
// shows, as long as it was, need not be read again. Whether its bytes are still sound nobody learns that way: who verifies keeps none.

import type { StoredLogIndex } from './log-objects.ts';

const KNOWN_MAX = 256;

export class KnownIndexes {
  /** The oldest first. */
  readonly #known = new Map<string, StoredLogIndex>();

  /** `sizeBytes`: as it is listed. */
  get(key: string, sizeBytes: number | undefined): StoredLogIndex | undefined {
    const known = this.#known.get(key);
    return known?.objectBytes === sizeBytes ? known : undefined;
  }

  add(key: string, index: StoredLogIndex): void {
    this.#known.set(key, index);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
  }
}

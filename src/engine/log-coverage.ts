// What others have stored of the log that an epoch holds in memory. Their stretches are compared with our bytes as these come (LOG_FORKED);
// what is equal, without a hole from our first byte on, need not be stored again.

import { Fault } from '../base/faults.ts';
import type { LogIndex } from '../format/log-object.ts';
import { bytesEqual } from '../model/reference.ts';

/** A stretch that another epoch has stored. */
export type KnownStretch = Pick<LogIndex, 'from' | 'to' | 'digest' | 'recordFrom'>;

/** Log in memory: bytes from `start` on, of which `filled` are there. */
export type HeldLog = { readonly start: number; readonly bytes: Uint8Array; readonly filled: number };

export class LogCoverage {
  readonly #from: number;
  readonly #digest: (bytes: Uint8Array) => Uint8Array;
  readonly #timeline: number;
  #known: KnownStretch[] = [];
  /** Others have everything before. */
  to: number;
  /** As `to`, less a record of which they have only a part. */
  record: number;

  constructor(from: number, timeline: number, digest: (bytes: Uint8Array) => Uint8Array) {
    this.#from = from;
    this.#timeline = timeline;
    this.#digest = digest;
    this.to = from;
    this.record = from;
  }

  /** True while there are stretches that could not be compared yet. */
  get isOpen(): boolean {
    return this.#known.length > 0;
  }

  /** In order of their ends. What begins before our first byte cannot be compared. */
  add(known: readonly KnownStretch[]): void {
    this.#known.push(...known.filter(({ from }) => from >= this.#from));
  }

  /** Compares what can be compared by now. */
  compare(held: readonly HeldLog[]): void {
    for (const { start, bytes, filled } of held)
      for (let next = this.#known[0]; next !== undefined && next.to <= start + filled; next = this.#known[0]) {
        this.#known.shift();
        if (next.from >= start) this.#check(next, bytes.subarray(next.from - start, next.to - start));
      }
  }

  #check(known: KnownStretch, bytes: Uint8Array): void {
    if (!bytesEqual(this.#digest(bytes), known.digest))
      throw new Fault(
        'LOG_FORKED',
        `The log of timeline ${this.#timeline} has other bytes from ${known.from} to ${known.to} than those that are stored`,
      );
    if (known.from > this.to || known.to <= this.to) return;
    this.to = known.to;
    this.record = Math.max(known.recordFrom, this.record);
  }
}

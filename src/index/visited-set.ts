// A set of digests that may grow beyond memory, for walks over a graph: `add` says whether a digest is new. Digests gather in a
// hash table; when it is full they become a sorted run in a nameless file, with its filters in memory, and runs are merged so that
// there are few. Exact: a damaged run is INDEX_CACHE_DAMAGED, and the walk must be begun again.

import { invariant } from '../base/invariant.ts';
import { MIB } from '../base/units.ts';
import { type PrivateRunOptions, PrivateRuns } from './private-run.ts';
import type { RunShape } from './run-layout.ts';
import { RunReader } from './sorted-run.ts';

const TABLE_BYTES = 16 * MIB;
const FILL_MAX = 0.7;

export type VisitedSetOptions = PrivateRunOptions & {
  /** Of a digest; a multiple of four, at least 16; digests are evenly distributed. */
  readonly digestBytes: number;
  /** Of the table in memory, default 16 MiB. Beside it one byte a digest is needed for the filters of the runs. */
  readonly tableBytes?: number;
};

export class VisitedSet {
  readonly #options: VisitedSetOptions;
  readonly #shape: RunShape;
  readonly #slots: number;
  readonly #table: Uint8Array;
  readonly #used: Uint8Array;
  #held = 0;
  #size = 0;
  readonly #spilled: PrivateRuns;
  #runs: RunReader[] = [];

  constructor(options: VisitedSetOptions) {
    const { digestBytes, tableBytes = TABLE_BYTES } = options;
    invariant(digestBytes % 4 === 0 && digestBytes >= 16, 'a digest has words of four bytes');
    this.#options = options;
    this.#shape = { recordBytes: digestBytes, keyBytes: digestBytes, fenceWords: 1 };
    this.#spilled = new PrivateRuns(this.#shape, options);
    this.#slots = 2 ** Math.floor(Math.log2(tableBytes / (digestBytes + 1)));
    invariant(this.#slots >= 16, 'a set has memory for some digests');
    this.#table = new Uint8Array(this.#slots * digestBytes);
    this.#used = new Uint8Array(this.#slots);
  }

  get size(): number {
    return this.#size;
  }

  /** True when the digest was not in the set; it is now. */
  add(digest: Uint8Array): boolean {
    const slot = this.#slotOf(digest);
    if (this.#used[slot] === 1) return false;
    for (const run of this.#runs) if (run.locate(digest, 0) >= 0) return false;
    this.#table.set(digest, slot * this.#shape.recordBytes);
    this.#used[slot] = 1;
    this.#size++;
    if (++this.#held >= this.#slots * FILL_MAX) this.#spill();
    return true;
  }

  has(digest: Uint8Array): boolean {
    return this.#used[this.#slotOf(digest)] === 1 || this.#runs.some((run) => run.locate(digest, 0) >= 0);
  }

  close(): void {
    this.#spilled.close();
    this.#runs = [];
  }

  /** The slot that holds the digest, or the empty one where it belongs. */
  #slotOf(digest: Uint8Array): number {
    const { recordBytes } = this.#shape;
    let slot = ((digest[4]! | (digest[5]! << 8) | (digest[6]! << 16) | (digest[7]! << 24)) >>> 0) % this.#slots;
    for (; this.#used[slot] === 1; slot = (slot + 1) % this.#slots) {
      let n = 0;
      while (n < recordBytes && this.#table[slot * recordBytes + n] === digest[n]) n++;
      if (n === recordBytes) break;
    }
    return slot;
  }

  #spill(): void {
    this.#spilled.add(this.#heldDigests());
    this.#spilled.closeReplaced();
    this.#runs = this.#spilled.runs.map((run) => new RunReader(run, this.#options.checksum));
    this.#used.fill(0);
    this.#held = 0;
  }

  *#heldDigests(): Generator<Uint8Array> {
    const { recordBytes } = this.#shape;
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#used[slot] === 1) yield this.#table.subarray(slot * recordBytes, (slot + 1) * recordBytes);
    }
  }
}

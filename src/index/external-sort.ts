// Sorts any number of fixed-size records in bounded memory. Records gather in memory; when it is full they are sorted and spilled
// as a run to a nameless file, and at the end the runs are merged, in several passes only where there are more than FAN_IN_MAX.
// Runs are spilled and merged in the order in which their records came, so the sort is stable.
//
// Everything lies in one buffer of the stated size: records and their order while gathering, one window a run while merging.
// Spilled bytes are checked when they come back: a garbage collector that lost a mark to a flipped bit would delete live data.
//
// FAN_IN_MAX is 256, not less: in the default memory each run still has a window of 128 KiB, and 100 million chunk entries (216 runs)
// are merged in one pass instead of being written twice.

import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { KIB, MIB } from '../base/units.ts';
import { closeQuietly, openNameless, type RandomBytes, readWhole, writeWhole } from './cache-file.ts';
import { CHECKSUM_BYTES, type Checksum } from './checksum.ts';
import { compareKeys } from './keys.ts';
import { type EqualKeys, mergeSorted, type RecordShape } from './merge-sorted.ts';
import { OrderSorter } from './sort-order.ts';

export const SORT_MEMORY_BYTES = 32 * MIB;
const FAN_IN_MAX = 256;
/** Spilled records are checked in pieces of about this size. */
const PIECE_BYTES = 32 * KIB;

export type SorterOptions = RecordShape & {
  /** Where to spill. */
  readonly directory: string;
  readonly checksum: Checksum;
  /** Of equal keys, default 'all': see EqualKeys; 'first' and 'last' as they were pushed. */
  readonly equal?: EqualKeys;
  readonly memoryBytes?: number;
  readonly fanInMax?: number;
  readonly randomBytes?: RandomBytes;
};

type Run = { readonly start: number; readonly records: number };

export class ExternalSorter {
  readonly #options: SorterOptions;
  readonly #equal: EqualKeys;
  readonly #memory: ArrayBuffer;
  readonly #records: Uint8Array;
  readonly #order: OrderSorter;
  readonly #capacity: number;
  readonly #piece: Uint8Array;
  readonly #pieceRecords: number;
  #held = 0;
  #count = 0;
  #file: number | undefined;
  #fileEnd = 0;
  #runs: Run[] = [];
  #finished = false;
  #closed = false;

  constructor(options: SorterOptions) {
    const { recordBytes, memoryBytes = SORT_MEMORY_BYTES } = options;
    invariant(recordBytes % 4 === 0 && options.keyBytes <= recordBytes, 'a record is made of words of four bytes');
    this.#options = options;
    this.#equal = options.equal ?? 'all';
    this.#pieceRecords = Math.max(1, Math.floor(PIECE_BYTES / recordBytes));
    this.#piece = new Uint8Array(this.#pieceRecords * recordBytes + CHECKSUM_BYTES);
    this.#capacity = Math.floor(memoryBytes / (recordBytes + OrderSorter.bytesFor(1)));
    invariant(memoryBytes >= 4 * this.#piece.length, 'a sorter has memory to merge in');
    this.#memory = new ArrayBuffer(Math.ceil(memoryBytes / 8) * 8);
    this.#records = new Uint8Array(this.#memory, 0, this.#capacity * recordBytes);
    this.#order = new OrderSorter(this.#capacity, this.#memory, this.#records.length);
  }

  /** Records pushed so far, equal ones counted. */
  get count(): number {
    return this.#count;
  }

  /** Takes whole records, any number. */
  push(records: Uint8Array): void {
    invariant(!this.#finished, 'a sorter takes no records after they were sorted');
    const { recordBytes } = this.#options;
    invariant(records.length % recordBytes === 0, 'whole records are sorted');
    for (let at = 0; at < records.length; ) {
      if (this.#held === this.#capacity) this.#spill();
      const taken = Math.min(records.length - at, (this.#capacity - this.#held) * recordBytes);
      this.#records.set(records.subarray(at, at + taken), this.#held * recordBytes);
      this.#held += taken / recordBytes;
      at += taken;
    }
    this.#count += records.length / recordBytes;
  }

  /** Once: the records in order, as batches that are valid until the next one. Some batches are empty: a pause in which a caller
   *  may let others work. Closes the sorter at its end. */
  *sorted(): Generator<Uint8Array> {
    invariant(!this.#finished, 'a sorter sorts once');
    this.#finished = true;
    try {
      for (const batch of this.#file === undefined ? this.#orderedPieces() : this.#mergedRuns()) {
        yield batch;
        // Otherwise what is left would look like the end.
        invariant(!this.#closed, 'a sorter is read to its end before it is closed');
      }
    } finally {
      this.close();
    }
  }

  /** Gives the memory back at once: a collector would come to it late. Batches that were handed out are gone with it. */
  close(): void {
    this.#finished = true;
    this.#closed = true;
    if (this.#memory.byteLength > 0) this.#memory.transfer(0);
    if (this.#file !== undefined) closeQuietly(this.#file);
    this.#file = undefined;
  }

  /** The held records in order; each view has room for a checksum behind it. */
  *#orderedPieces(): Generator<Uint8Array> {
    const { recordBytes, keyBytes } = this.#options;
    const records = this.#records;
    const order = this.#order.sort(records, this.#held, recordBytes, keyBytes);
    const piece = this.#piece;
    const recordWords = recordBytes >>> 2;
    const source = new Uint32Array(this.#memory, 0, records.length >>> 2);
    const target = new Uint32Array(piece.buffer, 0, piece.length >>> 2);
    const full = this.#pieceRecords * recordWords;
    let filled = 0;
    for (let i = 0; i < order.length; i++) {
      const at = order[i]! * recordBytes;
      // Of equal keys the last stays when the one after it decides, the first when the one before it does.
      const rival = this.#equal === 'all' ? undefined : this.#equal === 'first' ? order[i - 1] : order[i + 1];
      if (rival !== undefined && compareKeys(records, at, records, rival * recordBytes, keyBytes) === 0) continue;
      for (let w = 0; w < recordWords; w++) target[filled + w] = source[(at >>> 2) + w]!;
      filled += recordWords;
      if (filled === full) {
        yield piece.subarray(0, filled << 2);
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled << 2);
    this.#held = 0;
  }

  #spill(): void {
    this.#file ??= openNameless(this.#options.directory, this.#options.randomBytes ?? nodeRandomBytes);
    const start = this.#fileEnd;
    let records = 0;
    for (const piece of this.#orderedPieces()) records += this.#writePiece(piece);
    this.#runs.push({ start, records });
  }

  /** Appends a view at the start of `#piece`, with its checksum behind it; answers the number of records. */
  #writePiece(piece: Uint8Array): number {
    const sealed = this.#piece.subarray(0, piece.length + CHECKSUM_BYTES);
    const sum = this.#options.checksum(piece, BigInt(this.#fileEnd));
    new DataView(sealed.buffer).setBigUint64(piece.length, sum);
    writeWhole(this.#file!, sealed, this.#fileEnd);
    this.#fileEnd += sealed.length;
    return piece.length / this.#options.recordBytes;
  }

  *#mergedRuns(): Generator<Uint8Array> {
    if (this.#held > 0) this.#spill();
    yield* this.#mergePasses();
    const { inputs, out } = this.#windows(this.#runs.length);
    yield* this.#merge(this.#runs, inputs, out);
  }

  #windows(runs: number): { readonly inputs: Uint8Array[]; readonly out: Uint8Array } {
    const size = Math.floor(this.#memory.byteLength / (runs + 1) / 8) * 8;
    invariant(size >= this.#piece.length, 'every run has a window');
    const window = (n: number) => new Uint8Array(this.#memory, n * size, size);
    // Whole pieces come out, so that a merged run is made of whole pieces too.
    const pieceBytes = this.#pieceRecords * this.#options.recordBytes;
    const out = window(0).subarray(0, Math.floor(size / pieceBytes) * pieceBytes);
    return { inputs: Array.from({ length: runs }, (_, n) => window(n + 1)), out };
  }

  /** Merges leading runs until few enough are left for one merge. */
  *#mergePasses(): Generator<Uint8Array> {
    const fits = Math.floor(this.#memory.byteLength / (this.#piece.length + 8)) - 1;
    const fanIn = Math.max(2, Math.min(this.#options.fanInMax ?? FAN_IN_MAX, fits));
    const { recordBytes } = this.#options;
    while (this.#runs.length > fanIn) {
      const merged: Run[] = [];
      let taken = 0;
      for (let excess = this.#runs.length - fanIn; excess > 0 && taken < this.#runs.length; ) {
        const group = this.#runs.slice(taken, taken + Math.min(fanIn, excess + 1));
        taken += group.length;
        excess -= group.length - 1;
        const { inputs, out } = this.#windows(group.length);
        const start = this.#fileEnd;
        let records = 0;
        for (const batch of this.#merge(group, inputs, out)) {
          for (let at = 0; at < batch.length; at += this.#pieceRecords * recordBytes) {
            const part = batch.subarray(at, at + this.#pieceRecords * recordBytes);
            this.#piece.set(part);
            records += this.#writePiece(this.#piece.subarray(0, part.length));
          }
          yield batch.subarray(0, 0);
        }
        merged.push({ start, records });
      }
      this.#runs = [...merged, ...this.#runs.slice(taken)];
    }
  }

  #merge(runs: readonly Run[], windows: readonly Uint8Array[], out: Uint8Array): Generator<Uint8Array> {
    const inputs = runs.map((run, n) => this.#readRun(run, windows[n]!));
    return mergeSorted(inputs, this.#options, this.#equal, out);
  }

  *#readRun(run: Run, window: Uint8Array): Generator<Uint8Array> {
    const { recordBytes, checksum } = this.#options;
    const pieceBytes = this.#pieceRecords * recordBytes;
    const sealedBytes = pieceBytes + CHECKSUM_BYTES;
    const pieces = Math.floor(window.length / sealedBytes);
    const view = new DataView(window.buffer, window.byteOffset);
    let position = run.start;
    for (let left = run.records; left > 0; ) {
      const records = Math.min(left, pieces * this.#pieceRecords);
      const count = Math.ceil(records / this.#pieceRecords);
      const bytes = records * recordBytes + count * CHECKSUM_BYTES;
      const whole = readWhole(this.#file!, window.subarray(0, bytes), position);
      for (let at = 0; at < bytes; at += sealedBytes) {
        const piece = window.subarray(at, Math.min(at + pieceBytes, bytes - CHECKSUM_BYTES));
        const intact = whole && checksum(piece, BigInt(position + at)) === view.getBigUint64(at + piece.length);
        if (!intact)
          throw new Fault(
            'INDEX_CACHE_DAMAGED',
            `A sorted run in ${this.#options.directory} came back with other bytes than were written`,
          );
        yield piece;
      }
      position += bytes;
      left -= records;
    }
  }
}

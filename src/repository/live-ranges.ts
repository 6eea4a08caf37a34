// The byte ranges of blocks that maps refer to: gathered in any order, sorted on local disk, read block by block with their overlaps
// joined. Memory is that of the sorter, however many there are.

import { ExternalSorter, type SorterOptions } from '../index/external-sort.ts';
import { lengthOf, offsetOf, REFERENCE_BYTES, type References } from '../model/reference.ts';
import { RecordCursor } from './record-cursor.ts';

/** Block id (16), offset (u32, big-endian), length (u32, big-endian). */
const RECORD_BYTES = 24;
const KEY_BYTES = 20;
const BLOCK_BYTES = 16;

export type SortPlace = Pick<SorterOptions, 'directory' | 'checksum'>;

export class LiveRanges {
  readonly #sorter: ExternalSorter;
  readonly #record = new Uint8Array(RECORD_BYTES);
  readonly #numbers = new DataView(this.#record.buffer);
  #end = -1;

  constructor(place: SortPlace) {
    this.#sorter = new ExternalSorter({ ...place, recordBytes: RECORD_BYTES, keyBytes: KEY_BYTES });
  }

  readonly add = (references: References): void => {
    for (let at = 0, n = 0; at < references.length; at += REFERENCE_BYTES, n++) {
      const offset = offsetOf(references, n);
      const length = lengthOf(references, n);
      // Mostly the next chunk follows the last one in its block: one range for both.
      if (offset === this.#end && this.#isSameBlock(references, at)) {
        this.#end += length;
        continue;
      }
      this.#flush();
      for (let i = 0; i < BLOCK_BYTES; i++) this.#record[i] = references[at + i]!;
      this.#numbers.setUint32(16, offset);
      this.#end = offset + length;
    }
  };

  /** Once. Call `close` when it is not read to its end. */
  blocks(): LiveBlocks {
    this.#flush();
    return new LiveBlocks(this.#sorter.sorted());
  }

  close(): void {
    this.#sorter.close();
  }

  #isSameBlock(references: Uint8Array, at: number): boolean {
    for (let i = 0; i < BLOCK_BYTES; i++) if (this.#record[i] !== references[at + i]) return false;
    return true;
  }

  #flush(): void {
    if (this.#end < 0) return;
    this.#numbers.setUint32(20, this.#end - this.#numbers.getUint32(16));
    this.#sorter.push(this.#record);
    this.#end = -1;
  }
}

/** A cursor over blocks in the order of their ids. */
export class LiveBlocks {
  readonly #records: RecordCursor;
  /** Of the block at hand. */
  readonly block = new Uint8Array(BLOCK_BYTES);
  /** Pairs of begin and end, in order, apart from each other. */
  ranges: number[] = [];

  constructor(batches: Iterator<Uint8Array>) {
    this.#records = new RecordCursor(batches, RECORD_BYTES);
    this.#records.next();
  }

  /** Goes on to the next block; false at the end. */
  next(): boolean {
    const records = this.#records;
    if (!records.isThere) return false;
    this.block.set(records.bytes.subarray(records.at, records.at + BLOCK_BYTES));
    this.ranges = [];
    while (records.isThere && records.compare(this.block, BLOCK_BYTES) === 0) {
      const begin = records.u32(16);
      const end = begin + records.u32(20);
      const last = this.ranges.length - 1;
      if (last >= 0 && begin <= this.ranges[last]!) this.ranges[last] = Math.max(this.ranges[last]!, end);
      else this.ranges.push(begin, end);
      records.next();
    }
    return true;
  }
}

/** Bytes in the ranges. */
export function rangeBytes(ranges: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < ranges.length; i += 2) sum += ranges[i + 1]! - ranges[i]!;
  return sum;
}

// The order of fixed-size records by their leading key bytes, stable, without an object per record. Most significant word first:
// a group of records is sorted by the next four key bytes with a radix sort of (word, position) pairs, whose trivial passes are
// skipped; each group of equal words is then sorted by the word after. Small groups are sorted by insertion. So random ids cost one
// round, and keys with a long common beginning (block ids of one session) a skipped round for each common word.

import { compareKeys } from './keys.ts';

const SMALL_GROUP = 24;
const DIGITS = 256;

export class OrderSorter {
  readonly #order: Uint32Array;
  readonly #orderTwin: Uint32Array;
  readonly #words: Uint32Array;
  readonly #wordsTwin: Uint32Array;
  readonly #counts = new Uint32Array(4 * DIGITS);

  /** What `memory` must hold: four numbers a record. */
  static bytesFor(records: number): number {
    return 16 * records;
  }

  /** `memory` is used by this sorter alone while it sorts. */
  constructor(records: number, memory: ArrayBuffer = new ArrayBuffer(OrderSorter.bytesFor(records)), memoryAt = 0) {
    const part = (n: number) => new Uint32Array(memory, memoryAt + 4 * n * records, records);
    this.#order = part(0);
    this.#orderTwin = part(1);
    this.#words = part(2);
    this.#wordsTwin = part(3);
  }

  /** Positions of the `count` records in key order; equal keys in the order in which they lie. Valid until the next call. */
  sort(records: Uint8Array, count: number, recordBytes: number, keyBytes: number): Uint32Array {
    const order = this.#order;
    for (let i = 0; i < count; i++) order[i] = i;
    this.#sortGroup(records, recordBytes, keyBytes, 0, count, 0);
    return order.subarray(0, count);
  }

  #sortGroup(records: Uint8Array, recordBytes: number, keyBytes: number, from: number, to: number, depth: number): void {
    if (depth >= keyBytes || to - from < 2) return;
    if (to - from <= SMALL_GROUP) {
      this.#insert(records, recordBytes, keyBytes, from, to, depth);
      return;
    }
    this.#loadWords(records, recordBytes, keyBytes, from, to, depth);
    this.#radixSort(from, to);
    const words = this.#words;
    // The words are overwritten by the groups below, but only behind this position.
    for (let start = from; start < to; ) {
      const word = words[start]!;
      let end = start + 1;
      while (end < to && words[end] === word) end++;
      if (end - start > 1) this.#sortGroup(records, recordBytes, keyBytes, start, end, depth + 4);
      start = end;
    }
  }

  #loadWords(records: Uint8Array, recordBytes: number, keyBytes: number, from: number, to: number, depth: number): void {
    const order = this.#order;
    const words = this.#words;
    const width = Math.min(4, keyBytes - depth);
    for (let i = from; i < to; i++) {
      const at = order[i]! * recordBytes + depth;
      if (width === 4) words[i] = (records[at]! << 24) | (records[at + 1]! << 16) | (records[at + 2]! << 8) | records[at + 3]!;
      else {
        let word = 0;
        for (let b = 0; b < 4; b++) word = (word << 8) | (b < width ? records[at + b]! : 0);
        words[i] = word;
      }
    }
  }

  #radixSort(from: number, to: number): void {
    const counts = this.#counts.fill(0);
    let words = this.#words;
    for (let i = from; i < to; i++) {
      const word = words[i]!;
      counts[word & 255]!++;
      counts[DIGITS + ((word >>> 8) & 255)]!++;
      counts[2 * DIGITS + ((word >>> 16) & 255)]!++;
      counts[3 * DIGITS + (word >>> 24)]!++;
    }
    let order = this.#order;
    let wordsTwin = this.#wordsTwin;
    let orderTwin = this.#orderTwin;
    for (let digit = 0; digit < 4; digit++) {
      const base = digit * DIGITS;
      const shift = digit * 8;
      if (counts[base + ((words[from]! >>> shift) & 255)] === to - from) continue;
      for (let d = 0, next = from; d < DIGITS; d++) {
        const count = counts[base + d]!;
        counts[base + d] = next;
        next += count;
      }
      for (let i = from; i < to; i++) {
        const word = words[i]!;
        const target = counts[base + ((word >>> shift) & 255)]!++;
        wordsTwin[target] = word;
        orderTwin[target] = order[i]!;
      }
      [words, wordsTwin] = [wordsTwin, words];
      [order, orderTwin] = [orderTwin, order];
    }
    if (words === this.#words) return;
    this.#words.set(words.subarray(from, to), from);
    this.#order.set(order.subarray(from, to), from);
  }

  #insert(records: Uint8Array, recordBytes: number, keyBytes: number, from: number, to: number, depth: number): void {
    const order = this.#order;
    for (let i = from + 1; i < to; i++) {
      const position = order[i]!;
      const at = position * recordBytes + depth;
      let hole = i;
      while (hole > from && compareKeys(records, order[hole - 1]! * recordBytes + depth, records, at, keyBytes - depth) > 0) {
        order[hole] = order[hole - 1]!;
        hole--;
      }
      order[hole] = position;
    }
  }
}

// Writes a run file in one pass over its sorted records, with a few hundred KiB of memory. The header is written last and the file
// gets its name after that; nothing is fsynced: what a power cut tears is found by the checksums.

import { closeSync, openSync, renameSync } from 'node:fs';
import { invariant } from '../base/invariant.ts';
import { cacheFault, closeQuietly, unlinkQuietly, writeWhole } from './cache-file.ts';
import { CHECKSUM_PIECE_BYTES, type Checksum } from './checksum.ts';
import { compareKeys, keyWord } from './keys.ts';
import { addToFilter } from './page-filter.ts';
import { encodeHeader, layoutOf, PAGE_BYTES, PAGE_ROOM_BYTES, pageSeed, type RunLayout, type RunShape } from './run-layout.ts';

const PAGES_BUFFERED = 64;

export type RunWriterOptions = {
  /** The file's name at the end; while it is written, `.part` follows. */
  readonly path: string;
  readonly shape: RunShape;
  readonly seed: bigint;
  /** How many records may come at most. */
  readonly recordsMax: number;
  readonly checksum: Checksum;
};

/** Consecutive bytes of one section, written in pieces whose checksums fold into one. */
class Section {
  readonly #piece = new Uint8Array(CHECKSUM_PIECE_BYTES);
  readonly #fd: number;
  readonly #checksum: Checksum;
  #position: number;
  #filled = 0;
  sum: bigint;

  constructor(fd: number, position: number, checksum: Checksum, seed: bigint) {
    this.#fd = fd;
    this.#position = position;
    this.#checksum = checksum;
    this.sum = seed;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + CHECKSUM_PIECE_BYTES - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === CHECKSUM_PIECE_BYTES) this.flush();
    }
  }

  flush(): void {
    if (this.#filled === 0) return;
    const piece = this.#piece.subarray(0, this.#filled);
    this.sum = this.#checksum(piece, this.sum);
    writeWhole(this.#fd, piece, this.#position);
    this.#position += piece.length;
    this.#filled = 0;
  }
}

export class RunWriter {
  readonly #options: RunWriterOptions;
  readonly #layout: RunLayout;
  readonly #pagesMax: number;
  readonly #fd: number;
  readonly #fences: Section;
  readonly #filters: Section;
  readonly #buffer = new Uint8Array(PAGES_BUFFERED * PAGE_BYTES);
  readonly #sums = new BigUint64Array(this.#buffer.buffer);
  readonly #fence: Uint32Array;
  readonly #filter: Uint8Array;
  readonly #lastKey: Uint8Array;
  #records = 0;
  #pages = 0;
  #pagesWritten = 0;
  #inPage = 0;
  #open = true;

  constructor(options: RunWriterOptions) {
    const { shape, seed, checksum } = options;
    this.#options = options;
    invariant(
      shape.keyBytes % 4 === 0 && shape.fenceWords * 4 <= shape.keyBytes && shape.recordBytes % 4 === 0,
      'a run has words of four bytes',
    );
    const perPage = layoutOf(shape, 0).recordsPerPage;
    this.#pagesMax = Math.ceil(options.recordsMax / perPage);
    this.#layout = layoutOf(shape, this.#pagesMax);
    this.#fence = new Uint32Array(shape.fenceWords);
    this.#filter = new Uint8Array(this.#layout.filterBytes);
    this.#lastKey = new Uint8Array(shape.keyBytes);
    try {
      this.#fd = openSync(`${options.path}.part`, 'wx', 0o600);
    } catch (cause) {
      throw cacheFault(cause);
    }
    this.#fences = new Section(this.#fd, this.#layout.fencesAt, checksum, seed);
    this.#filters = new Section(this.#fd, this.#layout.filtersAt, checksum, seed);
  }

  get records(): number {
    return this.#records;
  }

  /** Whole records, in ascending order of unique keys. */
  push(batch: Uint8Array): void {
    const { recordBytes, keyBytes } = this.#options.shape;
    const { recordsPerPage, filterBytes } = this.#layout;
    for (let at = 0; at < batch.length; ) {
      const records = Math.min((batch.length - at) / recordBytes, recordsPerPage - this.#inPage);
      const previous = at === 0 ? this.#lastKey : batch;
      if (this.#records > 0) this.#checkOrder(previous, at === 0 ? 0 : at - recordBytes, batch, at);
      if (this.#inPage === 0) this.#beginPage(batch, at);
      const end = at + records * recordBytes;
      for (let record = at; record < end; record += recordBytes) {
        if (record > at) this.#checkOrder(batch, record - recordBytes, batch, record);
        addToFilter(this.#filter, 0, filterBytes, batch, record, keyBytes);
      }
      this.#buffer.set(batch.subarray(at, end), (this.#pages % PAGES_BUFFERED) * PAGE_BYTES + this.#inPage * recordBytes);
      this.#inPage += records;
      this.#records += records;
      at = end;
      if (this.#inPage === recordsPerPage) this.#endPage();
    }
    if (batch.length > 0) this.#lastKey.set(batch.subarray(batch.length - recordBytes, batch.length - recordBytes + keyBytes));
  }

  /** Completes the file and gives it its name. */
  finish(): void {
    const { path, shape, seed, checksum } = this.#options;
    if (this.#inPage > 0) this.#endPage();
    this.#flushPages();
    this.#fences.flush();
    this.#filters.flush();
    invariant(this.#pages <= this.#pagesMax, 'a run has as many records as were announced');
    const sums = { fenceChecksum: this.#fences.sum, filterChecksum: this.#filters.sum };
    const header = { ...shape, seed, records: this.#records, pages: this.#pages, pagesMax: this.#pagesMax, ...sums };
    writeWhole(this.#fd, encodeHeader(header, checksum), 0);
    this.#open = false;
    closeSync(this.#fd);
    renameSync(`${path}.part`, path);
  }

  /** Throws away what was written; does nothing after `finish`. */
  abort(): void {
    if (!this.#open) return;
    this.#open = false;
    closeQuietly(this.#fd);
    unlinkQuietly(`${this.#options.path}.part`);
  }

  #checkOrder(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): void {
    invariant(compareKeys(a, aAt, b, bAt, this.#options.shape.keyBytes) < 0, 'a run is written in ascending order of unique keys');
  }

  #beginPage(batch: Uint8Array, at: number): void {
    for (let word = 0; word < this.#fence.length; word++) this.#fence[word] = keyWord(batch, at + word * 4);
    this.#filter.fill(0);
  }

  #endPage(): void {
    const { seed, shape, checksum } = this.#options;
    const at = (this.#pages % PAGES_BUFFERED) * PAGE_BYTES;
    this.#buffer.fill(0, at + this.#inPage * shape.recordBytes, at + PAGE_BYTES);
    this.#sums[(at + PAGE_ROOM_BYTES) / 8] = checksum(this.#buffer.subarray(at, at + PAGE_ROOM_BYTES), pageSeed(seed, this.#pages));
    this.#fences.push(new Uint8Array(this.#fence.buffer));
    this.#filters.push(this.#filter);
    this.#pages++;
    this.#inPage = 0;
    if (this.#pages % PAGES_BUFFERED === 0) this.#flushPages();
  }

  #flushPages(): void {
    const waiting = this.#pages - this.#pagesWritten;
    writeWhole(this.#fd, this.#buffer.subarray(0, waiting * PAGE_BYTES), this.#layout.pagesAt + this.#pagesWritten * PAGE_BYTES);
    this.#pagesWritten = this.#pages;
  }
}

// Reads a run file (run-layout.ts). `openRun` checks everything but the pages and loads the fences, and the filters when there is
// memory for them, into shared memory: what it answers is a plain value that every thread of the process can read from. The
// descriptor is shared too: a file that is merged away and unlinked meanwhile stays readable until its owner closes it.
//
// A `RunReader` finds a key with one pread: the fences tell the page. Each page is checked when it is read, never trusted. A page
// or header that is not what was written makes the file worthless: it is unlinked, so that whoever looks next builds it anew, and
// the reader throws INDEX_CACHE_DAMAGED.

import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import { cacheFault, closeQuietly, readWhole } from './cache-file.ts';
import { type Checksum, foldChecksum } from './checksum.ts';
import { compareKeys, keyWord } from './keys.ts';
import { mayHold } from './page-filter.ts';
import { decodeHeader, layoutOf, PAGE_BYTES, PAGE_ROOM_BYTES, pageSeed, type RunHeader, type RunShape } from './run-layout.ts';

/** Structured-cloneable; the arrays lie in shared memory. Good until `closeRun`. */
export type OpenRun = RunHeader & {
  readonly path: string;
  readonly fd: number;
  readonly fences: Uint32Array;
  readonly filters: Uint8Array | undefined;
};

const SCAN_PAGES = 64;
const CACHED_PAGES = 16;
const LANDMARK_PAGES = 256;

/** Undefined when there is no such file, or it is not a whole run of this shape and number. A file that cannot be opened for another
 *  reason (a limit, a permission) is none that may be given up: that is thrown. */
export function openRun(path: string, shape: RunShape, seed: bigint, checksum: Checksum): OpenRun | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cacheFault(cause);
  }
  const run = readRun(fd, path, shape, seed, checksum);
  if (run === undefined) closeSync(fd);
  return run;
}

function readRun(fd: number, path: string, shape: RunShape, seed: bigint, checksum: Checksum): OpenRun | undefined {
  const page = new Uint8Array(PAGE_BYTES);
  if (!readWhole(fd, page, 0)) return undefined;
  const header = decodeHeader(page, checksum);
  if (header === undefined || header.seed !== seed) return undefined;
  if (header.recordBytes !== shape.recordBytes || header.keyBytes !== shape.keyBytes || header.fenceWords !== shape.fenceWords)
    return undefined;
  const { fencesAt, pagesAt } = layoutOf(shape, header.pagesMax);
  const sizeBytes = header.pages === 0 ? PAGE_BYTES : pagesAt + header.pages * PAGE_BYTES;
  if (fstatSync(fd).size !== sizeBytes) return undefined;
  const fences = new Uint32Array(new SharedArrayBuffer(header.pages * shape.fenceWords * 4));
  if (!readSection(fd, new Uint8Array(fences.buffer), fencesAt, seed, header.fenceChecksum, checksum)) return undefined;
  return { ...header, path, fd, fences, filters: undefined };
}

function readSection(fd: number, bytes: Uint8Array, position: number, seed: bigint, expected: bigint, checksum: Checksum): boolean {
  return readWhole(fd, bytes, position) && foldChecksum(checksum, bytes, seed) === expected;
}

export function filterBytesOf(run: RunHeader): number {
  return run.pages * layoutOf(run, run.pagesMax).filterBytes;
}

/** The run with its filters in memory; undefined when they are damaged. */
export function withFilters(run: OpenRun, checksum: Checksum): OpenRun | undefined {
  const filters = new Uint8Array(new SharedArrayBuffer(filterBytesOf(run)));
  const { filtersAt } = layoutOf(run, run.pagesMax);
  return readSection(run.fd, filters, filtersAt, run.seed, run.filterChecksum, checksum) ? { ...run, filters } : undefined;
}

export function closeRun(run: OpenRun): void {
  closeQuietly(run.fd);
}

/** For one thread. */
export class RunReader {
  readonly run: OpenRun;
  /** The page in which `locate` found its key. */
  page: Uint8Array;
  readonly #checksum: Checksum;
  readonly #recordsPerPage: number;
  readonly #filterBytes: number;
  readonly #pagesAt: number;
  readonly #pages: Uint8Array[] = [];
  /** Each page without its checksum. */
  readonly #bodies: Uint8Array[] = [];
  readonly #sums: BigUint64Array[] = [];
  readonly #cached = new Int32Array(CACHED_PAGES).fill(-1);
  readonly #prefix: Uint32Array;
  /** The first word of every LANDMARK_PAGES-th fence: few enough to stay in the processor's cache. */
  readonly #landmarks: Uint32Array;

  constructor(run: OpenRun, checksum: Checksum) {
    const layout = layoutOf(run, run.pagesMax);
    this.run = run;
    this.#checksum = checksum;
    this.#recordsPerPage = layout.recordsPerPage;
    this.#filterBytes = layout.filterBytes;
    this.#pagesAt = layout.pagesAt;
    const memory = new ArrayBuffer(CACHED_PAGES * PAGE_BYTES);
    for (let n = 0; n < CACHED_PAGES; n++) {
      this.#pages.push(new Uint8Array(memory, n * PAGE_BYTES, PAGE_BYTES));
      this.#bodies.push(new Uint8Array(memory, n * PAGE_BYTES, PAGE_ROOM_BYTES));
      this.#sums.push(new BigUint64Array(memory, n * PAGE_BYTES + PAGE_ROOM_BYTES, 1));
    }
    this.#landmarks = new Uint32Array(Math.ceil(run.pages / LANDMARK_PAGES));
    for (let n = 0; n < this.#landmarks.length; n++) this.#landmarks[n] = run.fences[n * LANDMARK_PAGES * run.fenceWords]!;
    this.page = this.#pages[0]!;
    this.#prefix = new Uint32Array(run.fenceWords);
  }

  /** Where in `page` the record of this key starts, or -1. */
  locate(key: Uint8Array, keyAt: number): number {
    const { filters, keyBytes } = this.run;
    const prefix = this.#prefix;
    for (let word = 0; word < prefix.length; word++) prefix[word] = keyWord(key, keyAt + word * 4);
    let page = this.#lastPageFrom();
    // Where a page starts with the same words, the key may also lie in the page before it.
    for (let again = true; again && page >= 0; page--) {
      again = this.#compareFence(page) === 0;
      if (filters !== undefined && !mayHold(filters, page * this.#filterBytes, this.#filterBytes, key, keyAt, keyBytes)) continue;
      this.page = this.#load(page);
      const at = this.#search(page, key, keyAt);
      if (at >= 0) return at;
    }
    return -1;
  }

  /** Copies the record of this key into `out`; false when there is none. */
  lookup(key: Uint8Array, out: Uint8Array, keyAt = 0): boolean {
    const at = this.locate(key, keyAt);
    if (at >= 0) out.set(this.page.subarray(at, at + this.run.recordBytes));
    return at >= 0;
  }

  /** All records in order, as batches that are valid until the next one. */
  *scan(): Generator<Uint8Array> {
    const { fd, pages, records, recordBytes, seed } = this.run;
    const buffer = new Uint8Array(SCAN_PAGES * PAGE_BYTES);
    const sums = new BigUint64Array(buffer.buffer);
    let left = records;
    for (let first = 0; first < pages; first += SCAN_PAGES) {
      const count = Math.min(SCAN_PAGES, pages - first);
      if (!readWhole(fd, buffer.subarray(0, count * PAGE_BYTES), this.#pagesAt + first * PAGE_BYTES)) this.#damaged();
      for (let n = 0; n < count; n++) {
        const at = n * PAGE_BYTES;
        const sum = this.#checksum(buffer.subarray(at, at + PAGE_ROOM_BYTES), pageSeed(seed, first + n));
        if (sum !== sums[(at + PAGE_ROOM_BYTES) / 8]) this.#damaged();
        const here = Math.min(left, this.#recordsPerPage);
        left -= here;
        yield buffer.subarray(at, at + here * recordBytes);
      }
    }
  }

  /** The last page whose fence is not after the prefix, or -1. */
  #lastPageFrom(): number {
    const { fences, fenceWords, pages } = this.run;
    const word = this.#prefix[0]!;
    const after = upperBound(this.#landmarks, word, 0, this.#landmarks.length);
    if (fenceWords === 1)
      return upperBound(fences, word, Math.max(0, after - 1) * LANDMARK_PAGES, Math.min(pages, after * LANDMARK_PAGES)) - 1;
    // Landmarks with the same first word may lie before and after the place.
    let low = Math.max(0, upperBound(this.#landmarks, word - 1, 0, after) - 1) * LANDMARK_PAGES;
    let high = Math.min(pages, after * LANDMARK_PAGES);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareFence(middle) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #compareFence(page: number): number {
    const { fences, fenceWords } = this.run;
    for (let word = 0; word < fenceWords; word++) {
      const difference = fences[page * fenceWords + word]! - this.#prefix[word]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #load(page: number): Uint8Array {
    const slot = page % CACHED_PAGES;
    const bytes = this.#pages[slot]!;
    if (this.#cached[slot] === page) return bytes;
    this.#cached[slot] = -1;
    if (!readWhole(this.run.fd, bytes, this.#pagesAt + page * PAGE_BYTES)) this.#damaged();
    if (this.#checksum(this.#bodies[slot]!, pageSeed(this.run.seed, page)) !== this.#sums[slot]![0]) this.#damaged();
    this.#cached[slot] = page;
    return bytes;
  }

  #search(page: number, key: Uint8Array, keyAt: number): number {
    const { keyBytes, recordBytes, records } = this.run;
    const bytes = this.page;
    let low = 0;
    let high = Math.min(this.#recordsPerPage, records - page * this.#recordsPerPage);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareKeys(bytes, middle * recordBytes, key, keyAt, keyBytes);
      if (order === 0) return middle * recordBytes;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  #damaged(): never {
    const { path } = this.run;
    try {
      unlinkSync(path);
    } catch {
      // Somebody else has unlinked it.
    }
    throw new Fault('INDEX_CACHE_DAMAGED', `The index cache file ${path} does not hold what was written to it`);
  }
}

/** The first of the ascending words in [low, high) that is greater than `word`, or `high`. */
function upperBound(words: Uint32Array, word: number, low: number, high: number): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (words[middle]! <= word) from = middle + 1;
    else to = middle;
  }
  return from;
}

// The layout of a run file: an immutable table of fixed-size records with unique keys, sorted.
//
//   header (one page) | fences | filters | pages
//
// A page has 4 KiB: records from its start, the checksum of the rest in its last eight bytes, seeded with the run's own number and
// the page's position. A fence is the first words of a page's first key; a filter is a small Bloom filter of a page's keys. The room
// for both is laid out for the most records that may come, so that a writer needs memory for neither. Each is covered by a checksum
// in the header, and the header by its own. Numbers have the byte order of the machine: a cache does not travel.

import { CHECKSUM_BYTES, type Checksum } from './checksum.ts';
import type { RecordShape } from './merge-sorted.ts';

export const PAGE_BYTES = 4096;
export const PAGE_ROOM_BYTES = PAGE_BYTES - CHECKSUM_BYTES;
const MAGIC = 0x5249_4648;
const VERSION = 1;

export type RunShape = RecordShape & {
  /** Words of four bytes: as many as it takes to tell pages apart. One for random keys. */
  readonly fenceWords: number;
};

export type RunHeader = RunShape & {
  /** The run's own number; unlikely to be any other run's. */
  readonly seed: bigint;
  readonly records: number;
  readonly pages: number;
  /** What the sections before the pages have room for. */
  readonly pagesMax: number;
  readonly fenceChecksum: bigint;
  readonly filterChecksum: bigint;
};

export type RunLayout = {
  readonly recordsPerPage: number;
  readonly filterBytes: number;
  readonly fencesAt: number;
  readonly filtersAt: number;
  readonly pagesAt: number;
};

const pageAligned = (bytes: number) => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;

export function layoutOf(shape: RunShape, pagesMax: number): RunLayout {
  const recordsPerPage = recordsPerPageOf(shape);
  // Seven bits a key or more, a power of two, one cache line for 73 keys: one in thirty absent keys passes.
  const filterBytes = 2 ** Math.ceil(Math.log2((recordsPerPage * 7) / 8));
  const fencesAt = PAGE_BYTES;
  const filtersAt = fencesAt + pageAligned(pagesMax * shape.fenceWords * 4);
  const pagesAt = filtersAt + pageAligned(pagesMax * filterBytes);
  return { recordsPerPage, filterBytes, fencesAt, filtersAt, pagesAt };
}

export function recordsPerPageOf(shape: RecordShape): number {
  return Math.floor(PAGE_ROOM_BYTES / shape.recordBytes);
}

export function encodeHeader(header: RunHeader, checksum: Checksum): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  const numbers = new Uint32Array(page.buffer);
  numbers.set([MAGIC, VERSION, header.recordBytes, header.keyBytes, header.fenceWords]);
  new Float64Array(page.buffer, 24, 3).set([header.records, header.pages, header.pagesMax]);
  new BigUint64Array(page.buffer, 48, 3).set([header.seed, header.fenceChecksum, header.filterChecksum]);
  new BigUint64Array(page.buffer, PAGE_ROOM_BYTES, 1)[0] = checksum(page.subarray(0, PAGE_ROOM_BYTES), header.seed);
  return page;
}

/** Undefined when these are not the bytes of a header that this version wrote on such a machine. */
export function decodeHeader(page: Uint8Array, checksum: Checksum): RunHeader | undefined {
  const copy = page.slice();
  const numbers = new Uint32Array(copy.buffer, 0, 5);
  const [seed, fenceChecksum, filterChecksum] = new BigUint64Array(copy.buffer, 48, 3);
  if (numbers[0] !== MAGIC || numbers[1] !== VERSION) return undefined;
  if (new BigUint64Array(copy.buffer, PAGE_ROOM_BYTES, 1)[0] !== checksum(copy.subarray(0, PAGE_ROOM_BYTES), seed!))
    return undefined;
  const [records, pages, pagesMax] = new Float64Array(copy.buffer, 24, 3);
  return {
    recordBytes: numbers[2]!,
    keyBytes: numbers[3]!,
    fenceWords: numbers[4]!,
    seed: seed!,
    records: records!,
    pages: pages!,
    pagesMax: pagesMax!,
    fenceChecksum: fenceChecksum!,
    filterChecksum: filterChecksum!,
  };
}

/** The seed of a page's checksum. */
export function pageSeed(seed: bigint, page: number): bigint {
  return seed ^ BigInt(page);
}

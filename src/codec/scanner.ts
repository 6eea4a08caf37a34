// The loops that look at every byte of a backup, over a window that its owner reads files into. Both implementations give the
// same answers; the SIMD one is WebAssembly, the plain one JavaScript for a machine without it.

export type Scanner = {
  readonly kind: 'simd' | 'plain';
  /** The bytes that are scanned; never moves, begins at a multiple of 4096 in its buffer. Read straight into it. */
  readonly window: Uint8Array;
  /**
   * The first offset in [from, to) whose hash (specified in chunker.ts) is at least `least`, as signed 32-bit numbers; `to` when there
   * is none. `from` is at least 33 and `to` at most window.length + 1: the hash at an offset is that of the bytes before it.
   */
  findCandidate(from: number, to: number, multiplier: number, least: number): number;
  /** Whether every byte of window[start, end) is zero. */
  isZero(start: number, end: number): boolean;
  /** The offset of the first PostgreSQL page in [start, end) that is not as its checksum says (page-checksum.ts), or `end`. Whole pages, the
   *  first of them number `block` of its relation. */
  brokenPage(start: number, end: number, pageBytes: number, block: number): number;
};

export const WINDOW_BYTES_MAX = 1024 * 1024 * 1024;

// Content-defined chunking: cuts a stream where its content says so, so that an insertion changes only the chunks around it.
// Cuts are forever: another rule would find no chunk of an older snapshot again. This is the rule, exactly.
//
// Hash. M is the multiplier, an even 32-bit number with exactly one factor of two (M mod 4 = 2; chunk-multiplier.ts chooses it).
//   hash(p) = b[p-1] + b[p-2]*M + b[p-3]*M^2 + ... + b[p-32]*M^31   mod 2^32, read as a signed number (two's complement)
// where b[i] is the byte at offset i of the stream and p the offset between b[p-1] and b[p]. Rolling: h = h*M + b mod 2^32. M^32 is
// 0 mod 2^32, so older bytes fall out by themselves: no table, no byte to take away, and any offset can be hashed on its own.
// The sums' high bits are the ones that all 32 bytes reach, so a large hash is what makes a candidate.
//
// Cut rule, for a chunk that begins at offset s, with min = minBytes, avg = averageBytes, max = maxBytes. Its end is the least p with
//   s+min <= p < s+avg  and  hash(p) >= 2^31 - floor(2^30 / avg)     strict: one offset in 4*avg of random bytes
//   s+avg <= p < s+max  and  hash(p) >= 2^31 - floor(2^34 / avg)     loose: one in avg/4 (normalised chunking: lengths gather round avg)
//   p = s+max
// or the end of the stream, whichever comes first. An empty stream has no chunk. Random bytes give a mean of 1.08 to 1.25 avg when
// max >= 2*avg (1.14 at min = avg/4). Zero bytes hash to 0 and are never a candidate: holes become chunks of max bytes.
//
// Invariant: min >= 64, so the 32 bytes before any judged offset lie inside the chunk that it may end. A chunk's end therefore depends
// on the bytes of that chunk and on nothing before it (no warm-up at the beginning of a stream to define), and the rest of a window
// can be moved to its front and judged again with no state kept: cuts do not depend on how a stream was split into windows.

import { invariant } from '../base/invariant.ts';
import { openScanner } from './open-scanner.ts';
import { type Scanner, WINDOW_BYTES_MAX } from './scanner.ts';

export type ChunkerParameters = {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
  readonly multiplier: number;
};

export const CHUNK_BYTES_MIN = 64;

/** Cuts what its owner reads into `window`. Holds no state between calls; several may share one scanner. */
export class Chunker {
  /** Read straight into it, `windowBytes` long. */
  readonly window: Uint8Array;
  readonly scanner: Scanner;
  readonly parameters: ChunkerParameters;
  /** The most cuts that one call can give: the length that `cuts` needs. */
  readonly cutsMax: number;
  readonly #strict: number;
  readonly #loose: number;

  /** `window`: the bytes of a new window, or an open scanner whose window is used. At least maxBytes, so that a full window has a cut. */
  constructor(parameters: ChunkerParameters, window: number | Scanner) {
    const windowBytes = typeof window === 'number' ? window : window.window.length;
    check(parameters, windowBytes);
    this.parameters = parameters;
    this.scanner = typeof window === 'number' ? openScanner(window) : window;
    this.window = this.scanner.window;
    this.cutsMax = Math.ceil(windowBytes / parameters.minBytes);
    this.#strict = 2 ** 31 - Math.floor(2 ** 30 / parameters.averageBytes);
    this.#loose = 2 ** 31 - Math.floor(2 ** 34 / parameters.averageBytes);
  }

  /**
   * Cuts window[0, length), which begins at the beginning of a chunk. Writes the end offsets (exclusive) of whole chunks to `cuts` and
   * returns their number. Unless `last`, the bytes behind the last cut are an unfinished chunk: move them to the front (copyWithin),
   * read more behind them and call again. Fill the window each time, as these bytes are scanned again. `last`: the stream ends at
   * `length`, and so does the last chunk.
   */
  cut(length: number, last: boolean, cuts: Uint32Array): number {
    return this.cutRange(0, length, last, cuts);
  }

  /** Cuts window[begin, end), which begins at the beginning of a chunk. As `cut`. */
  cutRange(begin: number, end: number, last: boolean, cuts: Uint32Array): number {
    invariant(begin >= 0 && end <= this.window.length, 'the chunker is asked to cut bytes inside its window');
    invariant(cuts.length * this.parameters.minBytes >= end - begin, 'the chunker is given room for every cut');
    let count = 0;
    let start = begin;
    while (start < end) {
      const cut = this.#endOfChunk(start, end);
      if (cut > end) break;
      cuts[count++] = cut;
      start = cut;
    }
    if (last && start < end) cuts[count++] = end;
    return count;
  }

  /** The end of the chunk at `start`, or an offset behind `length` when these bytes do not decide it. */
  #endOfChunk(start: number, length: number): number {
    const { minBytes, averageBytes, maxBytes, multiplier } = this.parameters;
    const first = start + minBytes;
    if (first > length) return first;
    const behind = length + 1;
    const middle = Math.min(start + averageBytes, behind);
    const strict = this.scanner.findCandidate(first, middle, multiplier, this.#strict);
    if (strict < middle || middle === behind) return strict;
    const end = Math.min(start + maxBytes, behind);
    return this.scanner.findCandidate(middle, end, multiplier, this.#loose);
  }
}

function check(parameters: ChunkerParameters, windowBytes: number): void {
  const { minBytes, averageBytes, maxBytes, multiplier } = parameters;
  const sizes = [CHUNK_BYTES_MIN, minBytes, averageBytes, maxBytes, windowBytes, WINDOW_BYTES_MAX];
  invariant(
    sizes.every((size, i) => Number.isSafeInteger(size) && (i === 0 || sizes[i - 1]! <= size)),
    `chunk sizes go up: ${CHUNK_BYTES_MIN} <= min ${minBytes} <= average ${averageBytes} <= max ${maxBytes} <= window ${windowBytes} <= ${WINDOW_BYTES_MAX}`,
  );
  invariant(
    Number.isInteger(multiplier) && multiplier >= 0 && multiplier < 2 ** 32 && multiplier % 4 === 2,
    `the multiplier is a 32-bit number that is 2 modulo 4, not ${multiplier}`,
  );
}

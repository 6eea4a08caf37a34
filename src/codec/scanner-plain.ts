// The kernel's twin in plain JavaScript: the fallback where WebAssembly has no SIMD, and the reference that the kernel is tested against.
// The same idea on a smaller scale: four segments at a time, because each hash waits for the one before it, and four bytes a load,
// because each load pays for a check of its bounds (both together: three times the speed of the plain loop).

import { endianness } from 'node:os';
import { PageChecker } from './page-checksum.ts';
import type { Scanner } from './scanner.ts';

/** `words`: the same bytes, four at a time, first byte lowest; empty where the machine reads them the other way round. */
type Data = { readonly bytes: Uint8Array; readonly words: Int32Array };

const HISTORY = 32;
const SEGMENTS = 4;
const SEGMENT_BYTES = 2048;
const SPAN_BYTES = SEGMENTS * SEGMENT_BYTES;
const ZEROS_BYTES = 64 * 1024;

export function openPlainScanner(windowBytes: number): Scanner {
  const buffer = new ArrayBuffer(Math.ceil(windowBytes / 4) * 4);
  const window = new Uint8Array(buffer, 0, windowBytes);
  const data: Data = { bytes: window, words: endianness() === 'LE' ? new Int32Array(buffer) : new Int32Array(0) };
  const asBuffer = Buffer.from(buffer, 0, windowBytes);
  const zeros = Buffer.alloc(Math.min(ZEROS_BYTES, windowBytes));
  let pages: PageChecker | undefined;
  return {
    kind: 'plain',
    window,
    findCandidate: (from, to, multiplier, least) => find(data, from, to, multiplier | 0, least | 0),
    isZero: (start, end) => isZero(asBuffer, zeros, start, end),
    brokenPage: (start, end, pageBytes, block) => {
      if (pages?.pageBytes !== pageBytes) pages = new PageChecker(pageBytes);
      return pages.firstBroken(window, start, end, block);
    },
  };
}

function find(data: Data, from: number, to: number, multiplier: number, least: number): number {
  if (to - from < SPAN_BYTES + 4 || data.words.length === 0) return findOneByOne(data, from, to, multiplier, least);
  // The hash at an offset takes in the byte before it: make that byte the first of a word.
  const aligned = ((from + 2) & ~3) + 1;
  const found = findOneByOne(data, from, aligned, multiplier, least);
  if (found < aligned) return found;
  let at = aligned;
  for (; to - at >= SPAN_BYTES; at += SPAN_BYTES) {
    const clear = clearUntil(data, at, multiplier, least);
    // Somewhere in this span there is a candidate; its first segment is known to have none before `clear`.
    if (clear < SEGMENT_BYTES) return findOneByOne(data, at + clear, to, multiplier, least);
  }
  return findOneByOne(data, at, to, multiplier, least);
}

/** The hash at `at`. */
function hashAt(bytes: Uint8Array, at: number, multiplier: number): number {
  let hash = 0;
  for (let i = at - HISTORY; i < at; i++) hash = (Math.imul(hash, multiplier) + bytes[i]!) | 0;
  return hash;
}

function findOneByOne({ bytes }: Data, from: number, to: number, multiplier: number, least: number): number {
  let hash = hashAt(bytes, from - 1, multiplier);
  for (let at = from; at < to; at++) {
    hash = (Math.imul(hash, multiplier) + bytes[at - 1]!) | 0;
    if (hash >= least) return at;
  }
  return to;
}

/** How far, in whole words, all four segments of [from, from + SPAN_BYTES) are without a candidate. `from` - 1 is a multiple of 4. */
function clearUntil({ bytes, words }: Data, from: number, m: number, least: number): number {
  const segmentWords = SEGMENT_BYTES >> 2;
  const first = (from - 1) >> 2;
  let a = hashAt(bytes, from - 1, m);
  let b = hashAt(bytes, from - 1 + SEGMENT_BYTES, m);
  let c = hashAt(bytes, from - 1 + 2 * SEGMENT_BYTES, m);
  let d = hashAt(bytes, from - 1 + 3 * SEGMENT_BYTES, m);
  for (let i = 0; i < segmentWords; i++) {
    const at = first + i;
    const wa = words[at]!;
    const wb = words[at + segmentWords]!;
    const wc = words[at + 2 * segmentWords]!;
    const wd = words[at + 3 * segmentWords]!;
    a = (Math.imul(a, m) + (wa & 255)) | 0;
    b = (Math.imul(b, m) + (wb & 255)) | 0;
    c = (Math.imul(c, m) + (wc & 255)) | 0;
    d = (Math.imul(d, m) + (wd & 255)) | 0;
    if (a >= least || b >= least || c >= least || d >= least) return i << 2;
    a = (Math.imul(a, m) + ((wa >>> 8) & 255)) | 0;
    b = (Math.imul(b, m) + ((wb >>> 8) & 255)) | 0;
    c = (Math.imul(c, m) + ((wc >>> 8) & 255)) | 0;
    d = (Math.imul(d, m) + ((wd >>> 8) & 255)) | 0;
    if (a >= least || b >= least || c >= least || d >= least) return i << 2;
    a = (Math.imul(a, m) + ((wa >>> 16) & 255)) | 0;
    b = (Math.imul(b, m) + ((wb >>> 16) & 255)) | 0;
    c = (Math.imul(c, m) + ((wc >>> 16) & 255)) | 0;
    d = (Math.imul(d, m) + ((wd >>> 16) & 255)) | 0;
    if (a >= least || b >= least || c >= least || d >= least) return i << 2;
    a = (Math.imul(a, m) + (wa >>> 24)) | 0;
    b = (Math.imul(b, m) + (wb >>> 24)) | 0;
    c = (Math.imul(c, m) + (wc >>> 24)) | 0;
    d = (Math.imul(d, m) + (wd >>> 24)) | 0;
    if (a >= least || b >= least || c >= least || d >= least) return i << 2;
  }
  return SEGMENT_BYTES;
}

function isZero(bytes: Buffer, zeros: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += zeros.length) {
    const stop = Math.min(at + zeros.length, end);
    if (bytes[at] !== 0 || bytes.compare(zeros, 0, stop - at, at, stop) !== 0) return false;
  }
  return true;
}

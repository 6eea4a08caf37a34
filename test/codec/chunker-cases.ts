// What the chunker's tests share: seeded data, and the rule of src/codec/chunker.ts written down once more, slowly and word for word.

import type { Chunker, ChunkerParameters } from '../../src/codec/chunker.ts';

/** Well mixing, as chunkMultiplier gives them. */
export const MULTIPLIER = 0x3ad430e2;

/** Numbers in [0, below), the same for the same seed (xorshift32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

export function randomData(length: number, seed: number): Uint8Array {
  const next = seeded(seed);
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = next(0x7fffffff) >>> 11;
  return data;
}

export function textData(length: number, seed: number): Uint8Array {
  const next = seeded(seed);
  const words = Array.from({ length: 400 }, () =>
    Array.from({ length: 2 + next(8) }, () => String.fromCharCode(97 + next(26))).join(''),
  );
  let text = '';
  while (text.length < length) text += words[Math.min(next(400), next(400))] + (next(12) === 0 ? '.\n' : ' ');
  return Buffer.from(text.slice(0, length));
}

export function periodicData(length: number, period: number, seed: number): Uint8Array {
  const piece = randomData(period, seed);
  return Uint8Array.from({ length }, (_, i) => piece[i % period]!);
}

/** Random data with long holes, as in disk images. */
export function sparseData(length: number, seed: number): Uint8Array {
  const next = seeded(seed);
  const data = randomData(length, seed);
  for (let at = 0; at < length; at += 1 + next(length >> 3)) data.fill(0, at, at + next(length >> 3));
  return data;
}

/** hash(p) as a sum, not rolled. */
export function hashBySum(data: Uint8Array, p: number, multiplier: number): number {
  let sum = 0;
  let power = 1;
  for (let age = 1; age <= 32; age++) {
    sum = (sum + Math.imul(data[p - age]!, power)) | 0;
    power = Math.imul(power, multiplier);
  }
  return sum;
}

/** The ends of all chunks of `data`. */
export function cutsByRule(data: Uint8Array, parameters: ChunkerParameters): number[] {
  const { minBytes, averageBytes, maxBytes, multiplier } = parameters;
  const cuts: number[] = [];
  let s = 0;
  while (s < data.length) {
    let p = s + minBytes;
    while (p < s + maxBytes && p < data.length) {
      const oneIn = p < s + averageBytes ? 4 * averageBytes : averageBytes / 4;
      if (hashBySum(data, p, multiplier) >= 2 ** 31 - Math.floor(2 ** 32 / oneIn)) break;
      p++;
    }
    s = Math.min(p, data.length);
    cuts.push(s);
  }
  return cuts;
}

/** The ends of all chunks of `data` by `chunker`, reading pieces of the lengths that `pieceBytes` gives (it may be asked for too much). */
export function cutsByChunker(
  chunker: Chunker,
  data: Uint8Array,
  pieceBytes: () => number = () => chunker.window.length,
): number[] {
  const found = new Uint32Array(chunker.cutsMax);
  const cuts: number[] = [];
  let base = 0; // offset in the stream of the window's first byte
  let held = 0;
  for (let at = 0; at < data.length || held > 0; ) {
    const piece = Math.min(pieceBytes(), chunker.window.length - held, data.length - at);
    chunker.window.set(data.subarray(at, at + piece), held);
    at += piece;
    held += piece;
    const count = chunker.cut(held, at === data.length, found);
    for (let i = 0; i < count; i++) cuts.push(base + found[i]!);
    const end = count === 0 ? 0 : found[count - 1]!;
    chunker.window.copyWithin(0, end, held);
    base += end;
    held -= end;
  }
  return cuts;
}

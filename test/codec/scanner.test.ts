import { describe, expect, test } from 'vitest';
import { openScanner } from '../../src/codec/open-scanner.ts';
import type { Scanner } from '../../src/codec/scanner.ts';
import { openPlainScanner } from '../../src/codec/scanner-plain.ts';
import { hashBySum, MULTIPLIER, randomData, seeded, sparseData, textData } from './chunker-cases.ts';

const SCANNERS: [string, (windowBytes: number) => Scanner][] = [
  ['SIMD', openScanner],
  ['plain', openPlainScanner],
];
const RARE = 2 ** 31 - 2 ** 15; // one offset in 131,072

/** 32 bytes that make, among zeros, exactly one candidate: right behind themselves. */
function loneCandidate(): Uint8Array {
  const next = seeded(5);
  const data = new Uint8Array(96);
  for (;;) {
    for (let i = 32; i < 64; i++) data[i] = next(256);
    if (hashBySum(data, 64, MULTIPLIER) < RARE) continue;
    const candidates = Array.from({ length: 63 }, (_, i) => i + 33).filter((p) => hashBySum(data, p, MULTIPLIER) >= RARE);
    if (candidates.length === 1) return data.slice(32, 64);
  }
}

describe.each(SCANNERS)('the %s scanner', (_, open) => {
  const LENGTH = 40_000; // two spans and a rest
  const lone = loneCandidate();

  test('finds a lone candidate wherever it lies', () => {
    const scanner = open(LENGTH);
    for (let p = 64; p <= LENGTH; p++) {
      scanner.window.fill(0, Math.max(0, p - 40), p);
      scanner.window.set(lone, p - 32);
      const found = scanner.findCandidate(64, LENGTH + 1, MULTIPLIER, RARE);
      if (found !== p) expect(found).toBe(p);
    }
  });

  test('does not find a candidate that lies just outside the range', () => {
    const next = seeded(6);
    const scanner = open(LENGTH);
    for (let i = 0; i < 3000; i++) {
      const from = 64 + next(LENGTH - 200);
      const to = from + 1 + next(LENGTH - 100 - from);
      scanner.window.fill(0);
      scanner.window.set(lone, from - 1 - 32);
      if (to + 32 <= LENGTH) scanner.window.set(lone, to - 32);
      // Where both are close, their bytes overlap: then the sum decides what is right.
      const expected = to - from < 64 ? firstBySum(scanner.window, from, to) : to;
      expect(scanner.findCandidate(from, to, MULTIPLIER, RARE)).toBe(expected);
    }
  });

  test('finds the first of two candidates, in whatever order it comes by them', () => {
    const next = seeded(7);
    const scanner = open(LENGTH);
    for (let i = 0; i < 5000; i++) {
      const one = 64 + next(LENGTH - 64);
      const two = 64 + next(LENGTH - 64);
      if (Math.abs(one - two) < 64) continue;
      scanner.window.set(lone, one - 32);
      scanner.window.set(lone, two - 32);
      const found = scanner.findCandidate(64, LENGTH + 1, MULTIPLIER, RARE);
      if (found !== Math.min(one, two)) expect(found).toBe(Math.min(one, two));
      scanner.window.fill(0, one - 32, one);
      scanner.window.fill(0, two - 32, two);
    }
  });

  test('tells zero ranges from others, byte by byte', () => {
    const scanner = open(70_000);
    const ranges = [0, 1, 15, 16, 63, 64, 65, 127, 200, 16_384, 66_000].flatMap((length) =>
      [0, 1, 8, 63, 3000].map((at) => [at, at + length] as const),
    );
    for (const [start, end] of ranges) {
      scanner.window.fill(0);
      if (start > 0) scanner.window[start - 1] = 1;
      scanner.window[end] = 1;
      expect(scanner.isZero(start, end)).toBe(true);
      const step = end - start > 1000 ? 61 : 1;
      for (let at = start; at < end; at += step) {
        scanner.window[at] = 0x80;
        if (scanner.isZero(start, end)) expect.fail(`byte ${at} of [${start}, ${end}) was not seen`);
        scanner.window[at] = 0;
      }
    }
  });

  test('begins its window on a page, as direct reads need it', () => {
    const { window } = open(123_456);
    expect(window.length).toBe(123_456);
    expect(window.byteOffset % 4096).toBe(0);
  });
});

function firstBySum(data: Uint8Array, from: number, to: number): number {
  for (let p = from; p < to; p++) if (hashBySum(data, p, MULTIPLIER) >= RARE) return p;
  return to;
}

test('kernel and twin find the same candidates in any range, at any rarity, with any multiplier', () => {
  const length = 300_000;
  const simd = openScanner(length);
  const plain = openPlainScanner(length);
  const next = seeded(8);
  for (const data of [randomData(length, 1), textData(length, 2), sparseData(length, 3), new Uint8Array(length).fill(32)]) {
    simd.window.set(data);
    plain.window.set(data);
    for (let i = 0; i < 1500; i++) {
      const multiplier = ((next(0x7fffffff) * 4) % 2 ** 32) + 2;
      const least = 2 ** 31 - 2 ** (4 + next(27));
      const from = 64 + next(length - 64);
      const to = Math.min(length + 1, from + next(i % 3 === 0 ? length : 2000));
      const expected = plain.findCandidate(from, to, multiplier, least);
      const found = simd.findCandidate(from, to, multiplier, least);
      if (found !== expected) expect.fail(`[${from}, ${to}) * ${multiplier} >= ${least}: kernel ${found}, twin ${expected}`);
    }
  }
});

test('a scanner leaves its window as it was', () => {
  const scanner = openScanner(100_000);
  const data = randomData(100_000, 9);
  scanner.window.set(data);
  scanner.findCandidate(64, 100_001, MULTIPLIER, 2 ** 31 - 1);
  scanner.isZero(0, 100_000);
  expect(Buffer.compare(scanner.window, data)).toBe(0);
});

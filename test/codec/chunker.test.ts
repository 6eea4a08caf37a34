import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Chunker, type ChunkerParameters } from '../../src/codec/chunker.ts';
import { openScanner } from '../../src/codec/open-scanner.ts';
import type { Scanner } from '../../src/codec/scanner.ts';
import { openPlainScanner } from '../../src/codec/scanner-plain.ts';
import { cutsByChunker, cutsByRule, MULTIPLIER, periodicData, randomData, seeded, sparseData, textData } from './chunker-cases.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const sizes = (minBytes: number, averageBytes: number, maxBytes: number, multiplier = MULTIPLIER): ChunkerParameters => ({
  minBytes,
  averageBytes,
  maxBytes,
  multiplier,
});

const FILES = sizes(64 * KIB, 256 * KIB, MIB);
const SETS = [
  sizes(64, 64, 64),
  sizes(64, 64, 4096),
  sizes(64, 256, 1024, 0x9e3779b2),
  sizes(100, 1000, 3001, 0xfffffffe),
  sizes(512, 4096, 4096, 6),
  sizes(4096, 4096, 65536, 0x12345672),
  sizes(4 * KIB, 16 * KIB, 64 * KIB),
];
const SCANNERS: [string, (windowBytes: number) => Scanner][] = [
  ['SIMD', openScanner],
  ['plain', openPlainScanner],
];

const DATA: [string, Uint8Array][] = [
  ['random', randomData(150_000, 1)],
  ['text', textData(150_000, 2)],
  ['zero', new Uint8Array(150_000)],
  ['0xff', new Uint8Array(150_000).fill(255)],
  ['period 7', periodicData(150_000, 7, 3)],
  ['period 1000', periodicData(150_000, 1000, 4)],
  ['sparse', sparseData(150_000, 5)],
  ['nothing', new Uint8Array(0)],
  ['one byte', new Uint8Array(1)],
  ['63 bytes', randomData(63, 6)],
  ['64 bytes', randomData(64, 7)],
  ['65 bytes', randomData(65, 8)],
];

test('this machine scans with SIMD, so the tests below do compare the kernel with its twin', () => {
  expect(openScanner(4096).kind).toBe('simd');
  expect(openPlainScanner(4096).kind).toBe('plain');
});

describe.each(SCANNERS)('the %s scanner', (_, open) => {
  test.each(DATA)('cuts %s data exactly as the rule says', (_, data) => {
    for (const parameters of SETS) {
      const chunker = new Chunker(parameters, open(Math.max(data.length, parameters.maxBytes)));
      expect(cutsByChunker(chunker, data), JSON.stringify(parameters)).toEqual(cutsByRule(data, parameters));
    }
  });

  test('cuts a stream at the same places however it arrives', () => {
    const next = seeded(99);
    for (const [index, parameters] of SETS.entries()) {
      for (const [name, data] of DATA) {
        const whole = cutsByRule(data, parameters);
        for (const most of [1, 2000, 40_000]) {
          const windowBytes = parameters.maxBytes + next(parameters.maxBytes * 2);
          if (most === 1 && index > 2) continue; // byte by byte rescans the unfinished chunk each time
          const length = most === 1 ? Math.min(data.length, 3000) : data.length;
          const chunker = new Chunker(parameters, open(windowBytes));
          const cuts = cutsByChunker(chunker, data.subarray(0, length), () => 1 + next(most));
          const expected = length === data.length ? whole : cutsByRule(data.subarray(0, length), parameters);
          expect(cuts, `${name}, pieces up to ${most}, window ${windowBytes}, ${JSON.stringify(parameters)}`).toEqual(expected);
        }
      }
    }
  });

  test('keeps its cuts for ever (a change here finds no chunk of an older snapshot again)', () => {
    const chunker = new Chunker(FILES, open(8 * MIB));
    const cuts = [textData(3 * MIB, 11), randomData(16 * MIB, 12), sparseData(8 * MIB, 13)].map((data) =>
      cutsByChunker(chunker, data),
    );
    expect(cuts.map((each) => each.length)).toEqual([9, 57, 16]);
    expect(createHash('sha256').update(JSON.stringify(cuts)).digest('hex')).toBe(
      '3ee1d53c3d8289405ba2d1b497a83bb2c829b21bd77de62444c85825ba4d979f',
    );
  });
});

describe('the chunker', () => {
  test.each([
    FILES,
    sizes(16 * KIB, 64 * KIB, 256 * KIB),
    sizes(4 * KIB, 16 * KIB, 64 * KIB),
    sizes(64, 8 * KIB, 16 * KIB),
    sizes(8000, 10_000, 90_000),
  ])('keeps to minimum and maximum and near the average: %j', (parameters) => {
    const data = randomData(64 * MIB, 21);
    const cuts = cutsByChunker(new Chunker(parameters, 8 * MIB), data);
    const lengths = cuts.map((cut, i) => cut - (cuts[i - 1] ?? 0));
    expect(lengths.reduce((sum, length) => sum + length)).toBe(data.length);
    expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThanOrEqual(parameters.minBytes);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(parameters.maxBytes);
    const mean = data.length / lengths.length;
    expect(mean).toBeGreaterThan(parameters.averageBytes * 0.75);
    expect(mean).toBeLessThan(parameters.averageBytes * 1.25);
  });

  test('changes only the chunks around an inserted byte', () => {
    const data = randomData(16 * MIB, 31);
    const middle = 8 * MIB + 12_345;
    const longer = new Uint8Array(data.length + 1);
    longer.set(data.subarray(0, middle));
    longer[middle] = 77;
    longer.set(data.subarray(middle), middle + 1);
    for (const parameters of [FILES, sizes(16 * KIB, 64 * KIB, 256 * KIB)]) {
      const chunker = new Chunker(parameters, 4 * MIB);
      const chunks = (bytes: Uint8Array) => {
        const cuts = cutsByChunker(chunker, bytes);
        return cuts.map((cut, i) =>
          createHash('sha256')
            .update(bytes.subarray(cuts[i - 1] ?? 0, cut))
            .digest('hex'),
        );
      };
      const before = new Set(chunks(data));
      const after = chunks(longer);
      const changed = after.filter((chunk) => !before.has(chunk)).length;
      expect(changed).toBeGreaterThanOrEqual(1);
      expect(changed).toBeLessThanOrEqual(4);
      expect(after.length).toBeGreaterThan(40);
    }
  });

  test('makes chunks of maximum length of holes, and leaves what is undecided', () => {
    const chunker = new Chunker(FILES, 8 * MIB);
    const cuts = new Uint32Array(chunker.cutsMax);
    expect(chunker.cut(2 * MIB + 5, false, cuts)).toBe(2);
    expect([...cuts.subarray(0, 2)]).toEqual([MIB, 2 * MIB]);
    expect(chunker.cut(2 * MIB + 5, true, cuts)).toBe(3);
    expect(cuts[2]).toBe(2 * MIB + 5);
    expect(chunker.cut(0, true, cuts)).toBe(0);
  });

  test('finds a cut in every full window, so that a stream always moves on', () => {
    for (const parameters of SETS) {
      const chunker = new Chunker(parameters, parameters.maxBytes);
      const cuts = new Uint32Array(chunker.cutsMax);
      expect(chunker.cut(parameters.maxBytes, false, cuts)).toBeGreaterThanOrEqual(1);
    }
  });

  test('shares one window among several sets of parameters', () => {
    const scanner = openScanner(8 * MIB);
    const one = new Chunker(FILES, scanner);
    const two = new Chunker(sizes(4 * KIB, 16 * KIB, 64 * KIB), scanner);
    expect(one.window).toBe(two.window);
    const data = textData(2 * MIB, 41);
    expect(cutsByChunker(one, data)).toEqual(cutsByChunker(new Chunker(FILES, 8 * MIB), data));
    expect(cutsByChunker(two, data)).toEqual(cutsByChunker(new Chunker(two.parameters, 8 * MIB), data));
  });

  test.each([
    ['a minimum under 64', sizes(63, 256, 1024), 4096],
    ['a minimum above the average', sizes(300, 256, 1024), 4096],
    ['an average above the maximum', sizes(64, 2048, 1024), 4096],
    ['a maximum above the window', sizes(64, 256, 4097), 4096],
    ['a window above 1 GiB', sizes(64, 256, 1024), 1024 * MIB + 1],
    ['half a byte', sizes(64.5, 256, 1024), 4096],
    ['no number', sizes(Number.NaN, 256, 1024), 4096],
    ['an odd multiplier', sizes(64, 256, 1024, 3), 4096],
    ['a multiplier with two factors of two', sizes(64, 256, 1024, 12), 4096],
    ['a multiplier of 33 bits', sizes(64, 256, 1024, 2 ** 32 + 2), 4096],
    ['a negative multiplier', sizes(64, 256, 1024, -2), 4096],
  ])('refuses %s', (_, parameters, windowBytes) => {
    expect(() => new Chunker(parameters, windowBytes)).toThrow(/Invariant broken/);
  });

  test('refuses to cut outside its window, or without room for the cuts', () => {
    const chunker = new Chunker(sizes(64, 256, 1024), 4096);
    expect(() => chunker.cut(4097, false, new Uint32Array(100))).toThrow(/inside its window/);
    expect(() => chunker.cut(4096, false, new Uint32Array(63))).toThrow(/room for every cut/);
    expect(chunker.cutsMax).toBe(64);
    expect(chunker.cut(4096, false, new Uint32Array(64))).toBeGreaterThan(0);
  });
});

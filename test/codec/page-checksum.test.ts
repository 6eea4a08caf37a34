// Held against PostgreSQL's definition (src/include/storage/checksum_impl.h says it), written down here once more, word by word. That the server
// means the same is seen in test/postgres/local-base.test.ts.

import { describe, expect, test } from 'vitest';
import { openScanner } from '../../src/codec/open-scanner.ts';
import { PageChecker } from '../../src/codec/page-checksum.ts';
import type { Scanner } from '../../src/codec/scanner.ts';
import { openPlainScanner } from '../../src/codec/scanner-plain.ts';
import { randomData, seeded } from './chunker-cases.ts';

const SEEDS = [
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
];

function checksumOf(page: Buffer, block: number): number {
  const step = (sum: number, word: number): number => Math.imul(sum ^ word, 16_777_619) ^ ((sum ^ word) >>> 17);
  let all = 0;
  for (let n = 0; n < SEEDS.length; n++) {
    let sum = SEEDS[n]!;
    for (let at = 4 * n; at < page.length; at += 128)
      sum = step(sum, at === 8 ? page.readInt32LE(at) & ~0xffff : page.readInt32LE(at));
    all ^= step(step(sum, 0), 0);
  }
  return (((all ^ block) >>> 0) % 65_535) + 1;
}

/** Whole pages that follow each other, the third one never written. */
function pagesOf(pageBytes: number, count: number, firstBlock: number, seed: number): Buffer {
  const pages = Buffer.from(randomData(pageBytes * count, seed));
  for (let n = 0; n < count; n++) {
    const page = pages.subarray(n * pageBytes, (n + 1) * pageBytes);
    if (n === 2) page.fill(0);
    else {
      page.writeUInt16LE(pageBytes - 512, 14);
      page.writeUInt16LE(checksumOf(page, firstBlock + n), 8);
    }
  }
  return pages;
}

const SCANNERS: [string, (windowBytes: number) => Scanner][] = [
  ['kernel', openScanner],
  ['plain twin', openPlainScanner],
];

describe.each(SCANNERS)('checksums of pages by the %s', (_, open) => {
  test.each([
    [1024, 0],
    [8192, 131_072],
    [8192, 0xffff_fff0],
    [32_768, 7],
  ])('of %i bytes from number %i on: a bit, a place or a page that was cleared is found, and nothing else', (pageBytes, block) => {
    const count = 6;
    const scanner = open(pageBytes * (count + 2));
    const pages = pagesOf(pageBytes, count, block, pageBytes);
    // Where a read has put them: anywhere on a boundary of words.
    const start = 4 + pageBytes;
    const end = start + pages.length;
    const look = (from = start, first = block): number => scanner.brokenPage(from, end, pageBytes, first);
    const { window } = scanner;
    window.set(pages, start);
    expect(look()).toBe(end);
    expect(look(start + 3 * pageBytes, block + 3)).toBe(end);
    expect(scanner.brokenPage(start, start, pageBytes, block)).toBe(start);
    expect(look(start, block + 1)).toBe(start);
    const next = seeded(pageBytes);
    for (let i = 0; i < 400; i++) {
      const at = i < 32 ? (i * pageBytes) / 32 : next(pages.length);
      const page = start + Math.floor(at / pageBytes) * pageBytes;
      window[start + at]! ^= 1 << next(8);
      if (look() !== page) expect.fail(`byte ${at} was changed, and ${look()} was found instead of ${page}`);
      window.set(pages, start);
    }
    window.copyWithin(start + pageBytes, start + 4 * pageBytes, start + 5 * pageBytes);
    expect(look()).toBe(start + pageBytes);
    expect(look(start + 2 * pageBytes, block + 2)).toBe(end);
    window.fill(0, start + pageBytes, start + 2 * pageBytes);
    window[start + 2 * pageBytes - 1] = 1;
    expect(look()).toBe(start + pageBytes);
  });

  test('leaves the pages as they are', () => {
    const scanner = open(8192 * 4);
    const pages = pagesOf(8192, 4, 0, 1);
    scanner.window.set(pages);
    expect(scanner.brokenPage(0, pages.length, 8192, 0)).toBe(pages.length);
    expect(pages.equals(scanner.window)).toBe(true);
  });
});

test('a checker looks at pages wherever they lie, on no boundary as well', () => {
  const checker = new PageChecker(8192);
  const pages = pagesOf(8192, 3, 9, 2);
  for (const shift of [0, 4, 1, 7]) {
    const bytes = Buffer.alloc(pages.length + 8);
    bytes.set(pages, shift);
    expect(checker.firstBroken(bytes, shift, shift + pages.length, 9)).toBe(shift + pages.length);
    bytes[shift + 8192 + 100]! ^= 4;
    expect(checker.firstBroken(bytes, shift, shift + pages.length, 9)).toBe(shift + 8192);
  }
});

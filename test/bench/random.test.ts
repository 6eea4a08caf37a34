import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { noise, Random } from '../../bench/data/random.ts';
import { Writer } from '../../bench/data/text.ts';

describe('the generators', () => {
  test('answer the same from the same seed, and something else from another', () => {
    const take = (seed: string) => new Writer(new Random(seed)).bytes('code', 5000).toString('latin1');
    expect(take('a')).toBe(take('a'));
    expect(take('a')).not.toBe(take('b'));
    expect(noise('a')(100).equals(noise('a')(100))).toBe(true);
  });

  test.each(['code', 'json', 'prose', 'binary'] as const)(
    'write %s of the asked length that compresses as real data does',
    (kind) => {
      const bytes = new Writer(new Random('kind')).bytes(kind, 200_000);
      expect(bytes.length).toBe(200_000);
      const ratio = bytes.length / zlib.zstdCompressSync(bytes, { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } }).length;
      expect(ratio).toBeGreaterThan(1.5);
      expect(ratio).toBeLessThan(6);
    },
  );

  test('write noise that does not compress', () => {
    expect(zlib.zstdCompressSync(noise('n')(100_000)).length).toBeGreaterThan(99_000);
  });

  test('sample without repetition', () => {
    const all = Array.from({ length: 50 }, (_, at) => at);
    expect(new Random('s').sample(all, 100).sort((a, b) => a - b)).toEqual(all);
  });
});

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { chunkMultiplier, isMixing } from '../../src/codec/chunk-multiplier.ts';
import { hashBySum } from './chunker-cases.ts';

const secret = (seed: number) => createHash('sha256').update(`secret ${seed}`).digest();
const words = (...values: number[]) => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return bytes;
};

test('a multiplier has exactly one factor of two, so that exactly 32 bytes count', () => {
  for (let seed = 0; seed < 300; seed++) {
    const multiplier = chunkMultiplier(secret(seed));
    expect(multiplier % 4).toBe(2);
    let power = 1;
    for (let i = 0; i < 31; i++) power = Math.imul(power, multiplier);
    expect(power).not.toBe(0);
    expect(Math.imul(power, multiplier)).toBe(0);
  }
});

test('a multiplier is the same for the same secret, for ever', () => {
  expect([0, 1, 2, 3].map((seed) => chunkMultiplier(secret(seed)))).toEqual([4273372158, 1573619030, 717280990, 3816518586]);
});

test('different secrets give different multipliers', () => {
  expect(new Set(Array.from({ length: 1000 }, (_, seed) => chunkMultiplier(secret(seed)))).size).toBeGreaterThan(998);
});

test('words that do not mix are passed over, and what follows the last is counted up', () => {
  const good = 0x3ad430e2;
  expect(isMixing(good)).toBe(true);
  expect([2, 6, 0x80000002, 0xfffffffe, 0x9e3779b2].map(isMixing)).toEqual([false, false, false, false, false]);
  expect(chunkMultiplier(words(good, 2))).toBe(good);
  expect(chunkMultiplier(words(good + 1))).toBe(good);
  expect(chunkMultiplier(words(2, 0x80000000, good))).toBe(good);
  const counted = chunkMultiplier(words(2, 0xfffffffd));
  expect(isMixing(counted)).toBe(true);
  for (let skipped = 2; skipped !== counted; skipped += 4) expect(isMixing(skipped)).toBe(false);
});

test('changing one byte moves the hash out of the range of candidates, and runs of one byte are no candidates', () => {
  const data = new Uint8Array(32);
  for (let seed = 0; seed < 20; seed++) {
    const multiplier = chunkMultiplier(secret(seed));
    for (let place = 1; place <= 24; place++) {
      data.fill(0);
      for (let byte = 1; byte <= 255; byte++) {
        data[31 - place] = byte;
        expect(Math.abs(hashBySum(data, 32, multiplier))).toBeGreaterThanOrEqual(2 ** 18);
      }
    }
    for (let byte = 0; byte <= 255; byte++) expect(hashBySum(data.fill(byte), 32, multiplier)).toBeLessThan(2 ** 31 - 2 ** 20);
  }
});

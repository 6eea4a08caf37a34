import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { ByteReader, ByteWriter } from '../../src/format/bytes.ts';
import { seededRandom } from '../support/seeded-random.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const BOUNDARIES = [
  0,
  1,
  0x7f,
  0x80,
  0x3fff,
  0x4000,
  2 ** 21 - 1,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 49,
  MAX - 1,
  MAX,
];
const reader = (...bytes: number[]): ByteReader => new ByteReader(Uint8Array.from(bytes), 'It');

function expectDamaged(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(isFault(error, 'FORMAT_DAMAGED'), String(error)).toBe(true);
    return;
  }
  expect.unreachable('it was taken');
}

describe('a varint', () => {
  test('of any size comes back, in as few bytes as can hold it', () => {
    const random = seededRandom(1);
    const values = [...BOUNDARIES, ...Array.from({ length: 300 }, () => Math.floor(random() * 2 ** Math.floor(random() * 54)))];
    for (const value of values.filter((one) => one <= MAX)) {
      const bytes = new ByteWriter().varint(value).finish();
      expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
      expect(new ByteReader(bytes, 'It').varint()).toBe(value);
    }
  });

  test('that is longer than it need be, too large, or cut off is damage', () => {
    expectDamaged(() => reader(0x80, 0x00).varint());
    expectDamaged(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10).varint());
    expectDamaged(() => reader(...new Array<number>(8).fill(0xff), 0x01).varint());
    expectDamaged(() => reader(0x80).varint());
    expectDamaged(() => reader().varint());
    expectDamaged(() => reader(11).varint(10));
  });

  test('is written only of a whole number that can be read again', () => {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MAX + 1, 2 ** 60])
      expect(() => new ByteWriter().varint(value)).toThrow('Invariant');
  });
});

test('a signed number comes back', () => {
  const small = BOUNDARIES.filter((one) => one < 2 ** 52);
  for (const value of [...small, ...small.map((one) => 0 - one), -(2 ** 52), 2 ** 52 - 1])
    expect(new ByteReader(new ByteWriter().zigzag(value).finish(), 'It').zigzag()).toBe(value);
  expect(() => new ByteWriter().zigzag(2 ** 52)).toThrow('Invariant');
});

test('a writer grows to whatever is written, and keeps it', () => {
  const w = new ByteWriter(1);
  const parts = Array.from({ length: 500 }, (_, i) => new Uint8Array(i % 97).fill(i));
  for (const part of parts) w.bytes(part);
  const r = new ByteReader(w.finish(), 'It');
  for (const part of parts) expect(r.bytes()).toEqual(part);
  r.end();
});

test('latin1 text keeps every byte, and a string of other chars is not cut to bytes in silence', () => {
  const every = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  expect(new ByteReader(new ByteWriter().latin1(every).finish(), 'It').latin1()).toBe(every);
  expect(new ByteReader(new ByteWriter().latin1(`abc${every}`, 3).finish(), 'It').latin1()).toBe(every);
  expect(() => new ByteWriter().latin1('a\u0100')).toThrow('Invariant');
});

describe('a reader', () => {
  test('does not read behind the end, nor take what is left over', () => {
    expectDamaged(() => reader(1, 2, 3).raw(4));
    expectDamaged(() => reader(1, 2, 3).u32());
    expectDamaged(() => reader(5, 1).bytes());
    expectDamaged(() => reader(1).end());
    expectDamaged(() => reader(2, 65, 66).latin1(1));
    reader().end();
  });

  test('takes no count of more items than can follow', () => {
    expect(reader(2, 0, 0, 0, 0).count(2)).toBe(2);
    expectDamaged(() => reader(3, 0, 0, 0, 0).count(2));
    expectDamaged(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f).count(1));
    expectDamaged(() => reader(3, 0, 0, 0).count(1, 2));
  });
});

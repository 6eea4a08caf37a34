import { describe, expect, test } from 'vitest';
import { IdHasher, objectId } from '../../src/codec/chunk-id.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const KEY = Buffer.from('whats the Elvish word for friend');
/** The input of BLAKE3's published test vectors. */
const input = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251);
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');

// From test_vectors.json of BLAKE3: the first 32 bytes.
const VECTORS = [
  {
    length: 0,
    plain: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    keyed: '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
  },
  {
    length: 1,
    plain: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
    keyed: '6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b',
  },
  {
    length: 1024,
    plain: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
    keyed: '75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4',
  },
  {
    length: 2048,
    plain: 'e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a',
    keyed: '879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1',
  },
];

describe.each(VECTORS)('$length bytes', ({ length, plain, keyed }) => {
  test('have the published BLAKE3 digests, keyed and not', () => {
    expect(hex(objectId(input(length)))).toBe(plain);
    expect(hex(new IdHasher(KEY).id(input(length)))).toBe(keyed);
  });
});

test('a hasher that was used says the same as a new one, also when it names parts', () => {
  const random = seededRandom(1);
  const used = new IdHasher(KEY);
  for (let i = 0; i < 100; i++) {
    const bytes = seededBytes(Math.floor(random() * 5000), i);
    const cut = Math.floor(random() * bytes.length);
    const expected = hex(new IdHasher(KEY).id(bytes));
    expect(hex(used.id(bytes))).toBe(expected);
    expect(hex(used.idOf(bytes.subarray(0, cut), bytes.subarray(cut)))).toBe(expected);
  }
});

test('an id that was given out is not changed by the next one', () => {
  const ids = new IdHasher(KEY);
  const first = ids.id(input(1));
  const copy = hex(first);
  ids.id(input(2));
  expect(hex(first)).toBe(copy);
});

test('another key gives other names, and bytes in shared memory are named as others', () => {
  const other = new IdHasher(seededBytes(32, 1));
  expect(hex(other.id(input(9)))).not.toBe(hex(new IdHasher(KEY).id(input(9))));
  const shared = new Uint8Array(new SharedArrayBuffer(2048));
  shared.set(input(2048));
  expect(hex(new IdHasher(KEY).id(shared))).toBe(VECTORS[3]!.keyed);
});

import { expect, test } from 'vitest';
import { deriveFromPassphrase, deriveKey, isScryptCostBearable, SCRYPT_COST } from '../../src/codec/derive.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');
const range = (from: number, to: number): Uint8Array => Uint8Array.from({ length: to - from }, (_, i) => from + i);

// RFC 5869, A.1 to A.3; of their longer outputs the first 32 bytes, which do not depend on the length.
test.each([
  {
    key: bytes('0b'.repeat(22)),
    salt: range(0x00, 0x0d),
    info: range(0xf0, 0xfa),
    derived: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf',
  },
  {
    key: range(0x00, 0x50),
    salt: range(0x60, 0xb0),
    info: range(0xb0, 0x100),
    derived: 'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c',
  },
  {
    key: bytes('0b'.repeat(22)),
    salt: new Uint8Array(0),
    info: new Uint8Array(0),
    derived: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d',
  },
])('HKDF-SHA-256 gives the answer of RFC 5869: $derived', ({ key, salt, info, derived }) => {
  expect(hex(deriveKey(key, salt, info))).toBe(derived);
});

test('parts of the info are joined as they are', () => {
  const [key, salt] = [range(0, 32), range(0, 16)];
  expect(deriveKey(key, salt, 'asset', range(1, 4))).toEqual(deriveKey(key, salt, Buffer.from('asset\x01\x02\x03')));
  expect(deriveKey(key, salt, 'asset')).not.toEqual(deriveKey(key, salt, 'session'));
  expect(deriveKey(key, range(1, 17), 'asset')).not.toEqual(deriveKey(key, salt, 'asset'));
});

// RFC 7914, section 12, the third vector; the first 32 of its 64 bytes.
test('scrypt gives the answer of RFC 7914', async () => {
  const key = await deriveFromPassphrase(Buffer.from('pleaseletmein'), Buffer.from('SodiumChloride'), { n: 16384, r: 8, p: 1 });
  expect(hex(key)).toBe('7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2');
});

test('our own cost is bearable, and so are 32 times the work and the memory', () => {
  expect(isScryptCostBearable(SCRYPT_COST)).toBe(true);
  expect(isScryptCostBearable({ n: 2 ** 20, r: 8, p: 1 })).toBe(true);
  expect(isScryptCostBearable({ n: 32768, r: 8, p: 32 })).toBe(true);
});

test.each([
  { n: 2 ** 21, r: 8, p: 1 },
  { n: 2 ** 20, r: 8, p: 16 },
  { n: 2 ** 40, r: 8, p: 1 },
  { n: 32768, r: 2 ** 30, p: 1 },
  { n: 32768, r: 8, p: 2 ** 30 },
  { n: 32768, r: 8, p: 0 },
  { n: 32767, r: 8, p: 1 },
  { n: 1024, r: 8, p: 1 },
  { n: -32768, r: 8, p: 1 },
  { n: 32768.5, r: 8, p: 1 },
  { n: Number.NaN, r: 8, p: 1 },
  { n: Number.POSITIVE_INFINITY, r: 8, p: 1 },
])('a cost that would eat the memory or the day, or that is none, is not: $n $r $p', (cost) => {
  expect(isScryptCostBearable(cost)).toBe(false);
});

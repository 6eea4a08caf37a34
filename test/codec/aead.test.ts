import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { cLibrary } from '../../src/base/ffi.ts';
import { Aead, type AeadDriver, NONCE_BYTES, openOnce, sealOnce, TAG_BYTES } from '../../src/codec/aead.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16: AES-256 with nonces of 96 bits.
const KEY = 'feffe9928665731c6d6a8f9467308308'.repeat(2);
const PLAIN =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const CIPHER =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
const VECTORS = [
  { key: '00'.repeat(32), nonce: '00'.repeat(12), aad: '', plain: '', sealed: '530f8afbc74536b9a963b4f1c4cb738b' },
  {
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plain: '00'.repeat(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  },
  { key: KEY, nonce: 'cafebabefacedbaddecaf888', aad: '', plain: PLAIN, sealed: `${CIPHER}b094dac5d93471bdec1a502270e3cc6c` },
  {
    key: KEY,
    nonce: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plain: PLAIN.slice(0, 120),
    sealed: `${CIPHER.slice(0, 120)}76fc6ece0f4e1768cddf8853bb2d551b`,
  },
];

const DRIVERS: readonly { readonly name: string; readonly driver: AeadDriver }[] = [
  { name: 'OpenSSL called directly', driver: undefined },
  { name: 'the twin in node:crypto', driver: 'plain' },
];

test('on this platform OpenSSL is called directly, so both drivers are under test', () => {
  expect(cLibrary?.bind('int EVP_EncryptFinal_ex(void*, void*, void*)')).toBeDefined();
});

describe.each(DRIVERS)('$name', ({ driver }) => {
  test.each(VECTORS)('gives the published answer for $plain', ({ key, nonce, aad, plain, sealed }) => {
    const aead = new Aead(bytes(key), driver);
    const target = new Uint8Array(plain.length / 2 + TAG_BYTES);
    expect(aead.seal(target, bytes(plain), bytes(nonce), bytes(aad))).toBe(target.length);
    expect(hex(target)).toBe(sealed);
    const opened = new Uint8Array(plain.length / 2);
    expect(aead.open(opened, bytes(sealed), bytes(nonce), bytes(aad))).toBe(true);
    expect(hex(opened)).toBe(plain);
    aead.close();
  });

  test('opens in place what was sealed in place, one message after the other', () => {
    const random = seededRandom(1);
    const aead = new Aead(seededBytes(32, 2), driver);
    for (let i = 0; i < 50; i++) {
      const plain = seededBytes(Math.floor(random() * 5000), i);
      const [nonce, aad] = [seededBytes(NONCE_BYTES, i + 1), seededBytes(i % 40, i + 2)];
      const buffer = new Uint8Array(plain.length + TAG_BYTES + 7);
      buffer.set(plain);
      const length = aead.seal(buffer, buffer.subarray(0, plain.length), nonce, aad);
      expect(hex(buffer.subarray(length))).toBe('00'.repeat(7));
      expect(aead.open(buffer, buffer.subarray(0, length), nonce, aad)).toBe(true);
      expect(hex(buffer.subarray(0, plain.length))).toBe(hex(plain));
    }
    aead.close();
  });

  test('opens nothing of which a single bit was flipped, and the next good message all the same', () => {
    const key = seededBytes(32, 3);
    const aead = new Aead(key, driver);
    const message = { plain: seededBytes(40, 4), nonce: seededBytes(12, 5), aad: seededBytes(21, 6) };
    const sealed = sealOnce(key, message.nonce, message.plain, message.aad);
    const target = new Uint8Array(message.plain.length);
    for (const part of [sealed, message.nonce, message.aad]) {
      for (let bit = 0; bit < part.length * 8; bit++) {
        part[bit >>> 3]! ^= 1 << (bit & 7);
        expect(aead.open(target, sealed, message.nonce, message.aad)).toBe(false);
        part[bit >>> 3]! ^= 1 << (bit & 7);
      }
    }
    expect(aead.open(target, sealed, message.nonce, message.aad)).toBe(true);
    expect(hex(target)).toBe(hex(message.plain));
    aead.close();
  });

  test('opens nothing that is cut off, however short, nor into a target that is too small', () => {
    const aead = new Aead(seededBytes(32, 7), driver);
    const nonce = new Uint8Array(12);
    const sealed = new Uint8Array(48);
    aead.seal(sealed, new Uint8Array(32), nonce, nonce);
    for (let length = 0; length < sealed.length; length++)
      expect(aead.open(new Uint8Array(64), sealed.subarray(0, length), nonce, nonce)).toBe(false);
    expect(aead.open(new Uint8Array(31), sealed, nonce, nonce)).toBe(false);
    expect(aead.open(new Uint8Array(32), sealed, nonce.subarray(1), nonce)).toBe(false);
    aead.close();
  });

  test('is not used after it was closed: its key is gone, and it would seal with zeros', () => {
    const aead = new Aead(seededBytes(32, 8), driver);
    aead.close();
    const nonce = new Uint8Array(12);
    expect(() => aead.seal(new Uint8Array(32), new Uint8Array(16), nonce, nonce)).toThrow('closed');
    expect(() => aead.open(new Uint8Array(32), new Uint8Array(16), nonce, nonce)).toThrow('closed');
  });

  test('keeps its own copy of the key', () => {
    const key = seededBytes(32, 9);
    const aead = new Aead(key, driver);
    const sealed = new Uint8Array(TAG_BYTES + 3);
    key.fill(0);
    aead.seal(sealed, Uint8Array.of(1, 2, 3), new Uint8Array(12), new Uint8Array(0));
    expect(openOnce(seededBytes(32, 9), new Uint8Array(12), sealed, new Uint8Array(0))).toEqual(Uint8Array.of(1, 2, 3));
    aead.close();
  });
});

test('both drivers seal to the same bytes, which are those of node:crypto', () => {
  const random = seededRandom(10);
  for (let i = 0; i < 100; i++) {
    const [key, nonce] = [seededBytes(32, i), seededBytes(12, i + 1)];
    const [plain, aad] = [seededBytes(Math.floor(random() ** 3 * 100_000), i + 2), seededBytes(Math.floor(random() * 100), i + 3)];
    const sealed = [undefined, 'plain' as const].map((driver) => {
      const aead = new Aead(key, driver);
      const target = new Uint8Array(plain.length + TAG_BYTES);
      aead.seal(target, plain, nonce, aad);
      aead.close();
      return hex(target);
    });
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
    const expected = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    expect(sealed).toEqual([hex(expected), hex(expected)]);
  }
});

test('bytes may lie in shared memory, as the pack buffers do', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(64));
  const [key, nonce] = [seededBytes(32, 11), seededBytes(12, 12)];
  shared.set(seededBytes(48, 13));
  const aead = new Aead(key);
  aead.seal(shared, shared.subarray(0, 48), nonce, nonce);
  aead.close();
  expect(hex(openOnce(key, nonce, shared.slice(), nonce)!)).toBe(hex(seededBytes(48, 13)));
});

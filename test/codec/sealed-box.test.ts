import { createPrivateKey, createPublicKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { sealOnce } from '../../src/codec/aead.ts';
import { deriveKey } from '../../src/codec/derive.ts';
import { BOX_BYTES, generateBoxPair, openWithPrivateKey, PUBLIC_KEY_BYTES, sealToPublicKey } from '../../src/codec/sealed-box.ts';
import { seededBytes } from '../support/seeded-random.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString('hex');
const SALT = seededBytes(16, 1);
const CONTEXT = seededBytes(10, 2);
const SECRET = seededBytes(32, 3);

// RFC 7748, section 6.1.
const ALICE_PUBLIC = bytes('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
const BOB = {
  privateKey: bytes('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
  publicKey: bytes('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
};
const SHARED = bytes('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');

test('a box from Alice of RFC 7748, made by hand from the published shared secret, opens with the key of Bob', () => {
  const key = deriveKey(SHARED, SALT, 'session', ALICE_PUBLIC, BOB.publicKey);
  const box = Buffer.concat([ALICE_PUBLIC, sealOnce(key, new Uint8Array(12), SECRET, CONTEXT)]);
  expect(hex(openWithPrivateKey(BOB, box, SALT, CONTEXT))).toBe(hex(SECRET));
});

test('a new pair is a pair: its public key is that of its private key', () => {
  const { publicKey, privateKey } = generateBoxPair();
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), privateKey]);
  const derived = createPublicKey(createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' }));
  expect(hex(publicKey)).toBe(derived.export({ type: 'spki', format: 'der' }).subarray(-PUBLIC_KEY_BYTES).toString('hex'));
});

test('what is sealed to a public key opens with its private key, and no two boxes are equal', () => {
  for (let i = 0; i < 10; i++) {
    const pair = generateBoxPair();
    const boxes = [1, 2].map(() => sealToPublicKey(pair.publicKey, SECRET, SALT, CONTEXT));
    for (const box of boxes) {
      expect(box.length).toBe(BOX_BYTES);
      expect(hex(openWithPrivateKey(pair, box, SALT, CONTEXT))).toBe(hex(SECRET));
    }
    expect(hex(boxes[0]!)).not.toBe(hex(boxes[1]!));
  }
});

test('no other pair, salt or context opens it', () => {
  const pair = generateBoxPair();
  const box = sealToPublicKey(pair.publicKey, SECRET, SALT, CONTEXT);
  expect(openWithPrivateKey(generateBoxPair(), box, SALT, CONTEXT)).toBeUndefined();
  expect(openWithPrivateKey(pair, box, seededBytes(16, 9), CONTEXT)).toBeUndefined();
  expect(openWithPrivateKey(pair, box, SALT, seededBytes(10, 9))).toBeUndefined();
});

test('a box with any bit flipped, or of any other length, does not open', () => {
  const pair = generateBoxPair();
  const box = Uint8Array.from(sealToPublicKey(pair.publicKey, SECRET, SALT, CONTEXT));
  for (let bit = 0; bit < BOX_BYTES * 8; bit++) {
    // X25519 takes no notice of the highest bit of a point; the key derivation does.
    box[bit >>> 3]! ^= 1 << (bit & 7);
    expect(openWithPrivateKey(pair, box, SALT, CONTEXT)).toBeUndefined();
    box[bit >>> 3]! ^= 1 << (bit & 7);
  }
  for (const length of [0, 1, 31, 32, 79, 81]) {
    const other = new Uint8Array(length);
    other.set(box.subarray(0, length));
    expect(openWithPrivateKey(pair, other, SALT, CONTEXT)).toBeUndefined();
  }
});

test('a box whose point has a small order does not open, and throws nothing', () => {
  const pair = generateBoxPair();
  const points = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  for (const point of points) {
    const box = Buffer.concat([bytes(point), new Uint8Array(48)]);
    expect(openWithPrivateKey(pair, box, SALT, CONTEXT)).toBeUndefined();
  }
});

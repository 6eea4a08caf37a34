import { expect, test } from 'vitest';
import { generateSigningPair, isSignedBy, signBytes } from '../../src/codec/signature.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');

// RFC 8032, section 7.1, tests 1 and 2.
test.each([
  {
    signingKey: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    verifyKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    signingKey: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    verifyKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
])('Ed25519 gives the answer of RFC 8032 for "$message"', ({ signingKey, verifyKey, message, signature }) => {
  expect(hex(signBytes(bytes(signingKey), bytes(message)))).toBe(signature);
  expect(isSignedBy(bytes(verifyKey), bytes(message), bytes(signature))).toBe(true);
});

test('a signature holds for its key and its bytes only', () => {
  const [ours, other] = [generateSigningPair(), generateSigningPair()];
  const message = seededBytes(100, 1);
  const signature = signBytes(ours.signingKey, message);
  expect(isSignedBy(ours.verifyKey, message, signature)).toBe(true);
  expect(isSignedBy(other.verifyKey, message, signature)).toBe(false);
  for (const part of [message, signature]) {
    for (let bit = 0; bit < part.length * 8; bit += 7) {
      part[bit >>> 3]! ^= 1 << (bit & 7);
      expect(isSignedBy(ours.verifyKey, message, signature)).toBe(false);
      part[bit >>> 3]! ^= 1 << (bit & 7);
    }
  }
});

test('whatever the key and the signature, it answers no and throws nothing', () => {
  const random = seededRandom(2);
  for (let i = 0; i < 300; i++) {
    const length = i % 3 === 0 ? Math.floor(random() * 100) : 64;
    const key = i % 5 === 0 ? new Uint8Array(32).fill(i) : seededBytes(i % 7 === 0 ? Math.floor(random() * 64) : 32, i);
    expect(isSignedBy(key, seededBytes(10, i), seededBytes(length, i + 1))).toBe(false);
  }
});

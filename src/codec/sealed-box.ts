// Sealing a session's data key to the tenant's public key: who writes backups need not be able to read them. X25519 with a fresh
// ephemeral key, HKDF over the shared secret and both public keys, AES-256-GCM. See src/format/README.md, "Keys".

import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { openOnce, sealOnce, TAG_BYTES } from './aead.ts';
import { deriveKey } from './derive.ts';

export const PUBLIC_KEY_BYTES = 32;
export const BOX_BYTES = PUBLIC_KEY_BYTES + 32 + TAG_BYTES;

// The fixed prefixes of RFC 8410 keys in DER; the raw 32 bytes follow.
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const ZERO_NONCE = new Uint8Array(12);

export type KeyPair = { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array };

export function generateBoxPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return {
    publicKey: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(X25519_PUBLIC.length)),
    privateKey: new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(X25519_PRIVATE.length)),
  };
}

/** Seals 32 bytes to `publicKey`; `context` (the session) is bound to it. */
export function sealToPublicKey(publicKey: Uint8Array, secret: Uint8Array, salt: Uint8Array, context: Uint8Array): Uint8Array {
  const ephemeral = generateBoxPair();
  const key = sharedKey(ephemeral.privateKey, publicKey, ephemeral.publicKey, publicKey, salt);
  return Buffer.concat([ephemeral.publicKey, sealOnce(key, ZERO_NONCE, secret, context)]);
}

/** The 32 bytes, or undefined when the box is not for this pair or was changed. */
export function openWithPrivateKey(pair: KeyPair, box: Uint8Array, salt: Uint8Array, context: Uint8Array): Uint8Array | undefined {
  if (box.length !== BOX_BYTES) return undefined;
  const ephemeral = box.subarray(0, PUBLIC_KEY_BYTES);
  let key: Uint8Array;
  try {
    key = sharedKey(pair.privateKey, ephemeral, ephemeral, pair.publicKey, salt);
  } catch {
    // A point of small order: the secret would be zero whatever the private key, and OpenSSL refuses.
    return undefined;
  }
  return openOnce(key, ZERO_NONCE, box.subarray(PUBLIC_KEY_BYTES), context);
}

function sharedKey(own: Uint8Array, other: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array, salt: Uint8Array): Uint8Array {
  const secret = diffieHellman({ privateKey: privateKeyOf(own), publicKey: publicKeyOf(other) });
  return deriveKey(secret, salt, 'session', ephemeral, recipient);
}

function publicKeyOf(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([X25519_PUBLIC, raw]), type: 'spki', format: 'der' });
}

function privateKeyOf(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([X25519_PRIVATE, raw]), type: 'pkcs8', format: 'der' });
}

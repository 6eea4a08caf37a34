// Ed25519 over snapshots: which key committed this.

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';

const ED25519_PUBLIC = Buffer.from('302a300506032b6570032100', 'hex');
const ED25519_PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex');

export type SigningPair = { readonly verifyKey: Uint8Array; readonly signingKey: Uint8Array };

export function generateSigningPair(): SigningPair {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    verifyKey: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(ED25519_PUBLIC.length)),
    signingKey: new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(ED25519_PRIVATE.length)),
  };
}

/** 64 bytes. */
export function signBytes(signingKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  const key = createPrivateKey({ key: Buffer.concat([ED25519_PRIVATE, signingKey]), type: 'pkcs8', format: 'der' });
  return new Uint8Array(sign(null, bytes, key));
}

export function isSignedBy(verifyKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (verifyKey.length !== 32 || signature.length !== 64) return false;
  const key = createPublicKey({ key: Buffer.concat([ED25519_PUBLIC, verifyKey]), type: 'spki', format: 'der' });
  return verify(null, bytes, key, signature);
}

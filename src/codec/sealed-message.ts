// Sealing any bytes to somebody's public key: a fresh key in a sealed box, and the bytes under it.

import { randomBytes } from 'node:crypto';
import { openOnce, sealOnce } from './aead.ts';
import { type KeyPair, openWithPrivateKey, sealToPublicKey } from './sealed-box.ts';

export type SealedMessage = { readonly box: Uint8Array; readonly nonce: Uint8Array; readonly sealed: Uint8Array };

/** `salt` and `context` are bound to it. */
export function sealMessage(publicKey: Uint8Array, bytes: Uint8Array, salt: Uint8Array, context: Uint8Array): SealedMessage {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  return { box: sealToPublicKey(publicKey, key, salt, context), nonce, sealed: sealOnce(key, nonce, bytes, context) };
}

/** Undefined when it is not for this pair, or was changed. */
export function openMessage(pair: KeyPair, message: SealedMessage, salt: Uint8Array, context: Uint8Array): Uint8Array | undefined {
  const key = openWithPrivateKey(pair, message.box, salt, context);
  return key === undefined ? undefined : openOnce(key, message.nonce, message.sealed, context);
}

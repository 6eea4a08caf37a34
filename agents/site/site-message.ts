// Messages between site daemons and orchestrators: HTTP, each signed with Ed25519 by whoever sends it, answers too.
//
// Against replay no wall clock is needed, so that none can be set back for it. Each life of a daemon draws a name; a caller asks for it first
// (the one call that anybody may repeat), and for what the daemon's own clock shows. A request says the life it is for and the time by that
// clock; it counts within a window, once (its nonce is remembered for as long). Another life, another daemon or a later time refuses it. An
// answer is bound to its request's nonce.

import { isSignedBy, type SigningPair, signBytes } from '../../src/codec/signature.ts';
import { isNonce, SIGNATURE_HEADERS, type SignedParts, textToSign } from '../../src/protocol/request-signature.ts';

export const CALL_PATH = '/v1/call';
export const HELLO_PATH = '/v1/hello';
/** How old a request may be when it arrives, and how far ahead the guess of the daemon's clock. */
export const WINDOW_MS = 30_000;
export const BODY_BYTES_MAX = 64 * 1024;
export const ANSWER_BYTES_MAX = 1024 * 1024;
/** What a request waits for at the daemon; then it answers that it waits, and is asked again. */
export const HOLD_MS = 5_000;

export type Hello = { readonly site: string; readonly life: string; readonly nowMs: number };

export type CallMessage = { readonly verb: string; readonly asset: string; readonly argument: unknown };

export type CallAnswer =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'waiting' }
  /** The request is of another life or too old: say hello again. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'fault'; readonly code: string; readonly message: string };

export function signRequest(pair: SigningPair, from: string, parts: SignedParts): Record<string, string> {
  return {
    [SIGNATURE_HEADERS.agent]: from,
    [SIGNATURE_HEADERS.time]: parts.time,
    [SIGNATURE_HEADERS.nonce]: parts.nonce,
    [SIGNATURE_HEADERS.signature]: encode(signBytes(pair.signingKey, Buffer.from(textToSign(parts)))),
  };
}

export function isRequestSigned(key: Uint8Array, parts: SignedParts, signature: string): boolean {
  return isNonce(parts.nonce) && isSignedBy(key, Buffer.from(textToSign(parts)), decode(signature));
}

export function signAnswer(pair: SigningPair, nonce: string, body: Uint8Array): string {
  return encode(signBytes(pair.signingKey, answerText(nonce, body)));
}

export function isAnswerSigned(key: Uint8Array, nonce: string, body: Uint8Array, signature: string): boolean {
  return isSignedBy(key, answerText(nonce, body), decode(signature));
}

/** A time of a daemon's life: what a request has instead of an instant. */
export function timeOfLife(life: string, atMs: number): string {
  return `${life}.${Math.round(atMs)}`;
}

export function decodeKey(text: string): Uint8Array {
  return decode(text);
}

export function encodeKey(key: Uint8Array): string {
  return encode(key);
}

function answerText(nonce: string, body: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`holdfast site answer 1\n${nonce}\n`), body]);
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function decode(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64url'));
}

// What an agent signs, so that nobody can make, change or repeat a request of it: method, path with query, time, nonce and the digest of
// the body, one a line. Pure: whoever calls brings time, nonce and key.

import { createHash } from 'node:crypto';

export const SIGNATURE_HEADERS = {
  agent: 'holdfast-agent',
  time: 'holdfast-time',
  nonce: 'holdfast-nonce',
  signature: 'holdfast-signature',
} as const;

/** Clocks of the two sides may differ by so much. */
export const CLOCK_SKEW_MS_MAX = 5 * 60_000;
export const NONCE_BYTES = 16;

export type SignedParts = {
  /** Upper case. */
  readonly method: string;
  /** As in the request line: path and query. */
  readonly target: string;
  /** An instant, as in its header. */
  readonly time: string;
  /** 16 random bytes, base64url. */
  readonly nonce: string;
  readonly body: Uint8Array;
};

export function textToSign({ method, target, time, nonce, body }: SignedParts): string {
  return `${method}\n${target}\n${time}\n${nonce}\n${createHash('sha256').update(body).digest('hex')}`;
}

export function isNonce(text: string): boolean {
  return /^[A-Za-z0-9_-]{22}$/.test(text);
}

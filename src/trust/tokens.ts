// Secrets that stand for a principal: "hf_" and 32 random bytes. They are shown once; the catalogue holds their SHA-256, which is enough
// for what has 256 bits of chance. Every token ends.

import { createHash } from 'node:crypto';

const SECRET_BYTES = 32;
const DAY_MS = 86_400_000;
export const TOKEN_DAYS_DEFAULT = 90;
export const TOKEN_DAYS_MAX = 400;
export const SESSION_MS = 12 * 3_600_000;
export const ENROLMENT_MS_DEFAULT = 3_600_000;
export const ENROLMENT_MS_MAX = 7 * DAY_MS;

const SECRET = /^hf_[A-Za-z0-9_-]{43}$/;

export type Secret = { readonly secret: string; readonly digest: string };

export function newSecret(random: (bytes: number) => Uint8Array): Secret {
  const secret = `hf_${Buffer.from(random(SECRET_BYTES)).toString('base64url')}`;
  return { secret, digest: digestOf(secret) };
}

/** SHA-256, hex. */
export function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** The secret of "Bearer hf_...", or undefined when the header is something else. */
export function bearerOf(header: string | undefined): string | undefined {
  const secret = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  return secret !== undefined && SECRET.test(secret) ? secret : undefined;
}

export function expiryOf(at: Date, days: number): string {
  return new Date(at.getTime() + days * DAY_MS).toISOString();
}

// Passwords of people, as scrypt says: slow on purpose, salted, compared in constant time. The parameters stand in the stored text, so that
// they can grow and old ones still open. A password that nobody has costs as much as a wrong one: who does not exist cannot be told.

import { scrypt, timingSafeEqual } from 'node:crypto';

const COST = { n: 32_768, r: 8, p: 1 } as const;
const DIGEST_BYTES = 32;
const SALT_BYTES = 16;
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;
export const PASSWORD_CHARS_MIN = 10;
export const PASSWORD_CHARS_MAX = 200;

const STORED = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9_-]{1,100})\$([A-Za-z0-9_-]{43})$/;

/** "scrypt$n$r$p$salt$digest". */
export async function hashPassword(password: string, random: (bytes: number) => Uint8Array): Promise<string> {
  const salt = Buffer.from(random(SALT_BYTES));
  const digest = await derive(password, salt, COST);
  return ['scrypt', COST.n, COST.r, COST.p, salt.toString('base64url'), digest.toString('base64url')].join('$');
}

/** `stored` undefined: there is no such person; it takes as long, and is false. */
export async function isPasswordOf(password: string, stored: string | undefined): Promise<boolean> {
  const match = STORED.exec(stored ?? '');
  if (match === null) {
    await derive(password, Buffer.alloc(SALT_BYTES), COST);
    return false;
  }
  const [, n, r, p, salt, digest] = match;
  const derived = await derive(password, Buffer.from(salt!, 'base64url'), { n: Number(n), r: Number(r), p: Number(p) });
  return timingSafeEqual(derived, Buffer.from(digest!, 'base64url'));
}

/** What is wrong with a new password, or undefined. Length is what counts; the login itself is no password. */
export function weaknessOf(password: string, login: string): string | undefined {
  if (password.length < PASSWORD_CHARS_MIN) return `at least ${PASSWORD_CHARS_MIN} characters are needed`;
  if (password.length > PASSWORD_CHARS_MAX) return `at most ${PASSWORD_CHARS_MAX} characters are taken`;
  if (new Set(password).size < 5) return 'it needs at least 5 different characters';
  if (password.toLowerCase().includes(login.toLowerCase())) return 'it contains the login';
  return undefined;
}

function derive(
  password: string,
  salt: Uint8Array,
  cost: { readonly n: number; readonly r: number; readonly p: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { N: cost.n, r: cost.r, p: cost.p, maxmem: MEMORY_BYTES_MAX };
    // The same letters typed on different keyboards are the same password.
    scrypt(password.normalize('NFC'), salt, DIGEST_BYTES, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

// Keys from keys: HKDF-SHA-256 for strong ones, scrypt for passphrases.

import { hkdfSync, scrypt } from 'node:crypto';

export type ScryptCost = { readonly n: number; readonly r: number; readonly p: number };

/** 32 MiB and about 0.1 s on one core. */
export const SCRYPT_COST: ScryptCost = { n: 32768, r: 8, p: 1 };

const SCRYPT_MEMORY_MAX = 1024 * 1024 * 1024;
/** n * r * p: 64 times ours, about 7 s on one core. */
const SCRYPT_WORK_MAX = 64 * SCRYPT_COST.n * SCRYPT_COST.r * SCRYPT_COST.p;

/** 32 bytes; `salt` is the repository id, `info` says what the key is for. */
export function deriveKey(key: Uint8Array, salt: Uint8Array, ...info: readonly (string | Uint8Array)[]): Uint8Array {
  const parts = info.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
  return new Uint8Array(hkdfSync('sha256', key, salt, Buffer.concat(parts), 32));
}

/** True when `cost` is one that this program is willing to pay (a hostile key file must not eat all memory, or the day). */
export function isScryptCostBearable(cost: ScryptCost): boolean {
  const { n, r, p } = cost;
  if (![n, r, p].every((x) => Number.isSafeInteger(x) && x > 0)) return false;
  return n >= 16384 && Number.isInteger(Math.log2(n)) && 128 * n * r <= SCRYPT_MEMORY_MAX && n * r * p <= SCRYPT_WORK_MAX;
}

export type Derive = (passphrase: Uint8Array, salt: Uint8Array, cost: ScryptCost) => Promise<Uint8Array>;

/** 32 bytes from a passphrase, off the main thread. */
export function deriveFromPassphrase(passphrase: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, { N: cost.n, r: cost.r, p: cost.p, maxmem: SCRYPT_MEMORY_MAX * 2 }, (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    );
  });
}

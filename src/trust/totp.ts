// Time-based one-time codes, RFC 6238: HMAC-SHA-1 of the number of the current 30 seconds, 6 digits. A code counts once: the step it was
// used in is remembered by whoever calls, and only greater ones are accepted afterwards.

import { createHmac, timingSafeEqual } from 'node:crypto';

const STEP_SECONDS = 30;
const SECRET_BYTES = 20;
/** Clocks may be one step apart. */
const SKEW_STEPS = 1;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

export type TotpAlgorithm = 'sha1' | 'sha256' | 'sha512';

/** 32 characters of base32, as authenticators take it. */
export function newTotpSecret(random: (bytes: number) => Uint8Array): string {
  return encodeBase32(random(SECRET_BYTES));
}

export function totpUri(login: string, secret: string): string {
  return `otpauth://totp/Holdfast:${encodeURIComponent(login)}?secret=${secret}&issuer=Holdfast`;
}

export function stepOf(at: Date): number {
  return Math.floor(at.getTime() / 1000 / STEP_SECONDS);
}

/** The code of a step. `key` is the raw secret. */
export function totpCode(key: Uint8Array, step: number, digits = 6, algorithm: TotpAlgorithm = 'sha1'): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac(algorithm, key).update(counter).digest();
  const offset = mac[mac.length - 1]! & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

/** The step that `code` is of, when it is a current one and greater than `usedStep`. */
export function acceptedStep(secret: string, code: string, at: Date, usedStep = -1): number | undefined {
  const key = decodeBase32(secret);
  if (key === undefined || !/^\d{6}$/.test(code)) return undefined;
  const now = stepOf(at);
  let accepted: number | undefined;
  // Every candidate is looked at, so that time does not tell which one it was.
  for (let step = now - SKEW_STEPS; step <= now + SKEW_STEPS; step++)
    if (timingSafeEqual(Buffer.from(totpCode(key, Math.max(step, 0))), Buffer.from(code)) && step > usedStep) accepted ??= step;
  return accepted;
}

export function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let [bits, held] = [0, 0];
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(held >>> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31];
}

/** Undefined when it is not base32. */
export function decodeBase32(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  let [bits, held] = [0, 0];
  for (const letter of text.toUpperCase().replace(/=+$/, '')) {
    const value = ALPHABET.indexOf(letter);
    if (value === -1) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >>> bits) & 255);
    }
    held &= (1 << bits) - 1;
  }
  return Uint8Array.from(bytes);
}

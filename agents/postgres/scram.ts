// SCRAM-SHA-256 (RFC 5802, 7677) without channel binding: the client proves that it knows the password, then so does the server.

import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

const ITERATIONS_MAX = 1_000_000;

export class Scram {
  readonly #password: string;
  readonly #nonce = randomBytes(18).toString('base64');
  #serverSignature: Buffer | undefined;

  constructor(password: string) {
    this.#password = password.normalize('NFKC');
  }

  first(): string {
    return `n,,${this.#bare()}`;
  }

  /** Undefined when the server's message is not one. */
  answer(serverFirst: string): string | undefined {
    const fields = new Map(serverFirst.split(',').map((field) => [field[0], field.slice(2)]));
    const [nonce, salt, iterations] = [fields.get('r') ?? '', fields.get('s') ?? '', Number(fields.get('i'))];
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length || salt === '') return undefined;
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > ITERATIONS_MAX) return undefined;
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), iterations, 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const storedKey = createHash('sha256').update(clientKey).digest();
    const withoutProof = `c=biws,r=${nonce}`;
    const signed = `${this.#bare()},${serverFirst},${withoutProof}`;
    const signature = hmac(storedKey, signed);
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), signed);
    return `${withoutProof},p=${Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')}`;
  }

  /** Whether the server has shown that it knows the password, too. */
  isServer(serverFinal: string): boolean {
    const match = /^v=([A-Za-z0-9+/=]+)/.exec(serverFinal);
    const given = Buffer.from(match?.[1] ?? '', 'base64');
    return this.#serverSignature !== undefined && given.length === 32 && timingSafeEqual(given, this.#serverSignature);
  }

  #bare(): string {
    return `n=,r=${this.#nonce}`;
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

// Seeded randomness for the generators: the same seed gives the same data set on every machine. Not for secrets.

import { createCipheriv, createHash } from 'node:crypto';

/** Numbers from a 32-bit state (mulberry32); `fork` derives an independent stream by name. */
export class Random {
  readonly #seed: string;
  #state: number;

  constructor(seed: string) {
    this.#seed = seed;
    this.#state = createHash('sha256').update(seed).digest().readUInt32LE(0);
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A whole number with a geometric distribution, at least 1. */
  geometric(mean: number): number {
    return 1 + Math.floor(Math.log(1 - this.next()) / Math.log(1 - 1 / Math.max(mean, 1.000001)));
  }

  /** A size around `median` whose logarithm is normal: many small, a few very large. */
  logNormal(median: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return Math.max(1, Math.round(median * Math.exp(sigma * normal)));
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** The first `count` of a shuffle of `from`; fewer when there are fewer. */
  sample<T>(from: readonly T[], count: number): T[] {
    const pool = [...from];
    const end = Math.min(count, pool.length);
    for (let at = 0; at < end; at++) {
      const other = at + this.below(pool.length - at);
      [pool[at], pool[other]] = [pool[other]!, pool[at]!];
    }
    return pool.slice(0, end);
  }

  fork(name: string): Random {
    return new Random(`${this.#seed}/${name}`);
  }
}

/** Answers incompressible pieces of `length` bytes, one after the other, from one seed. */
export function noise(seed: string): (length: number) => Buffer {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

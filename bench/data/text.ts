// Content that compresses like the real thing: source code, JSON, prose and binaries, from a vocabulary with Zipf's frequencies.

import { noise, type Random } from './random.ts';

const CONSONANTS = ['b', 'c', 'd', 'f', 'g', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'ch', 'st', 'tr', 'pl', 'qu'];
const VOWELS = ['a', 'e', 'i', 'o', 'u', 'ea', 'io', 'ou'];
const KEYWORDS = ['const', 'return', 'if', 'function', 'await', 'import', 'export', 'for', 'new', 'throw', 'typeof', 'else'];

export type Kind = 'code' | 'json' | 'prose' | 'binary';

/** The ending of a file's name for each kind. */
export const ENDING: Record<Kind, string> = { code: '.js', json: '.json', prose: '.md', binary: '.bin' };

export class Writer {
  readonly #words: readonly string[];
  readonly #random: Random;
  readonly #noise: (length: number) => Buffer;

  constructor(random: Random) {
    this.#random = random.fork('text');
    this.#noise = noise(`binary ${random.next()}`);
    const words = new Set<string>();
    while (words.size < 6000) {
      let word = '';
      for (let syllables = this.#random.geometric(2); syllables > 0; syllables--)
        word += this.#random.pick(CONSONANTS) + this.#random.pick(VOWELS);
      words.add(word);
    }
    this.#words = [...words];
  }

  /** A word; the n-th is about n times rarer than the first. */
  word(): string {
    return this.#words[Math.floor(this.#words.length ** this.#random.next()) - 1]!;
  }

  name(): string {
    const second = this.word();
    return this.#random.next() < 0.6 ? this.word() : `${this.word()}${second[0]!.toUpperCase()}${second.slice(1)}`;
  }

  /** `length` bytes of that kind. */
  bytes(kind: Kind, length: number): Buffer {
    if (kind === 'binary') return this.#binary(length);
    const line = { code: () => this.#code(), json: () => this.#json(), prose: () => this.#prose() }[kind];
    const lines: string[] = [];
    for (let size = 0; size <= length; ) {
      const next = line();
      lines.push(next);
      size += next.length + 1;
    }
    return Buffer.from(lines.join('\n'), 'latin1').subarray(0, length);
  }

  #code(): string {
    const r = this.#random;
    const indent = '  '.repeat(r.below(5));
    const call = () => `${this.name()}.${this.name()}(${this.name()}, ${r.next() < 0.3 ? r.below(1000) : `'${this.word()}'`})`;
    const form = r.below(6);
    if (form === 0) return `${indent}${r.pick(KEYWORDS)} ${this.name()} = ${call()};`;
    if (form === 1) return `${indent}if (${this.name()} === ${this.name()}) {`;
    if (form === 2) return `${indent}}`;
    if (form === 3) return `${indent}// ${this.#prose()}`;
    if (form === 4) return `${indent}${r.pick(KEYWORDS)} ${call()};`;
    return `${indent}${this.name()}: ${call()},`;
  }

  #json(): string {
    const r = this.#random;
    const value =
      r.next() < 0.5 ? `"${this.word()}-${this.word()}"` : r.next() < 0.5 ? r.below(100000) : `"${r.next().toString(36).slice(2)}"`;
    return `${'  '.repeat(1 + r.below(3))}"${this.name()}": ${value},`;
  }

  #prose(): string {
    const words: string[] = [];
    for (let count = 5 + this.#random.below(12); count > 0; count--) words.push(this.word());
    return `${words.join(' ')}.`;
  }

  /** Machine-code-like: short records from a small table, with noise in between. */
  #binary(length: number): Buffer {
    const bytes = this.#noise(length);
    const table = this.#noise(2048);
    for (let at = 0; at + 24 <= length; at += 24) {
      const from = (bytes[at]! & 0x7f) * 16;
      table.copy(bytes, at, from, from + 16);
    }
    return bytes;
  }
}

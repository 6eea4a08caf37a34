// Reading and writing the primitives of the format. A reader never trusts a length: it is checked against what is there before
// anything is allocated, and every violation is the one fault FORMAT_DAMAGED. A writer refuses what a reader would refuse (a bug then, and
// an invariant): what cannot be read again must not be written.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';

const VARINT_MAX = Number.MAX_SAFE_INTEGER;

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes written so far; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of the bytes written so far. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    const b = this.#bytes;
    b[this.#length++] = value;
    b[this.#length++] = value >>> 8;
    b[this.#length++] = value >>> 16;
    b[this.#length++] = value >>> 24;
    return this;
  }

  varint(value: number): this {
    invariant(Number.isSafeInteger(value) && value >= 0, 'a varint is a whole number from 0 to 2^53 - 1');
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = rest < 0x80000000 ? rest >>> 7 : Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  zigzag(value: number): this {
    return this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** `bytes[from, from + length)`, without making a view. */
  part(bytes: Uint8Array, from: number, length: number): this {
    this.#room(length);
    for (let i = 0; i < length; i++) this.#bytes[this.#length++] = bytes[from + i]!;
    return this;
  }

  /** The next `length` bytes of a reader. */
  from(reader: ByteReader, length: number): this {
    this.#room(length);
    reader.copy(length, this.#bytes, this.#length);
    this.#length += length;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** A string of one char a byte ("latin1"): how paths are held in memory. */
  latin1(text: string, from = 0): this {
    const length = text.length - from;
    this.varint(length);
    this.#room(length);
    let all = 0;
    for (let i = 0; i < length; i++) {
      const char = text.charCodeAt(from + i);
      this.#bytes[this.#length++] = char;
      all |= char;
    }
    invariant(all < 256, 'a latin1 string has one char a byte');
    return this;
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.view());
    this.#bytes = grown;
  }
}

export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** `what` names the record in faults. */
  constructor(bytes: Uint8Array, what: string) {
    // A view that can make strings by itself: views for each field would cost more than the fields.
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  damaged(why: string): never {
    throw new Fault('FORMAT_DAMAGED', `${this.#what} is damaged at byte ${this.#at}: ${why}`);
  }

  check(condition: boolean, why: string): void {
    if (!condition) this.damaged(why);
  }

  u8(): number {
    if (this.#at >= this.#bytes.length) this.damaged('it ends too early');
    return this.#bytes[this.#at++]!;
  }

  u32(): number {
    const at = this.#take(4);
    const b = this.#bytes;
    return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
  }

  varint(max: number = VARINT_MAX): number {
    // Most are of one byte.
    const first = this.#bytes[this.#at];
    if (first !== undefined && first < 0x80 && first <= max) {
      this.#at++;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if ((byte === 0 && i > 0) || value > max) this.damaged('a number is out of range');
        return value;
      }
      scale *= 128;
    }
    return this.damaged('a number is too long');
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
  }

  /** As `raw`, copied. */
  copy(length: number, target: Uint8Array, to: number): void {
    const at = this.#take(length);
    for (let i = 0; i < length; i++) target[to + i] = this.#bytes[at + i]!;
  }

  bytes(max: number = this.left): Uint8Array {
    return this.raw(this.varint(max));
  }

  latin1(max: number = this.left): string {
    const length = this.varint(max);
    const at = this.#take(length);
    return length === 0 ? '' : this.#bytes.toString('latin1', at, at + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** The number of items that follow, each of at least `itemBytesMin` bytes: nothing is allocated for more than can be there. */
  count(itemBytesMin: number, max: number = VARINT_MAX): number {
    const n = this.varint(max);
    if (n * itemBytesMin > this.left) this.damaged('it announces more than it holds');
    return n;
  }

  end(): void {
    if (this.left !== 0) this.damaged('bytes follow its end');
  }

  /** Where the next `length` bytes begin. */
  #take(length: number): number {
    if (length > this.left) this.damaged('it ends too early');
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

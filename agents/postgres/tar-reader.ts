// The tar archives of a base backup as entries with their content, as the bytes come: nothing is held but the piece at hand.

import { Fault } from '../../src/base/faults.ts';

const BLOCK = 512;

export type TarEntry = {
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Latin1, without "./" and a final "/". */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSec: number;
  readonly linkTarget: string;
};

export interface TarSink {
  /** An entry begins; its content follows. */
  begin(entry: TarEntry): Promise<void> | void;
  data(bytes: Uint8Array): Promise<void> | void;
  end(): Promise<void> | void;
}

export class TarReader {
  readonly #sink: TarSink;
  readonly #header = Buffer.alloc(BLOCK);
  #headerBytes = 0;
  /** Of the entry at hand: content that is still to come, then padding. */
  #left = 0;
  #padding = 0;
  #isInEntry = false;
  #hasEnded = false;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  async write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#hasEnded; ) {
      if (this.#left > 0) {
        const n = Math.min(this.#left, bytes.length - at);
        await this.#sink.data(bytes.subarray(at, at + n));
        this.#left -= n;
        at += n;
        if (this.#left === 0) await this.#endEntry();
      } else if (this.#padding > 0) {
        const n = Math.min(this.#padding, bytes.length - at);
        this.#padding -= n;
        at += n;
      } else {
        const n = Math.min(BLOCK - this.#headerBytes, bytes.length - at);
        bytes.copy(this.#header, this.#headerBytes, at, at + n);
        this.#headerBytes += n;
        at += n;
        if (this.#headerBytes === BLOCK) await this.#beginEntry();
      }
    }
  }

  /** Throws when the archive ends in the middle. */
  finish(): void {
    if (this.#left > 0 || this.#isInEntry || this.#headerBytes > 0)
      throw new Fault('PG_PROTOCOL', 'An archive of the base backup ends in the middle of a file');
  }

  async #beginEntry(): Promise<void> {
    this.#headerBytes = 0;
    const header = this.#header;
    if (header.every((byte) => byte === 0)) {
      this.#hasEnded = true;
      return;
    }
    checkSum(header);
    const name = text(header, 0, 100);
    const prefix = text(header, 345, 155);
    const path = (prefix === '' ? name : `${prefix}/${name}`).replace(/^\.\//, '').replace(/\/+$/, '');
    const type = String.fromCharCode(header[156]!);
    const kind = type === '5' ? 'directory' : type === '2' ? 'symlink' : type === '0' || type === '\0' ? 'file' : undefined;
    if (kind === undefined)
      throw new Fault('PG_PROTOCOL', `An archive of the base backup has an entry of the unknown type "${type}"`);
    const sizeBytes = kind === 'file' ? number(header, 124, 12) : 0;
    this.#isInEntry = true;
    this.#left = sizeBytes;
    this.#padding = (BLOCK - (sizeBytes % BLOCK)) % BLOCK;
    await this.#sink.begin({
      kind,
      path,
      mode: number(header, 100, 8) & 0o7777,
      uid: number(header, 108, 8),
      gid: number(header, 116, 8),
      sizeBytes,
      mtimeSec: number(header, 136, 12),
      linkTarget: kind === 'symlink' ? text(header, 157, 100) : '',
    });
    if (sizeBytes === 0) await this.#endEntry();
  }

  async #endEntry(): Promise<void> {
    this.#isInEntry = false;
    await this.#sink.end();
  }
}

function text(header: Buffer, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end);
}

/** Octal, or base 256 when the first bit is set. */
function number(header: Buffer, at: number, length: number): number {
  if ((header[at]! & 0x80) !== 0) {
    let value = header[at]! & 0x7f;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + header[i]!;
    return value;
  }
  const digits = text(header, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw new Fault('PG_PROTOCOL', 'An archive of the base backup has a header that is none');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function checkSum(header: Buffer): void {
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i]!;
  if (number(header, 148, 8) !== sum) throw new Fault('PG_PROTOCOL', 'An archive of the base backup has a damaged header');
}

// A set of block ids, one bit each: a session counts its blocks, so their ids are dense. A million blocks (a terabyte) take 128 KiB.

import { BLOCK_ID_BYTES, SESSION_BYTES } from '../format/pack.ts';

/** Counters of one page, as many bits. */
const PAGE_BITS = 15;
const PAGE_BYTES = 2 ** PAGE_BITS / 8;

export class BlockSet {
  readonly #pages = new Map<string, Uint8Array>();
  size = 0;

  add(id: Uint8Array): void {
    const key = pageOf(id);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(key, page);
    }
    const bit = bitOf(id);
    const mask = 1 << (bit & 7);
    if ((page[bit >> 3]! & mask) !== 0) return;
    page[bit >> 3]! |= mask;
    this.size++;
  }

  has(id: Uint8Array): boolean {
    const bit = bitOf(id);
    return ((this.#pages.get(pageOf(id))?.[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  delete(id: Uint8Array): void {
    const page = this.#pages.get(pageOf(id));
    const bit = bitOf(id);
    const mask = 1 << (bit & 7);
    if (page === undefined || (page[bit >> 3]! & mask) === 0) return;
    page[bit >> 3]! &= ~mask;
    this.size--;
  }

  /** All of a session: its name as `sessionOfBlock` says it. */
  deleteSession(session: string): void {
    for (const [key, page] of this.#pages) {
      if (!key.startsWith(session)) continue;
      this.#pages.delete(key);
      for (const byte of page) this.size -= bitsOf(byte);
    }
  }

  /** One block of each session. */
  samples(): Map<string, Uint8Array> {
    const samples = new Map<string, Uint8Array>();
    for (const [key, page] of this.#pages) {
      const session = key.slice(0, SESSION_BYTES);
      const at = page.findIndex((byte) => byte !== 0);
      if (at < 0 || samples.has(session)) continue;
      const bit = at * 8 + (31 - Math.clz32(page[at]!));
      const upper = Number(key.slice(SESSION_BYTES + 4)) << (PAGE_BITS - 8);
      const id = Buffer.concat([Buffer.from(key.slice(0, SESSION_BYTES + 4), 'latin1'), Buffer.of(upper | (bit >> 8), bit & 255)]);
      samples.set(session, id);
    }
    return samples;
  }
}

function bitsOf(byte: number): number {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** Latin1: as a key of maps. */
export function sessionOfBlock(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, SESSION_BYTES).toString('latin1');
}

/** Session and the upper bits of the counter (six bytes, big-endian). */
function pageOf(id: Uint8Array): string {
  const upper = Buffer.from(id.buffer, id.byteOffset, SESSION_BYTES + 4).toString('latin1');
  return `${upper}${id[BLOCK_ID_BYTES - 2]! >> (PAGE_BITS - 8)}`;
}

function bitOf(id: Uint8Array): number {
  return ((id[BLOCK_ID_BYTES - 2]! << 8) | id[BLOCK_ID_BYTES - 1]!) & (2 ** PAGE_BITS - 1);
}

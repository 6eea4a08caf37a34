// Chunks that wait until it is known which of them are stored already: where asking takes a while, many are asked for at once.

import { ASK_IDS_MAX } from './dedup.ts';

/** A request costs both sides as much as a thousand ids: of small files, one for so many bytes. */
export const STAGE_BYTES = 8 * 1024 * 1024;
const ID_BYTES = 32;

export class Stage {
  readonly #bytes: Uint8Array;
  readonly #ends = new Uint32Array(ASK_IDS_MAX);
  readonly ids = new Uint8Array(ASK_IDS_MAX * ID_BYTES);
  count = 0;

  /** `chunkBytesMax`: the longest chunk. */
  constructor(chunkBytesMax: number) {
    this.#bytes = new Uint8Array(Math.max(STAGE_BYTES, chunkBytesMax));
  }

  hasRoom(length: number): boolean {
    return this.count < ASK_IDS_MAX && this.#end + length <= this.#bytes.length;
  }

  /** Where the next chunk goes, if it has room. What is written there is kept only by `keep`. */
  room(length: number): Uint8Array {
    return this.#bytes.subarray(this.#end, this.#end + length);
  }

  /** Keeps the first `length` bytes of the last `room`. */
  keep(length: number, id: Uint8Array): void {
    const begin = this.#end;
    this.ids.set(id, this.count * ID_BYTES);
    this.#ends[this.count++] = begin + length;
  }

  chunk(i: number): Uint8Array {
    return this.#bytes.subarray(i === 0 ? 0 : this.#ends[i - 1]!, this.#ends[i]!);
  }

  id(i: number): Uint8Array {
    return this.ids.slice(i * ID_BYTES, (i + 1) * ID_BYTES);
  }

  /** Forgets all but the first `count`. */
  shorten(count: number): void {
    this.count = count;
  }

  get #end(): number {
    return this.count === 0 ? 0 : this.#ends[this.count - 1]!;
  }
}

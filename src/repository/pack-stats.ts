// A few numbers for each pack of the index, by the pack's ordinal (its place in the index objects of the head, in their order). They are
// the only thing a prune holds in memory for every pack: 29 bytes each, 19 MB for 10 TiB.

import type { PackKind } from '../format/pack.ts';

const METADATA = 1;
const KEPT = 2;
const DUPLICATE = 4;
const CONDEMNED = 8;
const MOVED = 16;

export type NewPack = {
  readonly kind: PackKind;
  readonly packLength: number;
  /** Sealed blocks, without the directory. */
  readonly blocksBytes: number;
  /** Position of its index object. */
  readonly index: number;
  /** Not to be touched: of a session that runs. */
  readonly isKept: boolean;
};

export class PackStats {
  #capacity = 1024;
  #flags = new Uint8Array(1024);
  #packLength = new Uint32Array(1024);
  #blocks = new Uint32Array(1024);
  #index = new Uint32Array(1024);
  #whole = new Uint32Array(1024);
  #lean = new Float64Array(1024);
  #live = new Float64Array(1024);
  count = 0;

  add({ kind, packLength, blocksBytes, index, isKept }: NewPack): number {
    if (this.count === this.#capacity) this.#grow();
    const n = this.count++;
    this.#flags[n] = (kind === 'metadata' ? METADATA : 0) | (isKept ? KEPT : 0);
    this.#packLength[n] = packLength;
    this.#blocks[n] = blocksBytes;
    this.#index[n] = index;
    return n;
  }

  /** A block of the pack that something needs: its stored length, how much of it, and what it would be with the rest zeroed. */
  addBlock(n: number, storedLength: number, liveBytes: number, leanBytes: number): void {
    this.#whole[n]! += storedLength;
    this.#live[n]! += liveBytes;
    this.#lean[n]! += leanBytes;
  }

  kind(n: number): PackKind {
    return this.#has(n, METADATA) ? 'metadata' : 'data';
  }

  packLength(n: number): number {
    return this.#packLength[n]!;
  }

  blocksBytes(n: number): number {
    return this.#blocks[n]!;
  }

  indexOf(n: number): number {
    return this.#index[n]!;
  }

  /** Stored bytes of the blocks that are needed, in part at least. */
  wholeBytes(n: number): number {
    return this.#whole[n]!;
  }

  /** About what is left when blocks of which little is needed are written anew without the rest. */
  leanBytes(n: number): number {
    return Math.round(this.#lean[n]!);
  }

  /** About what is needed. */
  liveBytes(n: number): number {
    return Math.round(this.#live[n]!);
  }

  isKept(n: number): boolean {
    return this.#has(n, KEPT);
  }

  /** Another index object names the same pack: that one counts. */
  isDuplicate(n: number): boolean {
    return this.#has(n, DUPLICATE);
  }

  isCondemned(n: number): boolean {
    return this.#has(n, CONDEMNED);
  }

  isMoved(n: number): boolean {
    return this.#has(n, MOVED);
  }

  markDuplicate(n: number): void {
    this.#flags[n]! |= DUPLICATE;
  }

  markKept(n: number): void {
    this.#flags[n]! |= KEPT;
  }

  /** Moved: what it holds is needed, and is to be written to another pack first. */
  condemn(n: number, isMoved: boolean): void {
    this.#flags[n]! |= CONDEMNED | (isMoved ? MOVED : 0);
  }

  spare(n: number): void {
    this.#flags[n]! &= ~(CONDEMNED | MOVED);
  }

  #has(n: number, flag: number): boolean {
    return (this.#flags[n]! & flag) !== 0;
  }

  #grow(): void {
    this.#capacity *= 2;
    const grown = <T extends Uint8Array | Uint32Array | Float64Array>(make: (length: number) => T, old: T): T => {
      const array = make(this.#capacity);
      array.set(old as never);
      return array;
    };
    this.#flags = grown((n) => new Uint8Array(n), this.#flags);
    this.#packLength = grown((n) => new Uint32Array(n), this.#packLength);
    this.#blocks = grown((n) => new Uint32Array(n), this.#blocks);
    this.#index = grown((n) => new Uint32Array(n), this.#index);
    this.#whole = grown((n) => new Uint32Array(n), this.#whole);
    this.#lean = grown((n) => new Float64Array(n), this.#lean);
    this.#live = grown((n) => new Float64Array(n), this.#live);
  }
}

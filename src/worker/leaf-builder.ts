// One leaf of a units map in the making: what is set, what is kept of the parent's leaf.

import { DIGEST_BYTES } from '../codec/chunk-id.ts';
import { decodeUnitsLeaf, encodeUnitsLeaf } from '../format/units-node.ts';
import { bytesEqual, digestOf, REFERENCE_BYTES, writeReference } from '../model/reference.ts';
import type { PagedLeaf } from './file-task.ts';

/** A slot of one reference for each unit. */
export class LeafBuilder {
  readonly #unitBytes: number;
  readonly #parentNode: Uint8Array | undefined;
  readonly #set: Uint8Array;
  readonly #slots: Uint8Array;
  readonly #parentSlots: Uint8Array | undefined;
  readonly #parentSet: Uint8Array | undefined;

  /** `length`: bytes that the leaf covers. `parentNode`: the parent's leaf at the same place. */
  constructor(length: number, unitBytes: number, parentNode: Uint8Array | undefined) {
    const units = Math.ceil(length / unitBytes);
    this.#unitBytes = unitBytes;
    this.#parentNode = parentNode;
    this.#set = new Uint8Array(units);
    this.#slots = new Uint8Array(units * REFERENCE_BYTES);
    if (parentNode === undefined) return;
    const parent = decodeUnitsLeaf(parentNode, units, unitBytes, length - (units - 1) * unitBytes);
    this.#parentSet = parent.set;
    this.#parentSlots = new Uint8Array(units * REFERENCE_BYTES);
    for (let u = 0, n = 0; u < units; u++) {
      if (parent.set[u] === 1)
        this.#parentSlots.set(parent.references.subarray(n * REFERENCE_BYTES, ++n * REFERENCE_BYTES), u * REFERENCE_BYTES);
    }
  }

  set(unit: number, block: Uint8Array, digest: Uint8Array, offset: number, length: number): void {
    this.#set[unit] = 1;
    writeReference(this.#slots, unit * REFERENCE_BYTES, block, digest, offset, length);
  }

  keepParent(unit: number): void {
    if (this.#parentSet?.[unit] !== 1) return;
    this.#set[unit] = 1;
    const at = unit * REFERENCE_BYTES;
    this.#slots.set(this.#parentSlots!.subarray(at, at + REFERENCE_BYTES), at);
  }

  keepParentIfSame(unit: number, id: Uint8Array): boolean {
    if (this.#parentSet?.[unit] !== 1 || !bytesEqual(digestOf(this.#parentSlots!, unit), id.subarray(0, DIGEST_BYTES)))
      return false;
    this.keepParent(unit);
    return true;
  }

  finish(): PagedLeaf {
    let n = 0;
    for (let u = 0; u < this.#set.length; u++) {
      if (this.#set[u] === 1) this.#slots.copyWithin(n++ * REFERENCE_BYTES, u * REFERENCE_BYTES, (u + 1) * REFERENCE_BYTES);
    }
    if (n === 0) return { kind: 'zero' };
    const bytes = encodeUnitsLeaf(this.#set, this.#slots.subarray(0, n * REFERENCE_BYTES), this.#unitBytes);
    return this.#parentNode !== undefined && bytesEqual(this.#parentNode, bytes) ? { kind: 'same' } : { kind: 'node', bytes };
  }
}

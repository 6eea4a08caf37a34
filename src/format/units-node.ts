// Maps by position: volumes and paged files. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import { blockOf, digestOf, NO_REFERENCES, offsetOf, REFERENCE_BYTES, type References, writeRange } from '../model/reference.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { BLOCK_RAW_BYTES_MAX } from './pack.ts';

export const UNITS_PER_LEAF = 256;
export const UNITS_FANOUT = 256;
const LEAF = 3;
const BRANCH = 4;

/** Height of the map of `units` units: 0 when a leaf covers them all. */
export function unitsMapHeight(units: number): number {
  let height = 0;
  for (let covered = UNITS_PER_LEAF; covered < units; covered *= UNITS_FANOUT) height++;
  return height;
}

/** A leaf: `set[i]` says whether unit i has a reference (is not zero); references of the set units, in order. */
export type UnitsLeaf = { readonly set: Uint8Array; readonly references: References };

/** `set` has one byte a unit, `references` the set ones packed; all units of a run have `unitBytes`, except a short last one. */
export function encodeUnitsLeaf(set: Uint8Array, references: References, unitBytes: number): Uint8Array {
  const table = new BlockTableWriter();
  const body = new ByteWriter(64 + references.length);
  const n = references.length / REFERENCE_BYTES;
  invariant(set.length > 0 && set.length <= UNITS_PER_LEAF, 'a leaf covers from 1 to 256 units');
  const runs: number[] = [];
  for (let i = 0; i < n; i++) {
    const position = table.position(blockOf(references, i));
    const offset = offsetOf(references, i);
    const at = runs.length - 3;
    if (at >= 0 && runs[at + 1] === position && runs[at + 2]! + runs[at]! * unitBytes === offset) runs[at]!++;
    else runs.push(1, position, offset);
  }
  body.varint(runs.length / 3);
  for (const number of runs) body.varint(number);
  for (let i = 0; i < n; i++) body.raw(digestOf(references, i));
  return table.finish(nodeWriter(LEAF).varint(set.length).raw(packBits(set)), body);
}

/** `units` in the leaf, all of `unitBytes` but the last. */
export function decodeUnitsLeaf(bytes: Uint8Array, units: number, unitBytes: number, lastUnitBytes: number): UnitsLeaf {
  const r = new ByteReader(bytes, 'A units leaf');
  expectNode(r, LEAF);
  r.check(r.varint(UNITS_PER_LEAF) === units, 'it covers another number of units');
  const set = unpackBits(r, units);
  const table = new BlockTableReader(r);
  let n = 0;
  for (const bit of set) n += bit;
  const references = new Uint8Array(n * REFERENCE_BYTES);
  const isLastSet = set[units - 1] === 1;
  let i = 0;
  for (let runs = r.count(3, n); runs > 0; runs--) {
    const end = i + r.varint(n - i);
    const position = r.varint();
    let offset = r.varint(BLOCK_RAW_BYTES_MAX);
    r.check(end > i, 'an empty run');
    for (; i < end; i++, offset += unitBytes) {
      const length = isLastSet && i === n - 1 ? lastUnitBytes : unitBytes;
      r.check(offset + length <= BLOCK_RAW_BYTES_MAX, 'a unit leaves its block');
      table.copyBlock(position, references, i * REFERENCE_BYTES);
      writeRange(references, i * REFERENCE_BYTES, offset, length);
    }
  }
  r.check(i === n, 'its runs do not cover its units');
  for (i = 0; i < n; i++) r.copy(16, references, i * REFERENCE_BYTES + 16);
  r.end();
  return { set, references };
}

/** A branch: one packed reference a child, or none when everything below it is zero. */
export function encodeUnitsBranch(children: readonly References[]): Uint8Array {
  invariant(children.length > 0 && children.length <= UNITS_FANOUT, 'a branch has from 1 to 256 children');
  const table = new BlockTableWriter();
  const body = new ByteWriter(64 + children.length * 24);
  const set = Uint8Array.from(children, (child) => (child.length > 0 ? 1 : 0));
  for (const child of children) if (child.length > 0) table.reference(body, child);
  return table.finish(nodeWriter(BRANCH).varint(children.length).raw(packBits(set)), body);
}

/** `children`: how many it must have. */
export function decodeUnitsBranch(bytes: Uint8Array, children?: number): References[] {
  const r = new ByteReader(bytes, 'A units branch');
  expectNode(r, BRANCH);
  const n = r.varint(UNITS_FANOUT);
  r.check(n > 0 && (children === undefined || n === children), 'it has another number of children');
  const set = unpackBits(r, n);
  const table = new BlockTableReader(r);
  const references = Array.from(set, (bit) => {
    if (bit === 0) return NO_REFERENCES;
    const reference = new Uint8Array(REFERENCE_BYTES);
    table.reference(r, reference, 0);
    return reference;
  });
  r.end();
  return references;
}

function packBits(set: Uint8Array): Uint8Array {
  const bits = new Uint8Array((set.length + 7) >>> 3);
  for (let i = 0; i < set.length; i++) if (set[i] === 1) bits[i >>> 3]! |= 1 << (i & 7);
  return bits;
}

function unpackBits(r: ByteReader, n: number): Uint8Array {
  const bits = r.raw((n + 7) >>> 3);
  r.check(n % 8 === 0 || bits[bits.length - 1]! >>> (n & 7) === 0, 'bits are set behind its last unit');
  return Uint8Array.from({ length: n }, (_, i) => (bits[i >>> 3]! >>> (i & 7)) & 1);
}

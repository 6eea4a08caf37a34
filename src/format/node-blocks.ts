// The blocks that a node refers to, without decoding the rest of it: every node names them in a table near its beginning.

import { ByteReader } from './bytes.ts';
import { BLOCK_ID_BYTES } from './pack.ts';

const ENTRIES_LEAF = 1;
const UNITS_LEAF = 3;
const UNITS_BRANCH = 4;
const CHUNKS_LEAF = 5;

/** Block ids, 16 bytes each: a view. FORMAT_DAMAGED when the bytes cannot be a node. */
export function blocksOfNode(node: Uint8Array): Uint8Array {
  const r = new ByteReader(node, 'A node');
  const kind = r.u8();
  r.check(r.u8() === 1, 'unknown version');
  if (kind === ENTRIES_LEAF) r.varint();
  if (kind === UNITS_LEAF || kind === UNITS_BRANCH) r.raw(Math.ceil(r.varint(node.length * 8) / 8));
  return r.raw(r.count(BLOCK_ID_BYTES) * BLOCK_ID_BYTES);
}

/** Whether a node refers to content; others refer to nodes only. */
export function isLeaf(node: Uint8Array): boolean {
  return node[0] === ENTRIES_LEAF || node[0] === UNITS_LEAF || node[0] === CHUNKS_LEAF;
}

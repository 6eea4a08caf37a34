// Maps of content that is cut by content: a list of chunks, as a tree. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import { REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

export const CHUNKS_PER_LEAF = 1024;
export const CHUNKS_FANOUT = 256;
const LEAF = 5;
const BRANCH = 6;

export type ChunksBranchChild = { readonly reference: References; readonly contentBytes: number };
export type ChunksNode =
  | { readonly kind: 'leaf'; readonly references: References }
  | { readonly kind: 'branch'; readonly children: readonly ChunksBranchChild[] };

export function encodeChunksLeaf(references: References): Uint8Array {
  const table = new BlockTableWriter();
  const body = new ByteWriter(references.length + 16);
  const n = referenceCount(references);
  invariant(n > 0 && n <= CHUNKS_PER_LEAF, 'a leaf has from 1 to 1,024 chunks');
  body.varint(n);
  for (let i = 0; i < n; i++) table.reference(body, references, i);
  return table.finish(nodeWriter(LEAF), body);
}

export function encodeChunksBranch(children: readonly ChunksBranchChild[]): Uint8Array {
  const table = new BlockTableWriter();
  const body = new ByteWriter(children.length * 32 + 16);
  invariant(children.length > 0 && children.length <= CHUNKS_FANOUT, 'a branch has from 1 to 256 children');
  body.varint(children.length);
  for (const { reference, contentBytes } of children) {
    table.reference(body, reference);
    body.varint(contentBytes);
  }
  return table.finish(nodeWriter(BRANCH), body);
}

export function decodeChunksNode(bytes: Uint8Array): ChunksNode {
  const r = new ByteReader(bytes, 'A chunks node');
  if (bytes[0] === LEAF) {
    expectNode(r, LEAF);
    const references = new BlockTableReader(r).references(r, CHUNKS_PER_LEAF);
    r.check(references.length > 0, 'it has no chunks');
    r.end();
    return { kind: 'leaf', references };
  }
  expectNode(r, BRANCH);
  const table = new BlockTableReader(r);
  const children: ChunksBranchChild[] = [];
  for (let n = r.count(20, CHUNKS_FANOUT); n > 0; n--) {
    const reference = new Uint8Array(REFERENCE_BYTES);
    table.reference(r, reference, 0);
    const contentBytes = r.varint();
    r.check(contentBytes > 0, 'it has a child without content');
    children.push({ reference, contentBytes });
  }
  r.check(children.length > 0, 'it has no children');
  r.end();
  return { kind: 'branch', children };
}

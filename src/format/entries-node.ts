// Maps of directory trees: runs of entries in canonical order, column by column so that they compress. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import { comparePaths, ENTRY_PATH_BYTES_MAX } from '../model/entry-path.ts';
import { REFERENCE_BYTES, type References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter, REFERENCE_ENCODED_BYTES_MIN } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { CHUNKS_AND_SIZE, EntriesLeafCursor, LEAF } from './entries-leaf-cursor.ts';
import { EntriesLeafEncoder } from './entries-leaf-encoder.ts';

export const ENTRIES_PER_LEAF_MIN = 64;
export const ENTRIES_FANOUT = 256;
/** A leaf or branch is closed when its weight reaches this: about its encoded size, which must fit into a block of nodes. */
export const ENTRIES_WEIGHT_MAX = 192 * 1024;
const BRANCH = 2;
export type EntriesBranchChild = {
  readonly firstPath: string;
  readonly reference: References;
  readonly entries: number;
  readonly contentBytes: number;
};

/** About what an entry adds to its leaf. `references`: of its content. */
export function weightOfEntry(
  { linkTarget, hardLinkTo, xattrs }: Pick<StoredEntry, 'linkTarget' | 'hardLinkTo' | 'xattrs'>,
  pathLength: number,
  references: number,
): number {
  let weight = 64 + pathLength + linkTarget.length + hardLinkTo.length + 28 * Math.max(1, references);
  for (const { name, value } of xattrs) weight += 8 + name.length + value.length;
  return weight;
}

/** About what a child adds to its branch. */
export function weightOfChild({ firstPath }: EntriesBranchChild): number {
  return 64 + firstPath.length;
}

export function encodeEntriesLeaf(entries: readonly StoredEntry[]): Uint8Array {
  const leaf = new EntriesLeafEncoder();
  for (const entry of entries) leaf.add(entry);
  return leaf.finish();
}

export function decodeEntriesLeaf(bytes: Uint8Array): StoredEntry[] {
  const leaf = new EntriesLeafCursor(bytes);
  const entries: StoredEntry[] = [];
  while (leaf.next()) entries.push(entryAt(leaf));
  return entries;
}

/** The entry at hand. Takes its content. */
export function entryAt(leaf: EntriesLeafCursor): StoredEntry {
  return {
    path: leaf.path(),
    kind: leaf.kind,
    mode: leaf.mode,
    uid: leaf.uid,
    gid: leaf.gid,
    sizeBytes: leaf.sizeBytes,
    mtimeSec: leaf.mtimeSec,
    mtimeNsec: leaf.mtimeNsec,
    ctimeSec: leaf.ctimeSec,
    ctimeNsec: leaf.ctimeNsec,
    inode: leaf.inode,
    device: leaf.device,
    links: leaf.links,
    rdevMajor: leaf.rdevMajor,
    rdevMinor: leaf.rdevMinor,
    linkTarget: leaf.linkTarget,
    content: leaf.content(),
    xattrs: leaf.xattrs,
    hardLinkTo: leaf.hardLinkTo,
  };
}

/** What a leaf refers to. */
export type EntriesLeafReferences = {
  /** Of the chunks of all files, packed. */
  readonly chunks: References;
  /** The maps of files that have one; no reference in the root when all is zero. */
  readonly maps: readonly { readonly kind: 'chunks-map' | 'units-map'; readonly root: References; readonly sizeBytes: number }[];
};

/** For who follows references only: makes neither entries nor names, and refuses what `decodeEntriesLeaf` refuses. */
export function referencesOfEntriesLeaf(bytes: Uint8Array): EntriesLeafReferences {
  const leaf = new EntriesLeafCursor(bytes);
  const maps: EntriesLeafReferences['maps'][number][] = [];
  let chunks = new Uint8Array(64 * REFERENCE_BYTES);
  let length = 0;
  while (leaf.next()) {
    if (leaf.kind !== 'file') continue;
    const { contents } = leaf;
    const kind = leaf.contentKind();
    if (kind === 'none') continue;
    if (kind !== 'chunks') {
      maps.push({ kind, root: leaf.contentRoot(kind), sizeBytes: leaf.sizeBytes });
      continue;
    }
    const n = contents.count(REFERENCE_ENCODED_BYTES_MIN);
    const end = length + n * REFERENCE_BYTES;
    if (end > chunks.length) {
      const grown = new Uint8Array(Math.max(end, chunks.length * 2));
      grown.set(chunks.subarray(0, length));
      chunks = grown;
    }
    let sum = 0;
    for (; length < end; length += REFERENCE_BYTES) sum += leaf.table.reference(contents, chunks, length);
    contents.check(sum === leaf.sizeBytes, CHUNKS_AND_SIZE);
  }
  return { chunks: chunks.subarray(0, length), maps };
}

export function encodeEntriesBranch(children: readonly EntriesBranchChild[]): Uint8Array {
  invariant(children.length > 0 && children.length <= ENTRIES_FANOUT, 'a branch has from 1 to 256 children');
  const table = new BlockTableWriter();
  const body = new ByteWriter(children.length * 64 + 16);
  body.varint(children.length);
  let before: string | undefined;
  for (const { firstPath, reference, entries, contentBytes } of children) {
    invariant(before === undefined || comparePaths(before, firstPath) < 0, 'children come in canonical order');
    before = firstPath;
    body.latin1(firstPath);
    table.reference(body, reference);
    body.varint(entries).varint(contentBytes);
  }
  return table.finish(nodeWriter(BRANCH), body);
}

export function isEntriesLeaf(bytes: Uint8Array): boolean {
  return bytes[0] === LEAF;
}

export function decodeEntriesBranch(bytes: Uint8Array): EntriesBranchChild[] {
  const r = new ByteReader(bytes, 'An entries branch');
  expectNode(r, BRANCH);
  const table = new BlockTableReader(r);
  const children: EntriesBranchChild[] = [];
  for (let n = r.count(22, ENTRIES_FANOUT); n > 0; n--) {
    const firstPath = r.latin1(ENTRY_PATH_BYTES_MAX);
    r.check(children.length === 0 || comparePaths(children.at(-1)!.firstPath, firstPath) < 0, 'its paths are not in order');
    const reference = new Uint8Array(REFERENCE_BYTES);
    table.reference(r, reference, 0);
    const entries = r.varint();
    r.check(entries > 0, 'it has a child without entries');
    children.push({ firstPath, reference, entries, contentBytes: r.varint() });
  }
  r.check(children.length > 0, 'it has no children');
  r.end();
  return children;
}

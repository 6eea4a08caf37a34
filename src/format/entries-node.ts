// Maps of directory trees: runs of entries in canonical order, column by column so that they compress. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import type { EntryKind } from '../model/entry.ts';
import { comparePaths, ENTRY_PATH_BYTES_MAX } from '../model/entry-path.ts';
import { contentLength, REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter, REFERENCE_ENCODED_BYTES_MIN } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import {
  CHUNKS_AND_SIZE,
  ENTRIES_PER_LEAF_MAX,
  EntriesLeafCursor,
  HAS_HARD_LINK,
  HAS_XATTRS,
  KINDS,
  LEAF,
  NANOSECONDS,
  XATTRS_PER_LEAF_MAX,
} from './entries-leaf-cursor.ts';

export const ENTRIES_PER_LEAF_MIN = 64;
export const ENTRIES_FANOUT = 256;
/** A leaf or branch is closed when its weight reaches this: about its encoded size, which must fit into a block of nodes. */
export const ENTRIES_WEIGHT_MAX = 192 * 1024;
const BRANCH = 2;
/** Times beyond 35 million years are kept as that: file systems can hold more than a number can. */
const SECONDS_MAX = 2 ** 50;
const KIND_CODES: Readonly<Record<EntryKind, number>> = Object.fromEntries(KINDS.map((kind, code) => [kind, code])) as Record<
  EntryKind,
  number
>;
const CONTENT_CODES = { none: 0, chunks: 1, 'chunks-map': 2, 'units-map': 3 } as const;

/** Of a leaf. */
const COLUMNS = 9;

export type EntriesBranchChild = {
  readonly firstPath: string;
  readonly reference: References;
  readonly entries: number;
  readonly contentBytes: number;
};

/** About what an entry adds to its leaf. */
export function weightOfEntry({ path, linkTarget, hardLinkTo, xattrs, content }: StoredEntry): number {
  let weight = 64 + path.length + linkTarget.length + hardLinkTo.length;
  for (const { name, value } of xattrs) weight += 8 + name.length + value.length;
  return content.kind === 'chunks' ? weight + 28 * referenceCount(content.references) : weight + 28;
}

/** About what a child adds to its branch. */
export function weightOfChild({ firstPath }: EntriesBranchChild): number {
  return 64 + firstPath.length;
}

export function encodeEntriesLeaf(entries: readonly StoredEntry[]): Uint8Array {
  const table = new BlockTableWriter();
  const columns = Array.from({ length: COLUMNS }, () => new ByteWriter(1024));
  const [paths, kinds, owners, sizes, seconds, nanoseconds, inodes, extras, contents] = columns as [
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
    ByteWriter,
  ];
  invariant(entries.length > 0 && entries.length <= ENTRIES_PER_LEAF_MAX, 'a leaf has from 1 to 1,024 entries');
  let before: StoredEntry | undefined;
  let [mtimeBefore, xattrs] = [0, 0];
  for (const entry of entries) {
    checkEntry(entry, before);
    xattrs += entry.xattrs.length;
    const mtimeSec = clampSeconds(entry.mtimeSec);
    const shared = before === undefined ? 0 : sharedPrefix(before.path, entry.path);
    paths.varint(shared).latin1(entry.path, shared);
    kinds.u8(KIND_CODES[entry.kind] | (entry.xattrs.length > 0 ? HAS_XATTRS : 0) | (entry.hardLinkTo !== '' ? HAS_HARD_LINK : 0));
    owners.varint(entry.mode).varint(entry.uid).varint(entry.gid);
    if (entry.kind === 'file') sizes.varint(entry.sizeBytes);
    seconds.zigzag(mtimeSec - mtimeBefore).zigzag(clampSeconds(entry.ctimeSec) - mtimeSec);
    nanoseconds.u32(entry.mtimeNsec).u32(entry.ctimeNsec);
    inodes
      .zigzag(entry.inode - (before?.inode ?? 0))
      .zigzag(entry.device - (before?.device ?? 0))
      .varint(entry.links);
    writeExtras(extras, entry);
    if (entry.kind === 'file') writeContent(contents, table, entry.content);
    before = entry;
    mtimeBefore = mtimeSec;
  }
  invariant(xattrs <= XATTRS_PER_LEAF_MAX, 'a leaf has at most 65,536 extended attributes');
  const body = new ByteWriter(16 * 1024);
  for (const column of columns) body.bytes(column.view());
  return table.finish(nodeWriter(LEAF).varint(entries.length), body);
}

/** What `decodeEntriesLeaf` would refuse. */
function checkEntry(entry: StoredEntry, before: StoredEntry | undefined): void {
  const { path, kind, content, sizeBytes, hardLinkTo, mtimeNsec, ctimeNsec } = entry;
  invariant(before === undefined || comparePaths(before.path, path) < 0, 'entries come in canonical order');
  invariant(path.length <= ENTRY_PATH_BYTES_MAX, 'a path has at most 16,384 bytes');
  invariant(mtimeNsec < NANOSECONDS && ctimeNsec < NANOSECONDS, 'a second has 10^9 nanoseconds');
  if (kind !== 'file') return;
  invariant(
    content.kind !== 'none' || sizeBytes === 0 || hardLinkTo !== '',
    'a file that is not empty has content, or is a link to it',
  );
  invariant(content.kind !== 'chunks' || contentLength(content.references) === sizeBytes, "chunks add up to their file's size");
  invariant(content.kind !== 'chunks-map' || content.root.length === REFERENCE_BYTES, 'a map of chunks has a root');
}

function clampSeconds(seconds: number): number {
  return Math.max(-SECONDS_MAX, Math.min(seconds, SECONDS_MAX));
}

function writeExtras(w: ByteWriter, entry: StoredEntry): void {
  if (entry.kind === 'symlink') w.latin1(entry.linkTarget);
  if (entry.kind === 'character-device' || entry.kind === 'block-device') w.varint(entry.rdevMajor).varint(entry.rdevMinor);
  if (entry.hardLinkTo !== '') w.latin1(entry.hardLinkTo);
  if (entry.xattrs.length === 0) return;
  w.varint(entry.xattrs.length);
  for (const { name, value } of entry.xattrs) w.latin1(name).bytes(value);
}

function writeContent(w: ByteWriter, table: BlockTableWriter, content: Content): void {
  w.u8(CONTENT_CODES[content.kind]);
  if (content.kind === 'none') return;
  const references = content.kind === 'chunks' ? content.references : content.root;
  const n = referenceCount(references);
  w.varint(n);
  for (let i = 0; i < n; i++) table.reference(w, references, i);
}

export function decodeEntriesLeaf(bytes: Uint8Array): StoredEntry[] {
  const leaf = new EntriesLeafCursor(bytes);
  const entries: StoredEntry[] = [];
  while (leaf.next()) {
    entries.push({
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
    });
  }
  return entries;
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

function sharedPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

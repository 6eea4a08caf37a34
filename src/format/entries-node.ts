// Maps of directory trees: runs of entries in canonical order, column by column so that they compress. See README.md, "Maps".

import type { EntryKind, Xattr } from '../model/entry.ts';
import { REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../model/stored-entry.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

export const ENTRIES_PER_LEAF_MIN = 64;
export const ENTRIES_PER_LEAF_MAX = 1024;
export const ENTRIES_FANOUT = 256;
const LEAF = 1;
const BRANCH = 2;

const KINDS: readonly EntryKind[] = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
const KIND_CODES: Readonly<Record<EntryKind, number>> = Object.fromEntries(KINDS.map((kind, code) => [kind, code])) as Record<
  EntryKind,
  number
>;
const HAS_XATTRS = 0x10;
const HAS_HARD_LINK = 0x20;
const CONTENT_KINDS = ['none', 'chunks', 'chunks-map', 'units-map'] as const;
const CONTENT_CODES = { none: 0, chunks: 1, 'chunks-map': 2, 'units-map': 3 } as const;

export type EntriesBranchChild = {
  readonly firstPath: string;
  readonly reference: References;
  readonly entries: number;
  readonly contentBytes: number;
};

const COLUMNS = 9;

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
  let before: StoredEntry | undefined;
  for (const entry of entries) {
    const shared = before === undefined ? 0 : sharedPrefix(before.path, entry.path);
    paths.varint(shared).latin1(entry.path, shared);
    kinds.u8(KIND_CODES[entry.kind] | (entry.xattrs.length > 0 ? HAS_XATTRS : 0) | (entry.hardLinkTo !== '' ? HAS_HARD_LINK : 0));
    owners.varint(entry.mode).varint(entry.uid).varint(entry.gid);
    if (entry.kind === 'file') sizes.varint(entry.sizeBytes);
    seconds.zigzag(entry.mtimeSec - (before?.mtimeSec ?? 0)).zigzag(entry.ctimeSec - entry.mtimeSec);
    nanoseconds.u32(entry.mtimeNsec).u32(entry.ctimeNsec);
    inodes
      .zigzag(entry.inode - (before?.inode ?? 0))
      .zigzag(entry.device - (before?.device ?? 0))
      .varint(entry.links);
    writeExtras(extras, entry);
    if (entry.kind === 'file') writeContent(contents, table, entry.content);
    before = entry;
  }
  const body = new ByteWriter(16 * 1024);
  for (const column of columns) body.bytes(column.view());
  return table.finish(nodeWriter(LEAF).varint(entries.length), body);
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
  const r = new ByteReader(bytes, 'An entries leaf');
  expectNode(r, LEAF);
  const n = r.varint(ENTRIES_PER_LEAF_MAX);
  const table = new BlockTableReader(r);
  const column = () => new ByteReader(r.bytes(), 'An entries leaf');
  const [paths, kinds, owners, sizes, seconds, nanoseconds, inodes, extras, contents] = [
    column(),
    column(),
    column(),
    column(),
    column(),
    column(),
    column(),
    column(),
    column(),
  ];
  r.end();
  const entries: StoredEntry[] = [];
  let [path, mtimeSec, inode, device] = ['', 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const shared = paths.varint(path.length);
    path = path.slice(0, shared) + paths.latin1();
    const flags = kinds.u8();
    const kind = KINDS[flags & 0x0f];
    if (kind === undefined) return kinds.damaged('unknown kind of entry');
    const mode = owners.varint(0o7777);
    const uid = owners.varint();
    const gid = owners.varint();
    const sizeBytes = kind === 'file' ? sizes.varint() : 0;
    mtimeSec += seconds.zigzag();
    const ctimeSec = mtimeSec + seconds.zigzag();
    const mtimeNsec = nanoseconds.u32();
    const ctimeNsec = nanoseconds.u32();
    inode += inodes.zigzag();
    device += inodes.zigzag();
    const links = inodes.varint();
    const linkTarget = kind === 'symlink' ? extras.latin1() : '';
    const isDevice = kind === 'character-device' || kind === 'block-device';
    const rdevMajor = isDevice ? extras.varint() : 0;
    const rdevMinor = isDevice ? extras.varint() : 0;
    const hardLinkTo = (flags & HAS_HARD_LINK) !== 0 ? extras.latin1() : '';
    const xattrs = (flags & HAS_XATTRS) !== 0 ? readXattrs(extras) : NO_XATTRS;
    const content = kind === 'file' ? readContent(contents, table) : NO_CONTENT;
    entries.push({
      path,
      kind,
      mode,
      uid,
      gid,
      sizeBytes,
      mtimeSec,
      mtimeNsec,
      ctimeSec,
      ctimeNsec,
      inode,
      device,
      links,
      rdevMajor,
      rdevMinor,
      linkTarget,
      content,
      xattrs,
      hardLinkTo,
    });
  }
  for (const c of [paths, kinds, owners, sizes, seconds, nanoseconds, inodes, extras, contents]) c.end();
  return entries;
}

const NO_XATTRS: readonly Xattr[] = [];

function readXattrs(r: ByteReader): Xattr[] {
  const xattrs: Xattr[] = [];
  for (let n = r.count(2); n > 0; n--) xattrs.push({ name: r.latin1(), value: r.bytes() });
  return xattrs;
}

function readContent(r: ByteReader, table: BlockTableReader): Content {
  const kind = CONTENT_KINDS[r.u8()];
  if (kind === undefined) return r.damaged('unknown kind of content');
  if (kind === 'none') return NO_CONTENT;
  const references = table.references(r);
  if (kind === 'chunks') return { kind, references };
  r.check(references.length === REFERENCE_BYTES || (kind === 'units-map' && references.length === 0), 'a map has one root');
  return { kind, root: references };
}

export function encodeEntriesBranch(children: readonly EntriesBranchChild[]): Uint8Array {
  const table = new BlockTableWriter();
  const body = new ByteWriter(children.length * 64 + 16);
  body.varint(children.length);
  for (const { firstPath, reference, entries, contentBytes } of children) {
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
    const firstPath = r.latin1();
    const reference = new Uint8Array(REFERENCE_BYTES);
    table.reference(r, reference, 0);
    children.push({ firstPath, reference, entries: r.varint(), contentBytes: r.varint() });
  }
  r.end();
  return children;
}

function sharedPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

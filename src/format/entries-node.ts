// Maps of directory trees: runs of entries in canonical order, column by column so that they compress. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import type { EntryKind, Xattr } from '../model/entry.ts';
import { comparePaths, ENTRY_PATH_BYTES_MAX } from '../model/entry-path.ts';
import { contentLength, REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../model/stored-entry.ts';
import { BlockTableReader, BlockTableWriter, expectNode, nodeWriter } from './block-table.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

export const ENTRIES_PER_LEAF_MIN = 64;
export const ENTRIES_PER_LEAF_MAX = 1024;
export const ENTRIES_FANOUT = 256;
/** A leaf or branch is closed when its weight reaches this: about its encoded size, which must fit into a block of nodes. */
export const ENTRIES_WEIGHT_MAX = 192 * 1024;
const LEAF = 1;
const BRANCH = 2;
/** Times beyond 35 million years are kept as that: file systems can hold more than a number can. */
const SECONDS_MAX = 2 ** 50;
const NANOSECONDS = 1_000_000_000;
/** What all entries of a leaf may have. The kernel allows 64 KiB of names to one entry. */
const XATTRS_PER_LEAF_MAX = 64 * 1024;

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
  const r = new ByteReader(bytes, 'An entries leaf');
  expectNode(r, LEAF);
  const n = r.varint(ENTRIES_PER_LEAF_MAX);
  r.check(n > 0, 'it has no entries');
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
  let [path, mtimeSec, inode, device, xattrsLeft] = ['', 0, 0, 0, XATTRS_PER_LEAF_MAX];
  for (let i = 0; i < n; i++) {
    const before = path;
    const shared = paths.varint(before.length);
    path = before.slice(0, shared) + paths.latin1(ENTRY_PATH_BYTES_MAX - shared);
    paths.check(i === 0 || comparePaths(before, path, shared) < 0, 'its paths are not in order');
    const flags = kinds.u8();
    const kind = KINDS[flags & 0x0f];
    if (kind === undefined || flags >= 0x40) return kinds.damaged('unknown kind of entry');
    const mode = owners.varint(0o7777);
    const uid = owners.varint();
    const gid = owners.varint();
    const sizeBytes = kind === 'file' ? sizes.varint() : 0;
    mtimeSec += seconds.zigzag();
    const ctimeSec = mtimeSec + seconds.zigzag();
    const mtimeNsec = nanoseconds.u32();
    const ctimeNsec = nanoseconds.u32();
    nanoseconds.check(mtimeNsec < NANOSECONDS && ctimeNsec < NANOSECONDS, 'a second has too many nanoseconds');
    inode += inodes.zigzag();
    device += inodes.zigzag();
    const links = inodes.varint();
    inodes.check(isSafe(mtimeSec) && isSafe(ctimeSec) && isNumber(inode) && isNumber(device), 'a time or number is out of range');
    const linkTarget = kind === 'symlink' ? extras.latin1() : '';
    const isDevice = kind === 'character-device' || kind === 'block-device';
    const rdevMajor = isDevice ? extras.varint() : 0;
    const rdevMinor = isDevice ? extras.varint() : 0;
    const hardLinkTo = (flags & HAS_HARD_LINK) !== 0 ? extras.latin1() : '';
    const xattrs = (flags & HAS_XATTRS) !== 0 ? readXattrs(extras, xattrsLeft) : NO_XATTRS;
    xattrsLeft -= xattrs.length;
    const content = kind === 'file' ? readContent(contents, table, sizeBytes) : NO_CONTENT;
    contents.check(content.kind !== 'none' || sizeBytes === 0 || hardLinkTo !== '', 'a file has no content');
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
const isSafe = Number.isSafeInteger;
/** Of an inode or a device: the difference of two is safe, too. */
const isNumber = (n: number): boolean => n >= 0 && n < 2 ** 52;

function readXattrs(r: ByteReader, max: number): Xattr[] {
  const xattrs: Xattr[] = [];
  for (let n = r.count(2, max); n > 0; n--) xattrs.push({ name: r.latin1(), value: r.bytes() });
  return xattrs;
}

function readContent(r: ByteReader, table: BlockTableReader, sizeBytes: number): Content {
  const kind = CONTENT_KINDS[r.u8()];
  if (kind === undefined) return r.damaged('unknown kind of content');
  if (kind === 'none') return NO_CONTENT;
  const references = table.references(r);
  if (kind === 'chunks') {
    r.check(contentLength(references) === sizeBytes, 'chunks do not add up to the size of their file');
    return { kind, references };
  }
  r.check(references.length === REFERENCE_BYTES || (kind === 'units-map' && references.length === 0), 'a map has one root');
  return { kind, root: references };
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

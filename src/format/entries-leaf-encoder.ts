// Writing a leaf of entries, entry by entry, straight into its columns. An entry that stands in another leaf is copied from a cursor over
// that one, without being made. See README.md, "Maps".

import { invariant } from '../base/invariant.ts';
import type { EntryKind } from '../model/entry.ts';
import { ENTRY_PATH_BYTES_MAX } from '../model/entry-path.ts';
import { contentLength, REFERENCE_BYTES, referenceCount } from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import { BlockTableWriter, nodeWriter, REFERENCE_ENCODED_BYTES_MIN } from './block-table.ts';
import { ByteWriter } from './bytes.ts';
import {
  CHUNKS_AND_SIZE,
  ENTRIES_PER_LEAF_MAX,
  type EntriesLeafCursor,
  HAS_HARD_LINK,
  HAS_XATTRS,
  KINDS,
  LEAF,
  NANOSECONDS,
  XATTRS_PER_LEAF_MAX,
} from './entries-leaf-cursor.ts';

const SLASH = 47;
/** Times beyond 35 million years are kept as that: file systems can hold more than a number can. */
const SECONDS_MAX = 2 ** 50;
const KIND_CODES: Readonly<Record<EntryKind, number>> = Object.fromEntries(KINDS.map((kind, code) => [kind, code])) as Record<
  EntryKind,
  number
>;
const CONTENT_CODES = { none: 0, chunks: 1, 'chunks-map': 2, 'units-map': 3 } as const;

type Fields = Omit<StoredEntry, 'path' | 'content'>;

export class EntriesLeafEncoder {
  #table = new BlockTableWriter();
  readonly #paths = new ByteWriter(4096);
  readonly #kinds = new ByteWriter(1024);
  readonly #owners = new ByteWriter(1024);
  readonly #sizes = new ByteWriter(1024);
  readonly #seconds = new ByteWriter(1024);
  readonly #nanoseconds = new ByteWriter(4096);
  readonly #inodes = new ByteWriter(1024);
  readonly #extras = new ByteWriter(1024);
  readonly #contents = new ByteWriter(4096);
  /** Of the entry before. */
  readonly #path = new Uint8Array(ENTRY_PATH_BYTES_MAX);
  #pathLength = 0;
  #mtimeSec = 0;
  #inode = 0;
  #device = 0;
  #xattrs = 0;
  count = 0;

  add(entry: StoredEntry): void {
    const { path, content, sizeBytes, hardLinkTo, kind } = entry;
    this.#addPath(path);
    this.#addFields(entry);
    if (kind !== 'file') return;
    invariant(
      content.kind !== 'none' || sizeBytes === 0 || hardLinkTo !== '',
      'a file that is not empty has content, or is a link to it',
    );
    invariant(content.kind !== 'chunks' || contentLength(content.references) === sizeBytes, "chunks add up to their file's size");
    invariant(content.kind !== 'chunks-map' || content.root.length === REFERENCE_BYTES, 'a map of chunks has a root');
    this.#addContent(content);
  }

  /** The entry at hand of another leaf, its content included, which must not have been taken. Answers how many references it has. */
  copy(from: EntriesLeafCursor): number {
    this.#copyPath(from.pathBytes, from.pathLength);
    this.#addFields(from);
    return from.kind === 'file' ? this.#copyContent(from) : 0;
  }

  /** The leaf. The next entry begins another one. */
  finish(): Uint8Array {
    invariant(this.count > 0, 'a leaf has from 1 to 1,024 entries');
    const body = new ByteWriter(16 * 1024);
    const columns = [
      this.#paths,
      this.#kinds,
      this.#owners,
      this.#sizes,
      this.#seconds,
      this.#nanoseconds,
      this.#inodes,
      this.#extras,
      this.#contents,
    ];
    for (const column of columns) body.bytes(column.view());
    const leaf = this.#table.finish(nodeWriter(LEAF).varint(this.count), body);
    for (const column of columns) column.clear();
    this.#table = new BlockTableWriter();
    this.#pathLength = 0;
    this.#mtimeSec = 0;
    this.#inode = 0;
    this.#device = 0;
    this.#xattrs = 0;
    this.count = 0;
    return leaf;
  }

  #addPath(path: string): void {
    invariant(path.length <= ENTRY_PATH_BYTES_MAX, 'a path has at most 16,384 bytes');
    const before = this.#path;
    const most = Math.min(this.#pathLength, path.length);
    let shared = 0;
    while (shared < most && before[shared] === path.charCodeAt(shared)) shared++;
    this.#checkOrder(shared, path.length, path.charCodeAt(shared));
    this.#paths.varint(shared).latin1(path, shared);
    for (let i = shared; i < path.length; i++) before[i] = path.charCodeAt(i);
    this.#pathLength = path.length;
  }

  #copyPath(path: Uint8Array, length: number): void {
    const before = this.#path;
    const most = Math.min(this.#pathLength, length);
    let shared = 0;
    while (shared < most && before[shared] === path[shared]) shared++;
    this.#checkOrder(shared, length, path[shared]!);
    this.#paths
      .varint(shared)
      .varint(length - shared)
      .part(path, shared, length - shared);
    for (let i = shared; i < length; i++) before[i] = path[i]!;
    this.#pathLength = length;
  }

  /** As `comparePaths`, of the path before with one of `length` bytes that has `next` where the two differ. */
  #checkOrder(shared: number, length: number, next: number): void {
    if (this.count === 0) return;
    const before = this.#path[shared]!;
    const isBefore = shared < length && (shared === this.#pathLength || before === SLASH || (next !== SLASH && before < next));
    invariant(isBefore, 'entries come in canonical order');
  }

  #addFields(entry: Fields): void {
    const { kind, xattrs, hardLinkTo, mtimeNsec, ctimeNsec, inode, device } = entry;
    invariant(mtimeNsec < NANOSECONDS && ctimeNsec < NANOSECONDS, 'a second has 10^9 nanoseconds');
    invariant(this.count < ENTRIES_PER_LEAF_MAX, 'a leaf has from 1 to 1,024 entries');
    this.#xattrs += xattrs.length;
    invariant(this.#xattrs <= XATTRS_PER_LEAF_MAX, 'a leaf has at most 65,536 extended attributes');
    const mtimeSec = clampSeconds(entry.mtimeSec);
    this.#kinds.u8(KIND_CODES[kind] | (xattrs.length > 0 ? HAS_XATTRS : 0) | (hardLinkTo !== '' ? HAS_HARD_LINK : 0));
    this.#owners.varint(entry.mode).varint(entry.uid).varint(entry.gid);
    if (kind === 'file') this.#sizes.varint(entry.sizeBytes);
    this.#seconds.zigzag(mtimeSec - this.#mtimeSec).zigzag(clampSeconds(entry.ctimeSec) - mtimeSec);
    this.#nanoseconds.u32(mtimeNsec).u32(ctimeNsec);
    this.#inodes
      .zigzag(inode - this.#inode)
      .zigzag(device - this.#device)
      .varint(entry.links);
    writeExtras(this.#extras, entry);
    this.#mtimeSec = mtimeSec;
    this.#inode = inode;
    this.#device = device;
    this.count++;
  }

  #addContent(content: Content): void {
    const w = this.#contents.u8(CONTENT_CODES[content.kind]);
    if (content.kind === 'none') return;
    const references = content.kind === 'chunks' ? content.references : content.root;
    const n = referenceCount(references);
    w.varint(n);
    for (let i = 0; i < n; i++) this.#table.reference(w, references, i);
  }

  #copyContent(from: EntriesLeafCursor): number {
    const r = from.contents;
    const kind = from.contentKind();
    const w = this.#contents.u8(CONTENT_CODES[kind]);
    if (kind === 'none') return 0;
    const n = r.count(REFERENCE_ENCODED_BYTES_MIN);
    r.check(kind === 'chunks' || n === 1 || (kind === 'units-map' && n === 0), 'a map has one root');
    w.varint(n);
    let length = 0;
    for (let i = 0; i < n; i++) length += this.#table.copy(w, from.table, r);
    r.check(kind !== 'chunks' || length === from.sizeBytes, CHUNKS_AND_SIZE);
    return n;
  }
}

function clampSeconds(seconds: number): number {
  return Math.max(-SECONDS_MAX, Math.min(seconds, SECONDS_MAX));
}

function writeExtras(w: ByteWriter, entry: Fields): void {
  if (entry.kind === 'symlink') w.latin1(entry.linkTarget);
  if (entry.kind === 'character-device' || entry.kind === 'block-device') w.varint(entry.rdevMajor).varint(entry.rdevMinor);
  if (entry.hardLinkTo !== '') w.latin1(entry.hardLinkTo);
  if (entry.xattrs.length === 0) return;
  w.varint(entry.xattrs.length);
  for (const { name, value } of entry.xattrs) w.latin1(name).bytes(value);
}

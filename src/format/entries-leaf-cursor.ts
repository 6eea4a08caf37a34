// Reading a leaf of entries without making entries: a cursor over its columns. See README.md, "Maps".

import type { EntryKind, Xattr } from '../model/entry.ts';
import { ENTRY_PATH_BYTES_MAX } from '../model/entry-path.ts';
import { contentLength, REFERENCE_BYTES, type References } from '../model/reference.ts';
import { type Content, NO_CONTENT } from '../model/stored-entry.ts';
import { BlockTableReader, expectNode, REFERENCE_ENCODED_BYTES_MIN } from './block-table.ts';
import { ByteReader } from './bytes.ts';

export const ENTRIES_PER_LEAF_MAX = 1024;
export const LEAF = 1;
const SLASH = 47;
export const NANOSECONDS = 1_000_000_000;
/** What all entries of a leaf may have. The kernel allows 64 KiB of names to one entry. */
export const XATTRS_PER_LEAF_MAX = 64 * 1024;

export const KINDS: readonly EntryKind[] = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
export const HAS_XATTRS = 0x10;
export const HAS_HARD_LINK = 0x20;
const CONTENT_KINDS = ['none', 'chunks', 'chunks-map', 'units-map'] as const;

export const CHUNKS_AND_SIZE = 'chunks do not add up to the size of their file';

/** Along a leaf, entry by entry. The content of a file is for the caller to take, before `next`. Every check is made on the way. */
export class EntriesLeafCursor {
  readonly table: BlockTableReader;
  readonly contents: ByteReader;
  readonly #paths: ByteReader;
  readonly #kinds: ByteReader;
  readonly #owners: ByteReader;
  readonly #sizes: ByteReader;
  readonly #seconds: ByteReader;
  readonly #nanoseconds: ByteReader;
  readonly #inodes: ByteReader;
  readonly #extras: ByteReader;
  readonly #path = new PathBuffer();
  #left: number;
  #xattrsLeft = XATTRS_PER_LEAF_MAX;
  kind: EntryKind = 'file';
  mode = 0;
  uid = 0;
  gid = 0;
  sizeBytes = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
  inode = 0;
  device = 0;
  links = 0;
  rdevMajor = 0;
  rdevMinor = 0;
  linkTarget = '';
  hardLinkTo = '';
  xattrs: readonly Xattr[] = NO_XATTRS;

  constructor(bytes: Uint8Array) {
    const r = new ByteReader(bytes, 'An entries leaf');
    expectNode(r, LEAF);
    this.#left = r.varint(ENTRIES_PER_LEAF_MAX);
    r.check(this.#left > 0, 'it has no entries');
    this.table = new BlockTableReader(r);
    const column = (): ByteReader => new ByteReader(r.bytes(), 'An entries leaf');
    this.#paths = column();
    this.#kinds = column();
    this.#owners = column();
    this.#sizes = column();
    this.#seconds = column();
    this.#nanoseconds = column();
    this.#inodes = column();
    this.#extras = column();
    this.contents = column();
    r.end();
  }

  /** False at the end. */
  next(): boolean {
    if (this.#left === 0) return this.#end();
    this.#left--;
    const kinds = this.#kinds;
    const owners = this.#owners;
    const seconds = this.#seconds;
    const nanoseconds = this.#nanoseconds;
    const inodes = this.#inodes;
    const extras = this.#extras;
    this.#path.next(this.#paths);
    const flags = kinds.u8();
    const kind = KINDS[flags & 0x0f];
    if (kind === undefined || flags >= 0x40) return kinds.damaged('unknown kind of entry');
    this.kind = kind;
    this.mode = owners.varint(0o7777);
    this.uid = owners.varint();
    this.gid = owners.varint();
    this.sizeBytes = kind === 'file' ? this.#sizes.varint() : 0;
    this.mtimeSec += seconds.zigzag();
    this.ctimeSec = this.mtimeSec + seconds.zigzag();
    this.mtimeNsec = nanoseconds.u32();
    this.ctimeNsec = nanoseconds.u32();
    nanoseconds.check(this.mtimeNsec < NANOSECONDS && this.ctimeNsec < NANOSECONDS, 'a second has too many nanoseconds');
    this.inode += inodes.zigzag();
    this.device += inodes.zigzag();
    this.links = inodes.varint();
    const isInRange = isSafe(this.mtimeSec) && isSafe(this.ctimeSec) && isNumber(this.inode) && isNumber(this.device);
    inodes.check(isInRange, 'a time or number is out of range');
    this.linkTarget = kind === 'symlink' ? extras.latin1() : '';
    const isDevice = kind === 'character-device' || kind === 'block-device';
    this.rdevMajor = isDevice ? extras.varint() : 0;
    this.rdevMinor = isDevice ? extras.varint() : 0;
    this.hardLinkTo = (flags & HAS_HARD_LINK) !== 0 ? extras.latin1() : '';
    this.xattrs = (flags & HAS_XATTRS) !== 0 ? readXattrs(extras, this.#xattrsLeft) : NO_XATTRS;
    this.#xattrsLeft -= this.xattrs.length;
    return true;
  }

  #end(): false {
    for (const column of [
      this.#paths,
      this.#kinds,
      this.#owners,
      this.#sizes,
      this.#seconds,
      this.#nanoseconds,
      this.#inodes,
      this.#extras,
    ])
      column.end();
    this.contents.end();
    return false;
  }

  /** Entries behind the one at hand. */
  get left(): number {
    return this.#left;
  }

  path(): string {
    return this.#path.text();
  }

  /** The path's bytes are the first `pathLength` of these; valid until `next`. */
  get pathBytes(): Uint8Array {
    return this.#path.bytes;
  }

  get pathLength(): number {
    return this.#path.length;
  }

  /** As `comparePaths`, of the path at hand with another. */
  comparePath(other: string): number {
    return this.#path.compare(other);
  }

  content(): Content {
    if (this.kind !== 'file') return NO_CONTENT;
    const kind = this.contentKind();
    if (kind === 'none') return NO_CONTENT;
    if (kind !== 'chunks') return { kind, root: this.contentRoot(kind) };
    const references = this.table.references(this.contents);
    this.contents.check(contentLength(references) === this.sizeBytes, CHUNKS_AND_SIZE);
    return { kind, references };
  }

  /** Passes over the content of the entry at hand. */
  skipContent(): void {
    if (this.kind !== 'file' || this.contentKind() === 'none') return;
    this.table.skip(this.contents, this.contents.count(REFERENCE_ENCODED_BYTES_MIN));
  }

  /** Of a file. What belongs to it is to be taken from `contents` after this. */
  contentKind(): Content['kind'] {
    const kind = CONTENT_KINDS[this.contents.u8()];
    if (kind === undefined) return this.contents.damaged('unknown kind of content');
    this.contents.check(kind !== 'none' || this.sizeBytes === 0 || this.hardLinkTo !== '', 'a file has no content');
    return kind;
  }

  contentRoot(kind: 'chunks-map' | 'units-map'): References {
    const root = this.table.references(this.contents);
    const isRoot = root.length === REFERENCE_BYTES || (kind === 'units-map' && root.length === 0);
    this.contents.check(isRoot, 'a map has one root');
    return root;
  }
}

/** The path at hand, as bytes: each is written over the one before, from where the two differ. */
class PathBuffer {
  readonly bytes = Buffer.allocUnsafe(ENTRY_PATH_BYTES_MAX);
  length = -1;

  next(r: ByteReader): void {
    const before = Math.max(0, this.length);
    const shared = r.varint(before);
    const rest = r.bytes(ENTRY_PATH_BYTES_MAX - shared);
    r.check(this.length < 0 || this.#order(shared, before, rest) < 0, 'its paths are not in order');
    this.bytes.set(rest, shared);
    this.length = shared + rest.length;
  }

  text(): string {
    return this.bytes.toString('latin1', 0, this.length);
  }

  compare(other: string): number {
    const common = Math.min(this.length, other.length);
    for (let i = 0; i < common; i++) {
      const x = this.bytes[i]!;
      const y = other.charCodeAt(i);
      if (x !== y) return x === SLASH ? -1 : y === SLASH ? 1 : x - y;
    }
    return this.length - other.length;
  }

  /** As `comparePaths`, of the path before, of `length` bytes, with one that goes on behind `shared` of them with `rest`. */
  #order(shared: number, length: number, rest: Uint8Array): number {
    const common = Math.min(length - shared, rest.length);
    for (let i = 0; i < common; i++) {
      const x = this.bytes[shared + i]!;
      const y = rest[i]!;
      if (x !== y) return x === SLASH ? -1 : y === SLASH ? 1 : x - y;
    }
    return length - shared - rest.length;
  }
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

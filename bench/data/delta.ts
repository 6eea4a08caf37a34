// The difference of two directories, kept so that ONE directory can be turned from the first state into the second and back.
// Two copies side by side would not do: a file that did not change must keep its inode and its times, or every program under test
// would read it again. Writing the same state twice does no harm, so a switch that was interrupted is simply done once more.
//
// A delta is a directory: `delta.json` (the paths that differ, with the attributes of either side) and the two sides' bytes,
// `first.bin` and `second.bin`. A file that is in both is patched in blocks of 4 KiB.

import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export type Side = 'first' | 'second';

const BLOCK_BYTES = 4096;
const PIECE_BYTES = 1024 * 1024;

type Node = {
  readonly kind: 'file' | 'directory' | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds, with fractions. */
  readonly modified: number;
  readonly size: number;
  readonly link?: string;
};

/** `length` bytes at `offset` of the file lie at `at` in the side's own .bin. */
type Patch = { readonly offset: number; readonly length: number; readonly at: number };

type Entry = {
  readonly path: string;
  readonly first?: Node & { readonly patches: readonly Patch[] };
  readonly second?: Node & { readonly patches: readonly Patch[] };
};

export type DeltaSummary = { readonly entries: number; readonly firstBytes: number; readonly secondBytes: number };

function nodeAt(path: string): Node | undefined {
  let stats: Stats;
  try {
    stats = lstatSync(path);
  } catch {
    return undefined;
  }
  const common = { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, modified: stats.mtimeMs / 1000 };
  if (stats.isDirectory()) return { kind: 'directory', ...common, size: 0 };
  if (stats.isSymbolicLink()) return { kind: 'link', ...common, size: 0, link: readlinkSync(path) };
  return { kind: 'file', ...common, size: stats.size };
}

function pathsBelow(root: string, below = '', found: string[] = []): string[] {
  for (const name of readdirSync(join(root, below)).sort()) {
    const path = join(below, name);
    found.push(path);
    if (lstatSync(join(root, path)).isDirectory()) pathsBelow(root, path, found);
  }
  return found;
}

/** Collects the bytes of one side. */
class Blobs {
  readonly #fd: number;
  size = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'w');
  }

  add(bytes: Uint8Array): number {
    const at = this.size;
    writeSync(this.#fd, bytes);
    this.size += bytes.length;
    return at;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

type Range = { offset: number; length: number };

/** The ranges in which the first `size` bytes of two files differ, as multiples of blocks. */
function differingRanges(first: string, second: string, size: number): Range[] {
  const [a, b] = [openSync(first, 'r'), openSync(second, 'r')];
  const [left, right] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  const ranges: Range[] = [];
  for (let offset = 0; offset < size; offset += PIECE_BYTES) {
    const length = readSync(a, left, 0, Math.min(PIECE_BYTES, size - offset), offset);
    readSync(b, right, 0, length, offset);
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      const end = Math.min(at + BLOCK_BYTES, length);
      if (left.compare(right, at, end, at, end) === 0) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === offset + at) last.length += end - at;
      else ranges.push({ offset: offset + at, length: end - at });
    }
  }
  closeSync(a);
  closeSync(b);
  return ranges;
}

/** Keeps those ranges of the file, and everything from `common` on. */
function patchesOf(path: string, ranges: readonly Range[], common: number, size: number, blobs: Blobs): Patch[] {
  const tail = size > common ? [{ offset: common, length: size - common }] : [];
  const fd = openSync(path, 'r');
  const patches = [...ranges, ...tail].map(({ offset, length }) => {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, offset);
    return { offset, length, at: blobs.add(bytes) };
  });
  closeSync(fd);
  return patches;
}

const attributes = (node: Node) => JSON.stringify([node.kind, node.mode, node.uid, node.gid, node.modified, node.size, node.link]);

/** Records in the directory `into` what turns `first` into `second` and back. */
export function recordDelta(first: string, second: string, into: string): DeltaSummary {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const blobs = { first: new Blobs(join(into, 'first.bin')), second: new Blobs(join(into, 'second.bin')) };
  const entries: Entry[] = [];
  for (const path of ['.', ...new Set([...pathsBelow(first), ...pathsBelow(second)])]) {
    const [a, b] = [nodeAt(join(first, path)), nodeAt(join(second, path))];
    if (a !== undefined && b !== undefined && attributes(a) === attributes(b)) continue;
    if (a?.kind === 'file' && b?.kind === 'file') {
      const common = Math.min(a.size, b.size);
      const ranges = differingRanges(join(first, path), join(second, path), common);
      entries.push({
        path,
        first: { ...a, patches: patchesOf(join(first, path), ranges, common, a.size, blobs.first) },
        second: { ...b, patches: patchesOf(join(second, path), ranges, common, b.size, blobs.second) },
      });
      continue;
    }
    const whole = (side: Side, root: string, node: Node) => ({
      ...node,
      patches: node.kind === 'file' ? patchesOf(join(root, path), [], 0, node.size, blobs[side]) : [],
    });
    entries.push({
      path,
      ...(a === undefined ? {} : { first: whole('first', first, a) }),
      ...(b === undefined ? {} : { second: whole('second', second, b) }),
    });
  }
  blobs.first.close();
  blobs.second.close();
  writeFileSync(join(into, 'delta.json'), JSON.stringify(entries));
  return { entries: entries.length, firstBytes: blobs.first.size, secondBytes: blobs.second.size };
}

function writeNode(path: string, node: NonNullable<Entry['first']>, blobs: number): void {
  const present = nodeAt(path);
  if (present !== undefined && present.kind !== node.kind) rmSync(path, { recursive: true });
  if (node.kind === 'directory') mkdirSync(path, { recursive: true });
  else if (node.kind === 'link') {
    rmSync(path, { force: true });
    symlinkSync(node.link!, path);
  } else {
    const fd = openSync(path, present?.kind === 'file' ? 'r+' : 'w+');
    for (const patch of node.patches) {
      const bytes = Buffer.alloc(patch.length);
      readSync(blobs, bytes, 0, patch.length, patch.at);
      writeSync(fd, bytes, 0, bytes.length, patch.offset);
    }
    ftruncateSync(fd, node.size);
    closeSync(fd);
  }
  if (process.getuid!() === 0) lchownSync(path, node.uid, node.gid);
  if (node.kind !== 'link') chmodSync(path, node.mode);
  lutimesSync(path, node.modified, node.modified);
}

/** Turns `root` into that side, whichever it is now. */
export function applyDelta(root: string, delta: string, side: Side): void {
  const entries = JSON.parse(readFileSync(join(delta, 'delta.json'), 'utf8')) as Entry[];
  const blobs = openSync(join(delta, `${side}.bin`), 'r');
  for (const entry of entries.toReversed())
    if (entry[side] === undefined) rmSync(join(root, entry.path), { recursive: true, force: true });
  for (const entry of entries) if (entry[side] !== undefined) writeNode(join(root, entry.path), entry[side], blobs);
  closeSync(blobs);
  // Last and deepest first, because what was written inside has touched the directory's time.
  for (const entry of entries.toReversed()) {
    const node = entry[side];
    if (node?.kind === 'directory') lutimesSync(join(root, entry.path), node.modified, node.modified);
  }
}

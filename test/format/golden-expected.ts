// What lies beside a golden repository: what its snapshots must give, found out without our engine when it was made.

import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { blake3 } from '@napi-rs/blake-hash';
import { HERE } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import { comparePaths } from '../../src/model/entry-path.ts';

/** One entry; what is 0, '' or none is left out. Strings of bytes are latin1. */
export type ExpectedEntry = {
  readonly path: string;
  readonly kind: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  /** Nanoseconds since 1970, decimal. */
  readonly mtime: string;
  readonly linkTarget?: string;
  readonly rdev?: readonly [major: number, minor: number];
  /** Values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>;
  /** The first name, in canonical order, of the same inode. */
  readonly hardLinkTo?: string;
  /** BLAKE3 of a file's content, hex. */
  readonly content?: string;
};

export type ExpectedSnapshot = {
  readonly id: string;
  readonly asset: string;
  readonly type: 'files' | 'volume' | 'stream';
  readonly parent?: string;
  readonly tags: readonly string[];
  readonly contentBytes: number;
  /** Of a volume or stream. */
  readonly content?: string;
  readonly entries?: readonly ExpectedEntry[];
};

export type Expected = {
  /** Of an owner's key. */
  readonly passphrase: string;
  /** Of a key that writes one asset. */
  readonly writer: { readonly passphrase: string; readonly asset: string };
  /** Oldest first. */
  readonly snapshots: readonly ExpectedSnapshot[];
  /** Forgotten, and still there because somebody reads them. */
  readonly pinned: readonly string[];
};

export function contentHash(bytes: Uint8Array): string {
  return blake3(bytes).toString('hex');
}

function kindOf(stat: BigIntStats): string {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  if (stat.isSocket()) return 'socket';
  return stat.isCharacterDevice() ? 'character-device' : 'block-device';
}

/** All entries below `root`, itself with the path '', in canonical order. */
export function scanTree(root: string): ExpectedEntry[] {
  const paths: string[] = [''];
  const look = (below: string): void => {
    for (const name of readdirSync(bytesOf(join(root, below)), { encoding: 'latin1' })) {
      const path = below === '' ? name : `${below}/${name}`;
      paths.push(path);
      if (lstatSync(bytesOf(join(root, path))).isDirectory()) look(path);
    }
  };
  look('');
  const first = new Map<string, string>();
  return paths.sort(comparePaths).map((path) => scanEntry(root, path, first));
}

function scanEntry(root: string, path: string, first: Map<string, string>): ExpectedEntry {
  const place = bytesOf(join(root, path));
  const stat = lstatSync(place, { bigint: true });
  const kind = kindOf(stat);
  const [uid, gid, sizeBytes] = [Number(stat.uid), Number(stat.gid), kind === 'file' ? Number(stat.size) : 0];
  const inode = `${stat.dev}:${stat.ino}`;
  const hardLinkTo = kind !== 'directory' && stat.nlink > 1n ? first.get(inode) : undefined;
  if (hardLinkTo === undefined) first.set(inode, path);
  const xattrs = kind === 'socket' ? {} : xattrsOf(join(root, path));
  const isDevice = kind === 'character-device' || kind === 'block-device';
  return {
    path,
    kind,
    mode: Number(stat.mode) & 0o7777,
    ...(uid === 0 ? {} : { uid }),
    ...(gid === 0 ? {} : { gid }),
    ...(sizeBytes === 0 ? {} : { sizeBytes }),
    mtime: String(stat.mtimeNs),
    ...(kind === 'symlink' ? { linkTarget: readlinkSync(place, { encoding: 'latin1' }) } : {}),
    ...(isDevice ? { rdev: [Number(stat.rdev >> 8n), Number(stat.rdev & 0xffn)] as const } : {}),
    ...(Object.keys(xattrs).length === 0 ? {} : { xattrs }),
    ...(hardLinkTo === undefined ? {} : { hardLinkTo }),
    ...(kind === 'file' ? { content: contentHash(readFileSync(place)) } : {}),
  };
}

function xattrsOf(path: string): Record<string, string> {
  const posix = posixCalls();
  const names = [...posix.listXattrs(HERE, path)].sort();
  return Object.fromEntries(names.map((name) => [name, Buffer.from(posix.getXattr(HERE, path, name)!).toString('base64')]));
}

const join = (root: string, path: string): string => (path === '' ? root : `${root}/${path}`);
const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1');

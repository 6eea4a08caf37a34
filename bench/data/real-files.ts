// Picks files of the machine itself (what Debian installed) as realistic content. Whole directories are taken, in an order that
// depends on nothing but their names and the seed, so that the same system gives the same selection.

import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';

export type RealFile = { readonly path: string; readonly stats: Stats };

export type Selection = {
  readonly roots: readonly string[];
  readonly seed: string;
  readonly filesMax: number;
  readonly bytesMax: number;
  readonly fileBytesMax: number;
};

function directoriesBelow(root: string, found: string[]): void {
  found.push(root);
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    try {
      directoriesBelow(join(root, entry.name), found);
    } catch {
      // Not readable for this user: it only makes the selection smaller.
    }
  }
}

/** Files and symlinks of the chosen directories, until one of the limits is reached. */
export function selectRealFiles(selection: Selection): RealFile[] {
  const directories: string[] = [];
  for (const root of selection.roots) {
    try {
      directoriesBelow(root, directories);
    } catch {
      // The root does not exist here.
    }
  }
  const rank = new Map(directories.map((d) => [d, createHash('md5').update(`${selection.seed}:${d}`).digest('hex')]));
  directories.sort((a, b) => (rank.get(a)! < rank.get(b)! ? -1 : 1));
  const chosen: RealFile[] = [];
  let bytes = 0;
  for (const directory of directories) {
    for (const name of readdirSync(directory).sort()) {
      const path = join(directory, name);
      const stats = lstatSync(path);
      if (!(stats.isFile() || stats.isSymbolicLink()) || stats.size > selection.fileBytesMax) continue;
      if (bytes + stats.size > selection.bytesMax) continue;
      chosen.push({ path, stats });
      bytes += stats.size;
      if (chosen.length >= selection.filesMax) return chosen;
    }
  }
  return chosen;
}

/** Copies them below `target`, with modes and times. Answers the bytes of regular files. */
export function copyRealFiles(files: readonly RealFile[], target: string): number {
  let bytes = 0;
  for (const { path, stats } of files) {
    const to = join(target, relative('/', path));
    mkdirSync(dirname(to), { recursive: true });
    if (stats.isSymbolicLink()) {
      symlinkSync(readlinkSync(path), to);
      lutimesSync(to, stats.atime, stats.mtime);
      continue;
    }
    try {
      copyFileSync(path, to);
    } catch {
      continue; // not readable for this user
    }
    chmodSync(to, stats.mode & 0o777);
    utimesSync(to, stats.atime, stats.mtime);
    bytes += stats.size;
  }
  return bytes;
}

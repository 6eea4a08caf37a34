// Guest memory that nobody has touched for a while belongs to the host, and getting it back costs more than most operations here
// (measured: 1.4 to 1.8 s per GiB). Before each timed run, as much memory as it is going to need is touched and freed again.

import { closeSync, lstatSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../src/base/units.ts';

const PIECE = Buffer.alloc(8 * MIB, 1);

/** Writes and removes a file of `bytes` in `directory` (on a RAM disk that is memory). */
export function touchMemory(directory: string, bytes: number): void {
  const path = join(directory, 'touched');
  const fd = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= PIECE.length) writeSync(fd, PIECE, 0, Math.min(left, PIECE.length));
  closeSync(fd);
  rmSync(path);
}

/** The sizes of all files below `path`, added. */
export function storedBytes(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + storedBytes(join(path, name)), 0);
}

/** Throws unless the file system of `directory` has room for `bytes`. */
export function requireRoom(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize >= bytes) return;
  const [have, want] = [bavail * bsize, bytes].map((n) => Math.round(n / MIB));
  throw new Error(`${directory} has ${have} MiB free and ${want} MiB are needed: use --short, fewer --sets, or another --work.`);
}

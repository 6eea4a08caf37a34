// Guest memory that nobody has touched for a while belongs to the host, and getting it back costs more than most operations here
// (measured: 1.4 to 2.5 s per GiB). Before each data set everything that its runs may need is touched and freed again, and before
// each timed run as much as that one is going to need.

import { closeSync, lstatSync, openSync, readdirSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../src/base/units.ts';

const TMPFS_MAGIC = 0x01021994;
const PIECE = Buffer.alloc(8 * MIB, 1);

/** Writes and removes a file of `bytes` in `directory` (on a RAM disk that is memory). */
export function touchMemory(directory: string, bytes: number): void {
  const path = join(directory, 'touched');
  const fd = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= PIECE.length) writeSync(fd, PIECE, 0, Math.min(left, PIECE.length));
  closeSync(fd);
  rmSync(path);
}

/** Bytes that can still be had without pressing anybody else out of memory. */
function availableMemory(): number {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

/** As `touchMemory`, but leaves a third of the available memory alone. */
export function touchSpareMemory(directory: string, bytes: number): void {
  touchMemory(directory, Math.floor(Math.min(bytes, availableMemory() * 0.67)));
}

/** The sizes of all files below `path`, added. */
export function storedBytes(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + storedBytes(join(path, name)), 0);
}

/** Throws unless `directory` has room for `bytes`: on its file system, and in memory when that is a RAM disk. */
export function requireRoom(directory: string, bytes: number): void {
  const { bavail, bsize, type } = statfsSync(directory);
  const room = type === TMPFS_MAGIC ? Math.min(bavail * bsize, availableMemory()) : bavail * bsize;
  if (room >= bytes) return;
  const [have, want] = [room, bytes].map((n) => Math.round(n / MIB));
  throw new Error(
    `${directory} has room for ${have} MiB and ${want} MiB are needed: use --short, fewer --sets, or another --work.`,
  );
}

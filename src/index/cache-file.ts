// Whole reads and writes of local cache files. A full disk is a fault with a name.

import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';

export type RandomBytes = (length: number) => Uint8Array;

/** False when the file ends before `bytes` is full, or cannot be read there. */
export function readWhole(fd: number, bytes: Uint8Array, position: number): boolean {
  try {
    let done = 0;
    while (done < bytes.length) {
      const n = readSync(fd, bytes, done, bytes.length - done, position + done);
      if (n === 0) return false;
      done += n;
    }
    return true;
  } catch {
    return false;
  }
}

/** Throws INDEX_CACHE_FULL when the disk has no room; see `cacheFault`. */
export function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  try {
    let done = 0;
    while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  } catch (cause) {
    throw cacheFault(cause);
  }
}

const FULL = ['ENOSPC', 'EDQUOT', 'EFBIG'];
const DENIED = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'];

/** A disk without room becomes INDEX_CACHE_FULL, a missing permission INDEX_CACHE_DENIED; every other error stays as it is. */
export function cacheFault(cause: unknown): unknown {
  const { code = '', path } = cause as NodeJS.ErrnoException;
  const where = path === undefined ? '' : ` at ${path}`;
  if (FULL.includes(code)) return new Fault('INDEX_CACHE_FULL', `The disk of the index cache is full${where}`, { cause });
  if (DENIED.includes(code)) return new Fault('INDEX_CACHE_DENIED', `The index cache cannot be used${where}: ${code}`, { cause });
  return cause;
}

/** INDEX_CACHE_FULL, INDEX_CACHE_DENIED. */
export function makeCacheDirectory(directory: string): void {
  try {
    makeDirectory(directory, { mode: 0o700 });
  } catch (cause) {
    const fault = cacheFault(cause);
    if (fault !== cause) throw fault;
    // Below /proc, or below a link to nowhere: whatever it is, nothing can be kept there.
    const { code } = cause as NodeJS.ErrnoException;
    throw new Fault('INDEX_CACHE_DENIED', `The index cache cannot be used at ${directory}: ${code}`, { cause });
  }
}

/** A file without a name, so that nothing is left behind when the process dies. */
export function openNameless(directory: string, randomBytes: RandomBytes): number {
  const path = join(directory, `nameless-${process.pid}-${hexOf(randomBytes(8))}`);
  try {
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return fd;
  } catch (cause) {
    throw cacheFault(cause);
  }
}

export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Nothing was left to write: these files are read, or thrown away.
  }
}

export function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was gone already.
  }
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

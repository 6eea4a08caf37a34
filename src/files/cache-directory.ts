// The Cache Directory Tagging Specification: a directory whose CACHEDIR.TAG starts with a fixed line holds nothing worth keeping.

import { OPEN, type Posix } from './posix.ts';
import { isPosixError } from './posix-error.ts';

export const CACHE_TAG = 'CACHEDIR.TAG';
const SIGNATURE = Buffer.from('Signature: 8a477f597d28d172789f06886806bc55', 'latin1');

/** Whether the tag in an open directory is a true one; a tag that cannot be read is none. */
export function isCacheDirectory(posix: Posix, directory: number): boolean {
  let fd: number | undefined;
  try {
    fd = posix.open(directory, CACHE_TAG, OPEN.read | OPEN.nonBlocking, 0);
    const start = Buffer.alloc(SIGNATURE.length);
    return posix.pread(fd, start, 0, start.length, 0) === start.length && start.equals(SIGNATURE);
  } catch (error) {
    if (isPosixError(error)) return false;
    throw error;
  } finally {
    if (fd !== undefined) posix.close(fd);
  }
}

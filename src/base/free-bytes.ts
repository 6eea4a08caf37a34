import { statfsSync } from 'node:fs';

/** Of the file system that a path lies on, for who is not root. What is gone, or cannot be looked at, has no room to run out of. */
export function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

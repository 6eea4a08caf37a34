// Text that is in an open file as a whole and on disk, or not without a word: what a disk takes that is about to be full is a part of it, and
// the system calls that success.

import { fsyncSync, writeFileSync } from 'node:fs';
import { Fault } from './faults.ts';

/** `path` is told. TARGET_FULL. */
export function writeWhole(file: number, text: string, path: string): void {
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } catch (cause) {
    throw isFull(cause) ? new Fault('TARGET_FULL', `There is no room left for "${path}"`, { cause }) : cause;
  }
}

export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

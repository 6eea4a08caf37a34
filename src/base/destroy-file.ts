// Ends a small file that held a secret: written over, on disk, then deleted, and that on disk too. What a file system or a disk has copied
// elsewhere by itself is out of reach.

import { closeSync, fstatSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** False when it was not there. */
export function destroyFile(path: string): boolean {
  const was = overwrite(path);
  if (was) unlinkSync(path);
  // Also when it was not there: an earlier attempt may have died before this.
  flush(dirname(path));
  return was;
}

function overwrite(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    writeSync(file, Buffer.alloc(fstatSync(file).size), 0, undefined, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return true;
}

function flush(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

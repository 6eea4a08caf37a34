// Small files that are exchanged whole, on disk before anybody relies on them.

import { closeSync, fsyncSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeWhole } from './write-whole.ts';

/** TARGET_FULL. */
export function replaceFile(path: string, text: string, mode: number): void {
  const draft = `${path}.new`;
  const file = openSync(draft, 'w', mode);
  try {
    writeWhole(file, text, path);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

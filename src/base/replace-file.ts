// Small files that are exchanged whole, on disk before anybody relies on them.

import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeWhole } from './write-whole.ts';

/** Readers see the old text or the new one. A mode that is given is the file's, whatever the umask; otherwise owner and mode stay those of the
 *  file that is replaced, and without one it is 0644. Processes may do it at once. TARGET_FULL, or what the system says; the old text stays then. */
export function replaceFile(path: string, text: string, mode?: number): void {
  const before = mode === undefined ? statSync(path, { throwIfNoEntry: false }) : undefined;
  const draft = `${path}.${process.pid}.new`;
  try {
    // In a directory of another account a link may lie in the way.
    rmSync(draft, { force: true });
    const file = openSync(draft, 'wx', 0o600);
    try {
      if (before !== undefined) fchownSync(file, before.uid, before.gid);
      fchmodSync(file, mode ?? (before?.mode ?? 0o644) & 0o777);
      writeWhole(file, text, path);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

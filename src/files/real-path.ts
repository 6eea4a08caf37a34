import fs from 'node:fs';
import { fromNodeError, PosixError } from './posix-error.ts';

/** The absolute path (one char per byte) without any symlink in it. A root given by a person goes through here before `walk`, which
 *  follows nothing: otherwise a backup of a link to a directory would be a backup of a link. Throws PosixError. */
export function realPath(path: string): string {
  if (path === '' || path.includes('\0')) throw new PosixError('ENOENT', 'realpath', path);
  try {
    return fs.realpathSync.native(Buffer.from(path, 'latin1'), 'buffer').toString('latin1');
  } catch (error) {
    throw fromNodeError(error, 'realpath', path);
  }
}

// A directory and the directories above it. Node's own `recursive` never ends where the kernel says "no such file" though the directory above
// is there (below /proc, or in a directory that somebody removed): here each directory is tried twice at the most.

import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Fault } from './faults.ts';

/** Answers the uppermost directory that was made, undefined when all were there. A mode that is given is what they get, whatever the umask.
 *  Throws what the system says (EEXIST: not a directory). */
export function makeDirectory(
  path: string,
  { mode, encoding = 'utf8' }: { readonly mode?: number | undefined; readonly encoding?: 'utf8' | 'latin1' } = {},
): string | undefined {
  const bytes = Buffer.from(path, encoding);
  const make = (): boolean => {
    try {
      mkdirSync(bytes, mode);
      if (mode !== undefined) chmodSync(bytes, mode);
      return true;
    } catch (error) {
      // Where nothing can be made, what is there already is told in other words (EROFS, EPERM).
      if (codeOf(error) !== 'ENOENT' && statSync(bytes, { throwIfNoEntry: false })?.isDirectory() === true) return false;
      throw error;
    }
  };
  try {
    return make() ? path : undefined;
  } catch (error) {
    const above = dirname(path);
    if (codeOf(error) !== 'ENOENT' || above === path) throw error;
    const first = makeDirectory(above, { mode, encoding });
    make();
    return first ?? path;
  }
}

/** A directory that a program keeps its own things in. HOME_DENIED. */
export function makeHome(path: string, mode: number): void {
  try {
    makeDirectory(path, { mode });
  } catch (error) {
    throw new Fault('HOME_DENIED', `Cannot make the directory "${path}": ${codeOf(error)}`, { cause: error });
  }
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}

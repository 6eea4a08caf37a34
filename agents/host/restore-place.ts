// Where a restore may write on this host: below directories that whoever started the agent allowed, and nowhere else. What the service asks
// for is judged by where it really leads, links followed, and judged again after the directory was made.

import { lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';

/** Makes the directory when it is not there. Answers its real path. AGENT_RESTORE_DENIED, TARGET_DENIED, TARGET_OCCUPIED. */
export function makeRestoreDirectory(target: string, allowed: readonly string[]): string {
  checkPlace(target, allowed);
  try {
    makeDirectory(target, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isOccupied = code === 'EEXIST' || code === 'ENOTDIR';
    throw new Fault(isOccupied ? 'TARGET_OCCUPIED' : 'TARGET_DENIED', `Cannot make the directory "${target}": ${code}`, {
      cause: error,
    });
  }
  return checkPlace(target, allowed);
}

/** Where `target` really lies, or will when it is made. AGENT_RESTORE_DENIED. */
export function checkPlace(target: string, allowed: readonly string[]): string {
  const isPlain =
    isAbsolute(target) && normalize(target).replace(/(?<=.)\/$/, '') === target.replace(/(?<=.)\/$/, '') && !target.includes('\0');
  if (!isPlain) throw new Fault('AGENT_RESTORE_DENIED', `"${target}" is not a plain absolute path`);
  const real = whereItLies(target);
  for (const directory of allowed) {
    const root = whereItLies(directory);
    if (liesIn(real, root)) return real;
  }
  throw new Fault(
    'AGENT_RESTORE_DENIED',
    `This agent does not restore to "${target}"${real === target ? '' : ` (which is "${real}")`}: it is below none of ${allowed.join(', ')}`,
  );
}

/** Of real paths; a place lies in itself, too. */
export function liesIn(place: string, directory: string): boolean {
  return place === directory || place.startsWith(directory === '/' ? directory : `${directory}/`);
}

/** Links followed as far as the path exists; what does not exist yet is made there, without links. AGENT_RESTORE_DENIED, TARGET_DENIED. */
export function whereItLies(path: string): string {
  const missing: string[] = [];
  for (let at = path.replace(/(?<=.)\/+$/, ''); ; at = dirname(at)) {
    const real = realOf(at);
    if (real !== undefined || at === '/') return join(real ?? '/', ...missing);
    missing.unshift(basename(at));
  }
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
      throw new Fault('AGENT_RESTORE_DENIED', `This agent does not restore through "${path}", a symlink that leads nowhere`);
    }
    throw new Fault('TARGET_DENIED', `Cannot look at "${path}": ${code}`, { cause: error });
  }
}

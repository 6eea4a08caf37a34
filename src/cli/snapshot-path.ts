// A path that a person types for something in a snapshot: as "ls" shows it, or the absolute path that it had at its source.

import { Fault } from '../base/faults.ts';
import type { ReadNode } from '../engine/content-map.ts';
import { findEntry } from '../engine/entries-reader.ts';
import { displayPath, faultOfPath, nameOfPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import { pathOfArgument } from './arguments.ts';
import { usage } from './option.ts';
import { shortId } from './snapshot-fields.ts';

/** The entry at `argument`, or at the root when none is given: undefined when the root has none (several directories were backed up).
 *  SNAPSHOT_PATH_NOT_FOUND. */
export async function entryOfArgument(
  snapshot: Snapshot,
  argument: string | undefined,
  readNode: ReadNode,
): Promise<StoredEntry | undefined> {
  const root = snapshot.root.reference;
  const typed = argument === undefined ? '' : trimmed(pathOfArgument(argument));
  for (const path of candidates(snapshot, typed)) {
    const fault = faultOfPath(path);
    if (fault !== undefined) throw usage(`"${displayPath(typed)}" cannot be a path in a snapshot: ${fault}`);
    const entry = await findEntry(root, readNode, path);
    if (entry !== undefined) return entry;
    if (path === '') return undefined;
  }
  throw new Fault('SNAPSHOT_PATH_NOT_FOUND', `There is no "${displayPath(typed)}" in the snapshot ${shortId(snapshot.id)}`);
}

/** The name of what the snapshot is of: the last name of its one path. */
export function sourceName({ paths, asset }: Snapshot): string {
  const name = nameOfPath((paths[0] ?? '').replace(/\/+$/, ''));
  return name === '' ? asset.replace(/[^\w.-]+/g, '_') : name;
}

/** Without "./" before, "/" behind and doubled in between. */
function trimmed(path: string): string {
  const joined = path.replace(/\/{2,}/g, '/').replace(/(^|\/)(?:\.\/)+/g, '$1');
  const short = joined.length > 1 ? joined.replace(/\/\.?$/, '') : joined;
  return short === '.' ? '' : short;
}

function candidates({ paths }: Snapshot, typed: string): string[] {
  if (!typed.startsWith('/')) return [typed];
  if (paths.length !== 1) return [typed.slice(1)];
  const root = paths[0]!.replace(/\/$/, '');
  if (typed === root || (root === '' && typed === '/')) return [''];
  return [...(typed.startsWith(`${root}/`) ? [typed.slice(root.length + 1)] : []), typed.slice(1)].filter((path) => path !== '');
}

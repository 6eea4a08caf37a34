// What lies where something is to be restored, moved out of the way: by renames within one file system, so nothing is copied and nothing lost.
// A block device cannot be moved: what is on one is left alone.

import { existsSync, lstatSync, readdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import type { ReadNode } from '../../src/engine/content-map.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import { walk } from '../../src/files/walk.ts';
import { comparePaths, isWithinPath } from '../../src/model/entry-path.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';

type Occupied = { readonly repository: { readonly readNode: ReadNode }; readonly snapshot: Snapshot; readonly path: string };

export function isThere(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  return !stat.isDirectory() || readdirSync(path).length > 0;
}

/** A directory for a tree, made when it is not there. TARGET_OCCUPIED. */
export function prepareTree(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) makeDirectory(path);
  else if (!stat.isDirectory()) throw new Fault('TARGET_OCCUPIED', `"${path}" is in the way: it is not a directory`);
}

/** The name, or the name with a number: an attempt before may have been here, and what it moved is kept. */
export function freeName(path: string): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? path : `${path}.${n}`;
    if (!existsSync(name)) return name;
  }
}

/** Moves what differs from the recovery point (by paths, latin1), and what is not in it, from the place to `aside`. Answers how many entries. TARGET_OCCUPIED,
 *  TARGET_DENIED. */
export async function setAside(wish: Occupied, differing: readonly string[], aside: string): Promise<number> {
  const { snapshot, path } = wish;
  if (snapshot.type !== 'files') {
    if (differing.length === 0) return 0;
    if (!lstatSync(path).isFile())
      throw new Fault(
        'TARGET_OCCUPIED',
        `"${path}" holds something else, which cannot be moved away: empty it, or restore it by hand`,
      );
    move(path, join(aside, 'volume'));
    return 1;
  }
  // Latin1: names are bytes.
  const there = differing.filter((at) => isEntry(path, at));
  const moved = [...there, ...(await others(wish))];
  for (const at of moved) move(bytes(path, at), bytes(aside, at));
  return moved.length;
}

/** Directories stay: what differs of them is what is in them, or their attributes. */
function isEntry(path: string, at: string): boolean {
  return lstatSync(bytes(path, at), { throwIfNoEntry: false })?.isDirectory() === false;
}

/** What the place has and the recovery point does not, as far up as possible. Both come in the same order, so neither is held in memory. */
async function others({ repository, snapshot, path }: Occupied): Promise<string[]> {
  const found: string[] = [];
  const entries = entriesOf(snapshot.root.reference, repository.readNode, '');
  let next = await entries.next();
  for (const item of walk([Buffer.from(path).toString('latin1')])) {
    if (item.path === '' || (found.length > 0 && isWithinPath(item.path, found.at(-1)!))) continue;
    if (item.kind === 'problem') {
      if (item.code === 'ENOENT') continue;
      throw new Fault('TARGET_DENIED', `What lies in ${path} cannot be looked at: ${item.message}`);
    }
    while (next.done !== true && comparePaths(next.value.path, item.path) < 0) next = await entries.next();
    const wanted = next.done !== true && next.value.path === item.path ? next.value.kind : undefined;
    if (wanted === undefined || (item.kind === 'directory' && wanted !== 'directory')) found.push(item.path);
  }
  return found;
}

function move(from: string | Buffer, to: string | Buffer): void {
  const parent = dirname(Buffer.from(to).toString('latin1'));
  try {
    makeDirectory(parent, { mode: 0o700, encoding: 'latin1' });
    renameSync(from, to);
  } catch (cause) {
    const [what, where] = [from, to].map((one) => Buffer.from(one).toString());
    throw new Fault('TARGET_DENIED', `${what} cannot be set aside as ${where}: ${(cause as Error).message}`, { cause });
  }
}

const bytes = (directory: string, at: string): Buffer => Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(at, 'latin1')]);

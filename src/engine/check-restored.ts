// After a restore: what lies at the target is read again and compared with the snapshot. Contents are compared by digest in the workers,
// the rest here. Nothing of the store but the maps is read.

import { DirectoryCache } from '../files/directory-cache.ts';
import { FileStat, HERE } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { joinPaths, nameOfPath, parentOfPath } from '../model/entry-path.ts';
import { packReference, type References } from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { CompareAnswer } from '../worker/read-task.ts';
import { differencesOfStat } from './check-entry.ts';
import type { ReadNode } from './content-map.ts';
import { entriesOf, findEntry } from './entries-reader.ts';
import type { ReadingPool } from './reading-pool.ts';
import { type Piece, piecesOf } from './restore-content.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';

const NO_BLOCK = new Uint8Array(16);

export type RestoredCheck = {
  readonly unitBytes: number;
  readonly readNode: ReadNode;
  readonly pool: ReadingPool;
  readonly progress: RestoreProgress;
  /** What differs: one for each entry at the most. */
  readonly onDifference: (difference: RestoreProblem) => void;
};

export type RestoredTree = RestoredCheck & {
  readonly root: References;
  readonly below: string;
  readonly target: string;
  readonly rootName?: string;
  /** Entries whose restore was reported already: only what they hold is compared. */
  readonly reported: ReadonlySet<string>;
};

/** As `restoreTree` has made it. */
export async function checkTree(check: RestoredTree): Promise<void> {
  const { root, readNode, below, target, progress, pool } = check;
  const directories = new DirectoryCache(posixCalls(), target);
  const inodes = new Set<string>();
  try {
    for await (const entry of entriesOf(root, readNode, below)) {
      progress.entriesTotal++;
      await checkEntry(check, entry, directories, inodes);
      progress.entriesDone++;
    }
    await pool.drain();
  } finally {
    directories.close();
  }
}

async function checkEntry(
  check: RestoredTree,
  entry: StoredEntry,
  directories: DirectoryCache,
  inodes: Set<string>,
): Promise<void> {
  const { root, readNode, target, onDifference } = check;
  const path = pathInTarget(check, entry);
  const place = joinPaths(target, path);
  const stat = new FileStat();
  let linkTarget = '';
  try {
    const posix = posixCalls();
    // Name by name: a path may be longer than the kernel takes at once.
    const [at, name] = path === '' ? [HERE, target] : [directories.at(parentOfPath(path)), nameOfPath(path)];
    posix.lstat(at, name, stat);
    if (entry.kind === 'symlink') linkTarget = posix.readlink(at, name);
  } catch (error) {
    if (!isPosixError(error)) throw error;
    onDifference({ path, code: 'MISSING', message: error.message });
    return;
  }
  const differs = differencesOfStat(entry, stat, linkTarget, isReported(check, path, stat, inodes));
  if (differs.length > 0) {
    onDifference({ path, code: 'DIFFERS', message: `differs from the snapshot: ${differs.join(', ')}` });
    return;
  }
  if (entry.kind !== 'file' || entry.sizeBytes === 0) return;
  const original = entry.hardLinkTo === '' ? entry : await findEntry(root, readNode, entry.hardLinkTo);
  if (original !== undefined) await checkContent(check, original.content, original.sizeBytes, place, path);
}

/** What could not be set is reported with the first name of an inode, and all its names differ. `inodes`: reported so far. */
function isReported({ reported }: RestoredTree, path: string, stat: FileStat, inodes: Set<string>): boolean {
  const inode = stat.links > 1 ? `${stat.device} ${stat.inodeHigh} ${stat.inodeLow}` : '';
  if (!reported.has(path)) return inodes.has(inode);
  if (inode !== '') inodes.add(inode);
  return true;
}

/** One content at `place` (a file or device); `path` names it in the report. Some of it may still be under way: `pool.drain()`. */
export async function checkContent(
  check: RestoredCheck,
  content: Content,
  sizeBytes: number,
  place: string,
  path: string,
): Promise<void> {
  const { unitBytes, readNode, pool, progress, onDifference } = check;
  let isReported = false;
  for await (const pieces of piecesOf(content, sizeBytes, unitBytes, readNode)) {
    await pool.start(async () => {
      const answer = await compare(pool, pieces, place);
      progress.bytesDone += pieces.reduce((sum, { length }) => sum + length, 0);
      const first = answer.differs.indexOf(1);
      if (first === -1 || isReported) return;
      isReported = true;
      const message = answer.missing ? 'cannot be opened' : `differs from the snapshot at byte ${pieces[first]!.offset}`;
      onDifference({ path, code: 'DIFFERS', message });
    });
  }
}

async function compare(pool: ReadingPool, pieces: readonly Piece[], place: string): Promise<CompareAnswer> {
  const references = Buffer.concat(
    pieces.map((piece) => (piece.kind === 'data' ? piece.reference : packReference(NO_BLOCK, NO_BLOCK, 0, piece.length))),
  );
  const offsets = Float64Array.from(pieces, (piece) => piece.offset);
  return (await pool.run({ kind: 'compare', path: '', single: place, references, offsets })) as CompareAnswer;
}

function pathInTarget({ below, rootName = '' }: RestoredTree, { path, kind }: StoredEntry): string {
  if (path !== below) return below === '' ? path : path.slice(below.length + 1);
  if (kind === 'directory') return '';
  return below === '' ? rootName : nameOfPath(below);
}

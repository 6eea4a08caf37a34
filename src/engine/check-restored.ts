// After a restore: what lies at the target is read again and compared with the snapshot. Contents are compared by digest in the workers,
// the rest here. Nothing of the store but the maps is read. An inode is read once, by its first name: a tree may have a million others.

import { DirectoryCache } from '../files/directory-cache.ts';
import { kindOfMode } from '../files/kind-of-mode.ts';
import { FileStat, HERE } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { displayPath, isWithinPath, joinPaths, nameOfPath, parentOfPath } from '../model/entry-path.ts';
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
  const tree = new TreeCheck(check);
  try {
    await tree.run();
  } finally {
    tree.close();
  }
}

class TreeCheck {
  readonly #check: RestoredTree;
  readonly #directories: DirectoryCache;
  readonly #stat = new FileStat();
  /** What could not be set was reported with the first name of these. */
  readonly #reported = new Set<string>();
  /** Of more than one name, whose content differs. */
  readonly #differing = new Set<string>();

  constructor(check: RestoredTree) {
    this.#check = check;
    this.#directories = new DirectoryCache(posixCalls(), check.target);
  }

  close(): void {
    this.#directories.close();
  }

  async run(): Promise<void> {
    const { root, readNode, below, progress, pool } = this.#check;
    for await (const entry of entriesOf(root, readNode, below)) {
      progress.entriesTotal++;
      await this.#entry(entry);
      progress.entriesDone++;
    }
    await pool.drain();
    if (this.#differing.size === 0) return;
    for await (const entry of entriesOf(root, readNode, below)) this.#tellOtherName(entry);
  }

  async #entry(entry: StoredEntry): Promise<void> {
    const { root, readNode, target, onDifference } = this.#check;
    const path = pathInTarget(this.#check, entry);
    const stat = this.#stat;
    let linkTarget = '';
    try {
      const [at, name] = this.#place(path);
      posixCalls().lstat(at, name, stat);
      if (kindOfMode(stat.mode) === 'symlink') linkTarget = posixCalls().readlink(at, name);
    } catch (error) {
      if (!isPosixError(error)) throw error;
      onDifference({ path, code: 'MISSING', message: error.message });
      return;
    }
    const inode = inodeOf(stat);
    const differs = differencesOfStat(entry, stat, linkTarget, this.#isReported(path, inode));
    if (differs.length > 0) {
      onDifference({ path, code: 'DIFFERS', message: `differs from the snapshot: ${differs.join(', ')}` });
      return;
    }
    if (entry.kind !== 'file' || entry.sizeBytes === 0 || this.#isOtherName(entry, inode)) return;
    const original = entry.hardLinkTo === '' ? entry : await findEntry(root, readNode, entry.hardLinkTo);
    if (original === undefined) return;
    const noted: RestoredCheck = {
      ...this.#check,
      onDifference: (difference) => {
        if (inode !== '') this.#differing.add(inode);
        onDifference(difference);
      },
    };
    await checkContent(noted, original.content, original.sizeBytes, joinPaths(target, path), path);
  }

  /** Whether it leads to the inode that its first name leads to at the target, too: that is read there. */
  #isOtherName({ hardLinkTo }: StoredEntry, inode: string): boolean {
    const { below } = this.#check;
    if (inode === '' || hardLinkTo === '' || !isWithinPath(hardLinkTo, below)) return false;
    return this.#inodeAt(below === '' ? hardLinkTo : hardLinkTo.slice(below.length + 1)) === inode;
  }

  #tellOtherName(entry: StoredEntry): void {
    if (entry.hardLinkTo === '') return;
    const path = pathInTarget(this.#check, entry);
    const inode = this.#inodeAt(path);
    if (!this.#differing.has(inode) || !this.#isOtherName(entry, inode)) return;
    const message = `differs from the snapshot, as "${displayPath(entry.hardLinkTo)}" does`;
    this.#check.onDifference({ path, code: 'DIFFERS', message });
  }

  #inodeAt(path: string): string {
    const stat = new FileStat();
    try {
      posixCalls().lstat(...this.#place(path), stat);
      return inodeOf(stat);
    } catch (error) {
      if (!isPosixError(error)) throw error;
      return '';
    }
  }

  /** Name by name: a path may be longer than the kernel takes at once. */
  #place(path: string): readonly [number, string] {
    return path === '' ? [HERE, this.#check.target] : [this.#directories.at(parentOfPath(path)), nameOfPath(path)];
  }

  /** What could not be set is reported with the first name of an inode, and all its names differ. */
  #isReported(path: string, inode: string): boolean {
    if (!this.#check.reported.has(path)) return this.#reported.has(inode);
    if (inode !== '') this.#reported.add(inode);
    return true;
  }
}

/** '' when it has one name only. */
function inodeOf({ links, device, inodeHigh, inodeLow }: FileStat): string {
  return links > 1 ? `${device} ${inodeHigh} ${inodeLow}` : '';
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

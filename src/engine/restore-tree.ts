// Restoring a tree, or a part of it, into a directory: windows of entries. In each, directories and special files are made in order,
// contents are fetched pack by pack in whatever order they lie, and then what the window finished gets its attributes, directories last.

import { isFault } from '../base/faults.ts';
import type { Attributes } from '../files/attributes.ts';
import { HERE } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { TargetTree } from '../files/target-tree.ts';
import { displayPath, isWithinPath, nameOfPath } from '../model/entry-path.ts';
import { blockOf, bytesEqual, lengthOf, offsetOf, packReference, type References, referenceCount } from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import type { SessionKeyCache } from '../repository/session-keys.ts';
import type { CompareAnswer } from '../worker/read-task.ts';
import type { ReadNode } from './content-map.ts';
import { entriesOf, findEntry } from './entries-reader.ts';
import type { ReadingPool } from './reading-pool.ts';
import { type Piece, piecesOf } from './restore-content.ts';
import { RestoreWindow } from './restore-plan.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';
import { RestoreReader, type WindowFile } from './restore-reader.ts';

/** The first window is small, so that the workers begin at once; each next one is twice as large. */
const WINDOW_ENTRIES_FIRST = 2_000;
const WINDOW_ENTRIES_MAX = 100_000;
const WINDOW_PIECES_MAX = 200_000;
const ATTRIBUTES_PER_JOB = 500;
const NO_BLOCK = new Uint8Array(16);
const ZEROS = new Uint8Array(1024 * 1024);

export type TreeRestore = {
  readonly root: References;
  /** What of the tree: '' for all. */
  readonly below: string;
  /** An existing directory, absolute, latin1. */
  readonly target: string;
  /** Compares what the target holds and fetches only what differs; whatever is in the way is replaced. */
  readonly delta: boolean;
  readonly unitBytes: number;
  readonly readNode: ReadNode;
  readonly blocks: BlockFinder;
  readonly keys: SessionKeyCache;
  readonly pool: ReadingPool;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
  /** What the root is called in the target when it is not a directory (a single file was backed up). */
  readonly rootName?: string;
};

export async function restoreTree(restore: TreeRestore): Promise<void> {
  const run = new TreeRun(restore);
  try {
    await run.run();
  } finally {
    run.close();
  }
}

/** A part of the tree on its way. */
type TreeWindow = {
  readonly plan: RestoreWindow;
  readonly files: WindowFile[];
  /** Attributes to be given at the end, with the file that must be complete, or -1. */
  readonly finished: { readonly attributes: Attributes; readonly file: number }[];
  readonly closedDirectories: Attributes[];
  readonly links: { readonly path: string; readonly original: string }[];
  /** Files of which a piece is nowhere to be found. */
  readonly lost: Set<number>;
  entries: number;
};

class TreeRun {
  readonly #restore: TreeRestore;
  readonly #tree: TargetTree;
  readonly #posix = posixCalls();
  readonly #reader: RestoreReader;
  readonly #existing: 'refuse' | 'replace';
  /** Directories that are not complete yet: the way down to the entry at hand. */
  readonly #openDirectories: Attributes[] = [];
  #window: TreeWindow;
  #windowEntriesMax = WINDOW_ENTRIES_FIRST;
  /** The window before, while this one is being planned. */
  #running: Promise<void> = Promise.resolve();
  /** Contents of originals that lie outside of what is restored: their first name here takes their place. */
  readonly #originals = new Map<string, string>();

  constructor(restore: TreeRestore) {
    this.#restore = restore;
    this.#tree = new TargetTree(restore.target);
    this.#existing = restore.delta ? 'replace' : 'refuse';
    const { pool, keys, blocks, progress, onProblem, delta } = restore;
    this.#reader = new RestoreReader({
      pool,
      keys,
      blocks,
      progress,
      onProblem,
      single: undefined,
      overZeros: delta,
      existing: this.#existing,
    });
    this.#window = this.#newWindow();
  }

  async run(): Promise<void> {
    const { root, readNode, below, progress } = this.#restore;
    for await (const entry of entriesOf(root, readNode, below)) {
      progress.entriesTotal++;
      const path = this.#pathOf(entry);
      const filesBefore = this.#window.files.length;
      try {
        await this.#take(entry, path);
      } catch (error) {
        for (let file = filesBefore; file < this.#window.files.length; file++) this.#window.lost.add(file);
        this.#failed(path, error);
      }
      this.#window.entries++;
      if (this.#window.plan.pieces >= WINDOW_PIECES_MAX || this.#window.entries >= this.#windowEntriesMax) await this.#send();
    }
    while (this.#openDirectories.length > 0) this.#window.closedDirectories.push(this.#openDirectories.pop()!);
    await this.#send();
    await this.#running;
    this.#syncTarget();
  }

  close(): void {
    this.#tree.close();
  }

  /** A sub-tree's own root becomes the target; a single file gets its name in it. */
  #pathOf(entry: StoredEntry): string {
    const { below, rootName = '' } = this.#restore;
    if (below === '') return entry.path === '' && entry.kind !== 'directory' ? rootName : entry.path;
    if (entry.path === below) return entry.kind === 'directory' ? '' : nameOfPath(below);
    return entry.path.slice(below.length + 1);
  }

  async #take(entry: StoredEntry, path: string): Promise<void> {
    const { progress } = this.#restore;
    progress.current = path;
    const attributes: Attributes = {
      path,
      kind: entry.kind,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSec: entry.mtimeSec,
      mtimeNsec: entry.mtimeNsec,
      xattrs: entry.xattrs,
    };
    while (this.#openDirectories.length > 0 && !isWithinPath(path, this.#openDirectories.at(-1)!.path))
      this.#window.closedDirectories.push(this.#openDirectories.pop()!);
    if (entry.kind === 'directory') {
      this.#tree.makeDirectory(path, this.#existing);
      this.#openDirectories.push(attributes);
    } else if (entry.hardLinkTo !== '' && (await this.#link(entry, path))) {
      // Made at the end of the window, when its original is there.
    } else if (entry.kind === 'symlink') {
      if (this.#restore.delta) this.#tree.remove(path);
      this.#tree.makeSymlink(path, entry.linkTarget, this.#existing);
      this.#window.finished.push({ attributes, file: -1 });
    } else if (entry.kind === 'file') {
      const original = entry.hardLinkTo === '' ? entry : await this.#originalOf(entry);
      if (original === undefined) {
        const message = `It is another name of "${displayPath(entry.hardLinkTo)}", which the snapshot does not hold`;
        this.#restore.onProblem({ path, code: 'FORMAT_DAMAGED', message });
      } else await this.#takeFile(original.content, original.sizeBytes, path, attributes);
    } else {
      if (this.#restore.delta) this.#tree.remove(path);
      this.#tree.makeNode(path, entry.kind, entry.rdevMajor, entry.rdevMinor, this.#existing);
      this.#window.finished.push({ attributes, file: -1 });
    }
  }

  async #link(entry: StoredEntry, path: string): Promise<boolean> {
    const { below } = this.#restore;
    const outside = !isWithinPath(entry.hardLinkTo, below);
    const original = outside
      ? this.#originals.get(entry.hardLinkTo)
      : below === ''
        ? entry.hardLinkTo
        : entry.hardLinkTo.slice(below.length + 1);
    if (original !== undefined) {
      this.#window.links.push({ path, original });
      return true;
    }
    this.#originals.set(entry.hardLinkTo, path);
    return false;
  }

  /** Undefined when there is none: its content is unknown, which is not the same as zeros. */
  #originalOf(entry: StoredEntry): Promise<StoredEntry | undefined> {
    const { root, readNode } = this.#restore;
    return findEntry(root, readNode, entry.hardLinkTo);
  }

  async #takeFile(content: Content, sizeBytes: number, path: string, attributes: Attributes): Promise<void> {
    const { delta, progress, unitBytes, readNode } = this.#restore;
    progress.bytesTotal += sizeBytes;
    const old = delta ? this.#tree.openFile(path) : undefined;
    if (old !== undefined) {
      try {
        await this.#bringUpToDate(old, content, sizeBytes, path, attributes);
      } finally {
        this.#posix.close(old);
      }
      return;
    }
    if (content.kind === 'chunks' && isOnePiece(content.references) && sizeBytes > 0) {
      // The worker makes it, writes it and gives it its attributes in one go.
      if (delta) this.#tree.remove(path);
      this.#addPieces(this.#newFile({ path, whole: attributes }), content.references);
      return;
    }
    const fd = this.#tree.createFile(path, this.#existing);
    try {
      if (sizeBytes > 0) this.#posix.truncate(fd, sizeBytes);
    } finally {
      this.#posix.close(fd);
    }
    const file = this.#newFile({ path, whole: undefined });
    this.#window.finished.push({ attributes, file });
    if (content.kind === 'chunks') {
      this.#addPieces(file, content.references);
      return;
    }
    for await (const pieces of piecesOf(content, sizeBytes, unitBytes, readNode)) {
      for (const piece of pieces) {
        if (piece.kind === 'zeros') progress.bytesDone += piece.length;
        else this.#window.plan.add(blockOf(piece.reference), file, piece.offset, offsetOf(piece.reference), piece.length);
      }
    }
  }

  /** Compares an old file with the content and adds only what differs to the window. */
  async #bringUpToDate(fd: number, content: Content, sizeBytes: number, path: string, attributes: Attributes): Promise<void> {
    const { unitBytes, readNode, pool, progress } = this.#restore;
    this.#posix.truncate(fd, sizeBytes);
    const file = this.#newFile({ path, whole: undefined });
    this.#window.finished.push({ attributes, file });
    for await (const pieces of piecesOf(content, sizeBytes, unitBytes, readNode)) {
      const references = Buffer.concat(
        pieces.map((piece) => (piece.kind === 'data' ? piece.reference : packReference(NO_BLOCK, NO_BLOCK, 0, piece.length))),
      );
      const offsets = Float64Array.from(pieces, (piece) => piece.offset);
      const answer = (await pool.run({ kind: 'compare', path, single: undefined, references, offsets })) as CompareAnswer;
      pieces.forEach((piece, i) => {
        if (answer.differs[i] === 0) {
          progress.bytesKept += piece.length;
          progress.bytesDone += piece.length;
        } else if (piece.kind === 'data')
          this.#window.plan.add(blockOf(piece.reference), file, piece.offset, offsetOf(piece.reference), piece.length);
        else this.#writeZeros(fd, piece);
      });
    }
  }

  #writeZeros(fd: number, piece: Piece): void {
    this.#restore.progress.bytesDone += piece.length;
    if (this.#posix.punchHole(fd, piece.offset, piece.length)) return;
    for (let at = 0; at < piece.length; at += ZEROS.length)
      this.#posix.pwrite(fd, ZEROS, 0, Math.min(ZEROS.length, piece.length - at), piece.offset + at);
  }

  #newFile(file: WindowFile): number {
    return this.#window.files.push(file) - 1;
  }

  #addPieces(file: number, references: References): void {
    let offset = 0;
    for (let i = 0; i < referenceCount(references); i++) {
      const length = lengthOf(references, i);
      this.#window.plan.add(blockOf(references, i), file, offset, offsetOf(references, i), length);
      offset += length;
    }
  }

  #newWindow(): TreeWindow {
    return {
      plan: new RestoreWindow(this.#restore.blocks),
      files: [],
      finished: [],
      closedDirectories: [],
      links: [],
      lost: new Set(),
      entries: 0,
    };
  }

  /** Hands the window over; the next one is planned while it runs. */
  async #send(): Promise<void> {
    await this.#running;
    this.#running = this.#run(this.#window);
    this.#running.catch(() => {});
    this.#window = this.#newWindow();
    this.#windowEntriesMax = Math.min(WINDOW_ENTRIES_MAX, this.#windowEntriesMax * 2);
  }

  async #run({ plan, files, finished, closedDirectories, links, lost, entries }: TreeWindow): Promise<void> {
    const failed = await this.#reader.run(plan, files);
    for (const file of lost) failed.add(file);
    for (const { path, original } of links) {
      try {
        if (this.#restore.delta) this.#tree.remove(path);
        this.#tree.makeHardLink(path, original, this.#existing);
      } catch (error) {
        this.#failed(path, error);
      }
    }
    await this.#giveAttributes(finished.filter(({ file }) => !failed.has(file)).map(({ attributes }) => attributes));
    // A directory after everything in it; those that lie deeper were closed first.
    await this.#giveAttributes(closedDirectories, true);
    this.#restore.progress.entriesDone += entries;
  }

  async #giveAttributes(entries: readonly Attributes[], inOrder = false): Promise<void> {
    const { pool, onProblem } = this.#restore;
    for (let at = 0; at < entries.length; at += ATTRIBUTES_PER_JOB) {
      const batch = entries.slice(at, at + ATTRIBUTES_PER_JOB);
      const work = async (): Promise<void> => {
        const answer = await pool.run({ kind: 'attributes', entries: batch });
        if (answer.kind === 'attributes') for (const { path, code, message } of answer.problems) onProblem({ path, code, message });
      };
      if (inOrder) await work();
      else await pool.start(work);
    }
    await pool.drain();
  }

  #failed(path: string, error: unknown): void {
    if (!isFault(error)) throw error;
    const { code } = error;
    const isOfOneEntry = code.startsWith('TARGET_')
      ? code !== 'TARGET_FULL' && code !== 'TARGET_NOT_FOUND'
      : code === 'STORE_NOT_FOUND' || code === 'FORMAT_DAMAGED';
    if (!isOfOneEntry) throw error;
    this.#restore.onProblem({ path, code: error.code, message: error.message });
  }

  #syncTarget(): void {
    const fd = this.#posix.openDirectory(HERE, this.#restore.target, 'follow');
    try {
      this.#posix.syncFileSystem(fd);
    } finally {
      this.#posix.close(fd);
    }
  }
}

/** True when the references follow each other in one block. */
function isOnePiece(references: References): boolean {
  for (let i = 1; i < referenceCount(references); i++) {
    if (!bytesEqual(blockOf(references, i), blockOf(references, 0))) return false;
    if (offsetOf(references, i - 1) + lengthOf(references, i - 1) !== offsetOf(references, i)) return false;
  }
  return referenceCount(references) > 0;
}

// Restoring a tree, or a part of it, into a directory: windows of entries. In each, directories and special files are made in order,
// contents are fetched pack by pack in whatever order they lie, and then what the window finished gets its attributes, directories last.

import { isFault } from '../base/faults.ts';
import type { Attributes } from '../files/attributes.ts';
import type { AttributeList } from '../files/packed-attributes.ts';
import { HERE } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { TargetTree } from '../files/target-tree.ts';
import { comparePaths, displayPath, isWithinPath, nameOfPath } from '../model/entry-path.ts';
import {
  blockOf,
  isInBlock,
  lengthOf,
  offsetOf,
  packReference,
  REFERENCE_BYTES,
  type References,
  referenceCount,
} from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { CompareAnswer } from '../worker/read-task.ts';
import type { ReadNode } from './content-map.ts';
import { entriesLeaves, findEntry } from './entries-reader.ts';
import { JobGroup, type ReadingPool } from './reading-pool.ts';
import { type Piece, piecesOf, placesOf, zeroBytes } from './restore-content.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';
import { RestoreReader, type WindowFiles } from './restore-reader.ts';
import { type Fate, isFull, LIMITS_FIRST, newWindow, nextLimits, type TreeWindow } from './restore-tree-window.ts';

const ATTRIBUTES_PER_JOB = 500;
const OWNER_ALL = 0o700;
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
  readonly keys: SessionKeyFinder;
  readonly pool: ReadingPool;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
  /** What the root is called in the target when it is not a directory (a single file was backed up). */
  readonly rootName?: string;
  /** Paths in the target that are left as they are; of a directory, say so of what is in it, too. */
  readonly skip?: (path: string) => boolean;
};

export async function restoreTree(restore: TreeRestore): Promise<void> {
  const run = new TreeRun(restore);
  try {
    await run.run();
  } finally {
    run.close();
  }
}

/** A file with a map while its content is taken. */
type Parts = { readonly attributes: Attributes; readonly path: string; readonly fate: Fate; file: number };

class TreeRun {
  readonly #restore: TreeRestore;
  readonly #tree: TargetTree;
  readonly #posix = posixCalls();
  readonly #reader: RestoreReader;
  readonly #existing: 'refuse' | 'replace';
  /** Directories that are not complete yet: the way down to the entry at hand. */
  readonly #openDirectories: { readonly path: string; readonly attributes: Attributes }[] = [];
  #window: TreeWindow;
  #limits = LIMITS_FIRST;
  /** The window before, while this one is being planned. */
  #running: Promise<void> = Promise.resolve();
  /** Its last range is on its way. */
  #started: Promise<void> = Promise.resolve();
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
    this.#window = newWindow(this.#restore.blocks);
  }

  async run(): Promise<void> {
    const { root, readNode, below, progress, skip } = this.#restore;
    for await (const { entries } of entriesLeaves(root, readNode, below)) {
      for (const entry of entries) {
        if (!isWithinPath(entry.path, below)) continue;
        progress.entriesTotal++;
        const path = this.#pathOf(entry);
        if (skip?.(path) === true) continue;
        const window = this.#window;
        const filesBefore = window.attributes.length;
        try {
          const rest = this.#take(entry, path);
          if (rest !== undefined) await rest;
        } catch (error) {
          const { attributes, lost } = this.#window;
          for (let file = this.#window === window ? filesBefore : 0; file < attributes.length; file++) lost.add(file);
          this.#failed(path, error);
        }
        this.#window.entries++;
        if (isFull(this.#window, this.#limits)) await this.#send();
      }
      if (below !== '' && comparePaths(entries.at(-1)!.path, below) > 0 && !isWithinPath(entries.at(-1)!.path, below)) break;
    }
    while (this.#openDirectories.length > 0) this.#closeDirectory();
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

  /** Answers a promise when there is something to wait for; for most entries there is not. */
  #take(entry: StoredEntry, path: string): Promise<void> | undefined {
    this.#restore.progress.current = path;
    while (this.#openDirectories.length > 0 && !isWithinPath(path, this.#openDirectories.at(-1)!.path)) this.#closeDirectory();
    if (entry.kind === 'directory') {
      this.#tree.makeDirectory(path, this.#existing);
      this.#openDirectories.push({ path, attributes: entry });
    } else if (entry.hardLinkTo !== '' && this.#link(entry, path)) {
      // Made at the end of the window, when its original is there.
    } else if (entry.kind === 'symlink') {
      if (this.#restore.delta) this.#tree.remove(path);
      this.#tree.makeSymlink(path, entry.linkTarget, this.#existing);
      this.#finishLater(entry, path);
    } else if (entry.kind === 'file') {
      return entry.hardLinkTo === ''
        ? this.#takeFile(entry.content, entry.sizeBytes, path, entry)
        : this.#takeAsOriginal(entry, path);
    } else {
      if (this.#restore.delta) this.#tree.remove(path);
      this.#tree.makeNode(path, entry.kind, entry.rdevMajor, entry.rdevMinor, this.#existing);
      this.#finishLater(entry, path);
    }
    return undefined;
  }

  /** A hard link whose original lies outside of what is restored. */
  async #takeAsOriginal(entry: StoredEntry, path: string): Promise<void> {
    const original = await this.#originalOf(entry);
    if (original === undefined) {
      const message = `It is another name of "${displayPath(entry.hardLinkTo)}", which the snapshot does not hold`;
      this.#restore.onProblem({ path, code: 'FORMAT_DAMAGED', message });
    } else await this.#takeFile(original.content, original.sizeBytes, path, entry);
  }

  #link(entry: StoredEntry, path: string): boolean {
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

  #takeFile(content: Content, sizeBytes: number, path: string, attributes: Attributes): Promise<void> | undefined {
    const { delta, progress } = this.#restore;
    progress.bytesTotal += sizeBytes;
    const old = delta ? this.#tree.openFile(path) : undefined;
    if (old !== undefined)
      return this.#bringUpToDate(old, content, sizeBytes, path, attributes).finally(() => this.#posix.close(old));
    if (content.kind === 'chunks' && isOnePiece(content.references) && sizeBytes > 0) {
      // The worker makes it, writes it and gives it its attributes in one go.
      if (delta) this.#tree.remove(path);
      this.#addPieces(this.#newFile(attributes, path, true), content.references);
      return undefined;
    }
    const fd = this.#tree.createFile(path, this.#existing);
    try {
      if (sizeBytes > 0) this.#posix.truncate(fd, sizeBytes);
    } finally {
      this.#posix.close(fd);
    }
    if (content.kind !== 'none' && content.kind !== 'chunks') return this.#takeMapped(content, sizeBytes, path, attributes);
    const file = this.#finishLater(attributes, path);
    if (content.kind === 'chunks') this.#addPieces(file, content.references);
    return undefined;
  }

  async #takeMapped(content: Content, sizeBytes: number, path: string, attributes: Attributes): Promise<void> {
    const { progress, unitBytes, readNode } = this.#restore;
    const parts = this.#beginParts(path, attributes);
    for await (const places of placesOf(content, sizeBytes, unitBytes, readNode)) {
      progress.bytesDone += zeroBytes(places);
      this.#window.plan.addAll(places, parts.file);
      if (isFull(this.#window, this.#limits)) await this.#goOn(parts);
    }
    this.#endParts(parts);
  }

  #beginParts(path: string, attributes: Attributes): Parts {
    return { attributes, path, fate: { isLost: false }, file: this.#newFile(attributes, path, false) };
  }

  /** In the next window. */
  async #goOn(parts: Parts): Promise<void> {
    this.#window.fates.set(parts.file, parts.fate);
    await this.#send();
    parts.file = this.#newFile(parts.attributes, parts.path, false);
  }

  /** It gets its attributes with this window, if no part of it was lost in one before. */
  #endParts({ file, fate }: Parts): void {
    this.#window.fates.set(file, fate);
    this.#window.finished.push(file);
  }

  /** Compares an old file with the content and adds only what differs to the window. */
  async #bringUpToDate(fd: number, content: Content, sizeBytes: number, path: string, attributes: Attributes): Promise<void> {
    const { unitBytes, readNode, pool, progress } = this.#restore;
    this.#posix.truncate(fd, sizeBytes);
    const parts = this.#beginParts(path, attributes);
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
        } else if (piece.kind === 'data') this.#window.plan.add(piece.reference, 0, parts.file, piece.offset, piece.length);
        else this.#writeZeros(fd, piece);
      });
      if (isFull(this.#window, this.#limits)) await this.#goOn(parts);
    }
    this.#endParts(parts);
  }

  #writeZeros(fd: number, piece: Piece): void {
    this.#restore.progress.bytesDone += piece.length;
    if (this.#posix.punchHole(fd, piece.offset, piece.length)) return;
    for (let at = 0; at < piece.length; at += ZEROS.length)
      this.#posix.pwrite(fd, ZEROS, 0, Math.min(ZEROS.length, piece.length - at), piece.offset + at);
  }

  /** Answers its number. */
  #newFile(attributes: Attributes, path: string, isWhole: boolean): number {
    const file = this.#window.attributes.add(attributes, path);
    this.#window.isWhole[file] = isWhole;
    return file;
  }

  /** For what is made by now, but for its content. */
  #finishLater(attributes: Attributes, path: string): number {
    const file = this.#newFile(attributes, path, false);
    this.#window.finished.push(file);
    return file;
  }

  #closeDirectory(): void {
    const { path, attributes } = this.#openDirectories.pop()!;
    this.#window.closedDirectories.push(this.#newFile(attributes, path, false));
  }

  #addPieces(file: number, references: References): void {
    let offset = 0;
    for (let i = 0; i < referenceCount(references); i++) {
      this.#window.plan.add(references, i, file, offset);
      offset += lengthOf(references, i);
    }
  }

  /** Hands the window over; the next one is planned while it runs. When the last range of the one before is on its way, its own follow: no
   *  thread waits for the end of a window. Yet windows are finished one after the other: a link may lead to a file of an earlier one, and a
   *  directory comes after those in it. */
  async #send(): Promise<void> {
    await this.#started;
    const before = this.#running;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#started = promise;
    this.#running = this.#run(this.#window, before, resolve);
    this.#running.catch(reject);
    promise.catch(() => {});
    this.#window = newWindow(this.#restore.blocks);
    this.#limits = nextLimits(this.#limits);
  }

  async #run(window: TreeWindow, before: Promise<void>, onStarted: () => void): Promise<void> {
    const { plan, attributes, isWhole, finished, closedDirectories, links, lost, fates, entries } = window;
    const files: WindowFiles = {
      path: (file) => attributes.path(file),
      isWhole: (file) => isWhole[file]!,
      pack: (wanted) => attributes.pack(wanted),
      lose: (file) => {
        const fate = fates.get(file);
        const wasLost = fate?.isLost === true;
        if (fate !== undefined) fate.isLost = true;
        return !wasLost;
      },
    };
    const failed = await this.#reader.run(plan, files, onStarted);
    for (const file of lost) failed.add(file);
    await before;
    for (const [file, { isLost }] of fates) if (isLost) failed.add(file);
    for (const { path, original } of links) {
      try {
        if (this.#restore.delta) this.#tree.remove(path);
        this.#tree.makeHardLink(path, original, this.#existing);
      } catch (error) {
        this.#failed(path, error);
      }
    }
    const complete = finished.filter((file) => !failed.has(file));
    // A directory after everything in it; those that lie deeper were closed first. The order does not matter where we can still enter it.
    const self = process.geteuid?.();
    const staysOpen = (n: number): boolean => attributes.uid(n) === self && (attributes.mode(n) & OWNER_ALL) === OWNER_ALL;
    await this.#giveAttributes(attributes, [...complete, ...closedDirectories.filter(staysOpen)]);
    await this.#giveAttributes(
      attributes,
      closedDirectories.filter((directory) => !staysOpen(directory)),
      true,
    );
    this.#restore.progress.entriesDone += entries;
  }

  async #giveAttributes(attributes: AttributeList, entries: readonly number[], inOrder = false): Promise<void> {
    const { pool, onProblem } = this.#restore;
    const jobs = new JobGroup(pool);
    for (let at = 0; at < entries.length; at += ATTRIBUTES_PER_JOB) {
      const batch = attributes.pack(entries.slice(at, at + ATTRIBUTES_PER_JOB));
      await jobs.start(async () => {
        const answer = await pool.run({ kind: 'attributes', entries: batch });
        if (answer.kind !== 'attributes') return;
        for (const { path, code, message, what } of answer.problems) onProblem({ path, code, message, attribute: what });
      });
      if (inOrder) await jobs.drain();
    }
    await jobs.drain();
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
  if (references.length === REFERENCE_BYTES) return true;
  const block = blockOf(references, 0);
  for (let i = 1; i < referenceCount(references); i++) {
    if (!isInBlock(references, i, block)) return false;
    if (offsetOf(references, i - 1) + lengthOf(references, i - 1) !== offsetOf(references, i)) return false;
  }
  return referenceCount(references) > 0;
}

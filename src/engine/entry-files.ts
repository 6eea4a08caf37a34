// Files that workers read for a backup whose entries come in any order. Small ones travel to them together, large ones in extents. A file may
// be removed, cut or written while it is read: one that is gone is answered as such, of one that became shorter the rest is zeros (paged) or
// missing (others). Whoever gives such files has a log that mends what was read.

import { Fault } from '../base/faults.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import type { FileEntry } from '../model/entry.ts';
import { displayPath } from '../model/entry-path.ts';
import { contentLength, type References } from '../model/reference.ts';
import { type Content, NO_CONTENT } from '../model/stored-entry.ts';
import type { BrokenPage, FileTask, FileTaskResult, PageCheck } from '../worker/file-task.ts';
import type { BackupPipeline } from './backup-pipeline.ts';
import type { BackupProgress } from './backup-progress.ts';
import type { ChangedRange } from './changed-ranges.ts';
import type { ReadNode } from './content-map.ts';
import { problemOf } from './file-entries.ts';
import {
  backUpLargeContent,
  backUpPaged,
  changedUnitsOf,
  comparableLeaves,
  contentOfChunks,
  type LargeResult,
  leafReference,
  type PagedParent,
} from './large-content.ts';
import { RunningWork } from './running-work.ts';

/** Small ones travel together. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_FILES_MAX = 128;
/** Content that is cut by itself is split among workers above this. */
const LARGE_BYTES = 16 * 1024 * 1024;
/** A file in the middle of which it is removed. */
const GONE = 'ENOENT';

export type FilePlace = {
  /** An absolute directory without links in its path, and the path below it; latin1. */
  readonly root: string;
  readonly path: string;
  readonly pages: PageCheck | undefined;
  /** Where it may differ from the parent's content, in order and joined: the rest is not read where the parent has it. Undefined: anywhere. */
  readonly changed?: readonly ChangedRange[] | undefined;
};

export type FileRead = {
  /** Undefined: it is gone. */
  readonly entry: FileEntry | undefined;
  readonly content: Content;
  readonly brokenPages: readonly BrokenPage[];
};

export type EntryFilesOptions = {
  readonly session: BackupPipeline;
  readonly paged: PagedChunking;
  readonly readNode: ReadNode;
  readonly progress: BackupProgress;
};

type Small = { readonly entry: FileEntry; readonly isPaged: boolean; readonly parent: References | undefined };

export class EntryFiles {
  readonly #options: EntryFilesOptions;
  readonly #parentOf: (path: string) => PagedParent | undefined;
  readonly #running = new RunningWork();
  #read: FileRead[] = [];
  #tasks: FileTask[] = [];
  #small: Small[] = [];
  #taskBytes = 0;

  /** `parentOf`: paged content of the parent snapshot at a path. */
  constructor(options: EntryFilesOptions, parentOf: (path: string) => PagedParent | undefined) {
    this.#options = options;
    this.#parentOf = parentOf;
  }

  async add(entry: FileEntry, place: FilePlace): Promise<void> {
    const { paged, session } = this.#options;
    const { sizeBytes } = entry;
    if (sizeBytes === 0) {
      this.#keep({ entry, content: NO_CONTENT, brokenPages: [] });
      return;
    }
    const isPaged = sizeBytes >= paged.fileBytesMin && sizeBytes % paged.pageBytes === 0;
    const parent = isPaged ? this.#parentOf(entry.path) : undefined;
    if (sizeBytes <= (isPaged ? UNITS_PER_LEAF * paged.unitBytes : LARGE_BYTES))
      await this.#addSmall(entry, place, isPaged, parent);
    else {
      await session.room();
      this.#throwIfFailed();
      this.#running.start(this.#readLarge(entry, place, isPaged, parent));
    }
  }

  /** Waits for all that were added since the last time, and answers them. */
  async settle(): Promise<readonly FileRead[]> {
    await this.#sendSmall();
    await this.#running.over();
    this.#throwIfFailed();
    const read = this.#read;
    this.#read = [];
    return read;
  }

  async #addSmall(
    entry: FileEntry,
    { changed, ...place }: FilePlace,
    isPaged: boolean,
    parent: PagedParent | undefined,
  ): Promise<void> {
    const { paged, readNode } = this.#options;
    const { sizeBytes } = entry;
    const isComparable = parent !== undefined && comparableLeaves(parent, sizeBytes, paged.unitBytes) === 1;
    const leaf = isComparable && parent.root.length > 0 ? parent.root : undefined;
    const cut = isPaged ? 'paged' : 'content';
    const parentLeaves = leaf === undefined ? [] : [await readNode(leaf)];
    const comparable = leaf === undefined ? 0 : 1;
    const units = changedUnitsOf({ changed, sizeBytes }, paged.unitBytes, { first: 0, count: 1 }, comparable);
    const task = { file: 0, ...place, isWritten: true, cut, offset: 0, length: sizeBytes, expected: undefined } as const;
    this.#tasks.push({ ...task, parentLeaves, ...units });
    this.#small.push({ entry, isPaged, parent: leaf });
    this.#taskBytes += sizeBytes;
    if (this.#taskBytes >= BATCH_BYTES || this.#tasks.length >= BATCH_FILES_MAX) await this.#sendSmall();
  }

  async #sendSmall(): Promise<void> {
    if (this.#tasks.length === 0) return;
    const tasks = this.#tasks;
    const small = this.#small;
    this.#tasks = [];
    this.#small = [];
    this.#taskBytes = 0;
    await this.#options.session.room();
    this.#throwIfFailed();
    const work = this.#options.session.runFiles(tasks).then((results) => {
      for (const [i, result] of results.entries()) this.#takeSmall(small[i]!, result);
    });
    this.#running.start(work);
  }

  #takeSmall({ entry, isPaged, parent }: Small, { outcome, leaves, references, bytesRead, brokenPages }: FileTaskResult): void {
    const { session } = this.#options;
    const leaf = leaves[0];
    const content: Content = !isPaged
      ? contentOfChunks(references, (node) => session.putNode(node))
      : leaf === undefined
        ? NO_CONTENT
        : { kind: 'units-map', root: leafReference(session, leaf, parent) };
    this.#onRead(bytesRead, entry.sizeBytes);
    this.#take(entry, isPaged ? entry.sizeBytes : contentLength(references), {
      content,
      bytesRead,
      problem: problemOf(entry.path, outcome),
      ...(brokenPages === undefined ? {} : { brokenPages }),
    });
  }

  async #readLarge(entry: FileEntry, place: FilePlace, isPaged: boolean, parent: PagedParent | undefined): Promise<void> {
    const { session, paged, readNode } = this.#options;
    const source = { file: 0, ...place, isWritten: true, sizeBytes: entry.sizeBytes, expected: undefined };
    const onRead = (bytes: number, done: number): void => this.#onRead(bytes, done);
    const result = isPaged
      ? await backUpPaged(session, source, 'paged', paged.unitBytes, parent, readNode, onRead)
      : await backUpLargeContent(session, source, onRead);
    this.#take(entry, isPaged ? entry.sizeBytes : result.bytesRead, result);
  }

  #take(entry: FileEntry, sizeBytes: number, { content, problem, brokenPages = [] }: LargeResult): void {
    const isGone = problem?.code === GONE;
    if (problem?.missing === true && !isGone)
      throw new Fault('SOURCE_UNREADABLE', `"${displayPath(entry.path)}" cannot be read: ${problem.message}`);
    this.#keep(
      isGone
        ? { entry: undefined, content: NO_CONTENT, brokenPages: [] }
        : { entry: { ...entry, sizeBytes }, content, brokenPages },
    );
  }

  #keep(read: FileRead): void {
    this.#options.progress.entriesDone++;
    this.#read.push(read);
  }

  #onRead(bytes: number, done: number): void {
    const { progress } = this.#options;
    progress.bytesRead += bytes;
    progress.bytesDone += done;
  }

  #throwIfFailed(): void {
    this.#options.session.throwIfFailed();
    this.#running.throwIfFailed();
  }
}

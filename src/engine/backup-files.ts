// Backing up a tree: the walk is merged with the parent snapshot's entries, in the same order. What is unchanged keeps its entry and its
// content without being read; the rest goes to the workers in batches; entries are written in order as their contents arrive.

import type { PagedChunking } from '../format/repository-object.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import type { Xattr } from '../model/entry.ts';
import { contentLength, REFERENCE_BYTES, type References } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../model/stored-entry.ts';
import type { FileBatchResult, FileTask, FileTaskResult } from '../worker/file-task.ts';
import type { BackupPipeline } from './backup-pipeline.ts';
import type { BackupListener, BackupProgress } from './backup-progress.ts';
import type { ReadNode } from './content-map.ts';
import { EntriesWriter } from './entries-writer.ts';
import { codeOf, expectedOf, hasSameStat, isUnchanged, messageOf, problemOf, statsOf, storedEntry } from './file-entries.ts';
import type { Kept, Slot } from './file-slot.ts';
import type { FileSource, SourceEntry, SourceProblem } from './file-source.ts';
import {
  backUpLargeContent,
  backUpPaged,
  comparableLeaves,
  contentOfChunks,
  type LargeResult,
  leafReference,
  type PagedParent,
} from './large-content.ts';
import { ParentCursor } from './parent-cursor.ts';
import { RunningWork } from './running-work.ts';
import { isSettled } from './settled.ts';

/** What a file costs beside its bytes, for the size of a batch (`BackupPipeline.batchBytes`). */
const FILE_COST_BYTES = 8 * 1024;
/** Content above this is split among workers. */
const LARGE_BYTES = 16 * 1024 * 1024;
/** Entries that wait for the content of one before them. */
const WAITING_MAX = 20_000;
/** Slots that are done with and still in the queue. */
const WRITTEN_MAX = 2_000;
/** Entries between two looks at what the workers have answered. */
const SLICE_ENTRIES = 1000;
const NO_XATTRS: readonly Xattr[] = [];

export type FilesBackup = {
  readonly session: BackupPipeline;
  readonly source: FileSource;
  readonly paged: PagedChunking;
  readonly parentRoot: SnapshotRoot | undefined;
  readonly readNode: ReadNode;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
  /** When the parent snapshot began (Unix time, ms): what changed later, or so shortly before that the clock of its times could not
   *  tell, is read again. Undefined: everything is. */
  readonly parentStartedMs: number | undefined;
};

export async function backUpFiles(backup: FilesBackup): Promise<SnapshotRoot> {
  const run = new FilesRun(backup);
  await run.readAll();
  return run.finish();
}

class FilesRun {
  readonly #backup: FilesBackup;
  readonly #cursor: ParentCursor;
  readonly #writer: EntriesWriter;
  readonly #slots: (Slot | Kept)[] = [];
  #head = 0;
  /** First names of inodes that are left out: the name that took the place of each, '' when there was none yet. */
  readonly #leftOut = new Map<string, string>();
  readonly #linkedFirst = new Map<string, { readonly path: string; left: number; omitted: boolean }>();
  #tasks: FileTask[] = [];
  #taskSlots: Slot[] = [];
  #taskCost = 0;
  #batchRoot = '';
  #batchPaths: string[] = [];
  #batchSlots: Slot[] = [];
  #batchCost = 0;
  readonly #running = new RunningWork();
  #branchesSeen = 0;

  constructor(backup: FilesBackup) {
    this.#backup = backup;
    this.#cursor = new ParentCursor(backup.parentRoot?.reference, backup.readNode);
    this.#writer = new EntriesWriter((node) => backup.session.putNode(node));
  }

  async readAll(): Promise<void> {
    const { source, progress } = this.#backup;
    for (const item of source.items()) {
      if (item.kind === 'problem') {
        this.#problem(item, true);
        continue;
      }
      progress.entriesScanned++;
      let found = this.#cursor.seek(item.path);
      for (; found === undefined; found = this.#cursor.seek(item.path)) {
        await this.#cursor.advance();
        this.#expectNodes();
      }
      const rest = this.#take(item, found === 'met');
      if (rest !== undefined) await rest;
      if (progress.entriesScanned % SLICE_ENTRIES === 0) await this.#lookAround();
    }
    progress.scanned = true;
    await this.#sendBatch();
    await this.#sendTasks();
    await this.#settle();
  }

  async #lookAround(): Promise<void> {
    this.#backup.session.throwIfFailed();
    this.#running.throwIfFailed();
    this.#writeReady();
    // Where few files have changed a full batch is long in coming, and everything behind its first file would wait for it.
    if (this.#running.size === 0) await this.#sendBatch();
    if (this.#slots.length - this.#head > WAITING_MAX) await this.#settle();
    else if (this.#running.size > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  finish(): SnapshotRoot {
    this.#writeReady(true);
    const reference = this.#writer.finish();
    return { kind: 'entries', reference, contentBytes: this.#writer.contentBytes, entries: this.#writer.entries };
  }

  /** `isKnown`: the cursor is at what the parent snapshot has of it. Answers a promise when there is something to wait for; for most
   *  entries there is not. */
  #take(entry: SourceEntry, isKnown: boolean): Promise<void> | undefined {
    const { progress, source } = this.#backup;
    this.#count(entry);
    const linkedTo = this.#linkOf(entry);
    const isSame = isKnown && this.#isSame(entry);
    if (isSame && linkedTo === '' && this.#cursor.at.hardLinkTo === '' && hasSameStat(entry, this.#cursor.at)) {
      if (entry.kind === 'file') progress.filesUnchanged++;
      progress.bytesDone += entry.sizeBytes;
      this.#keep();
      return undefined;
    }
    const before = isKnown ? this.#cursor.entry() : undefined;
    const slot: Slot = {
      entry,
      xattrs: NO_XATTRS,
      hardLinkTo: '',
      content: NO_CONTENT,
      unchanged: undefined,
    };
    this.#slots.push(slot);
    if (isSame && before?.hardLinkTo === linkedTo) {
      if (entry.kind === 'file') progress.filesUnchanged++;
      progress.bytesDone += entry.sizeBytes;
      slot.xattrs = before.xattrs;
      slot.hardLinkTo = linkedTo;
      slot.content = before.content;
      if (hasSameStat(entry, before)) slot.unchanged = before;
      return undefined;
    }
    slot.hardLinkTo = linkedTo;
    // An empty one is read, too: there are files that say so and hold something (those of /proc).
    const isRead = entry.kind === 'file' && linkedTo === '';
    if (isRead && !this.#isPaged(entry) && entry.sizeBytes <= LARGE_BYTES) {
      // A worker reads its attributes with it.
      slot.content = undefined;
      return this.#addToBatch(slot);
    }
    try {
      slot.xattrs = entry.kind === 'socket' ? NO_XATTRS : source.readXattrs(entry.path);
    } catch (error) {
      this.#problem({ kind: 'problem', path: entry.path, code: codeOf(error), message: messageOf(error) }, false);
    }
    if (!isRead) {
      progress.bytesDone += entry.sizeBytes;
      return undefined;
    }
    slot.content = undefined;
    return this.#read(slot, before);
  }

  #isSame(entry: SourceEntry): boolean {
    const { at } = this.#cursor;
    return at.kind === entry.kind && isUnchanged(entry, at) && this.#isSettled(at);
  }

  #keep(): void {
    const { index } = this.#cursor;
    const leaf = this.#cursor.leaf!;
    const last = this.#slots.at(-1);
    if (last !== undefined && 'leaf' in last && last.leaf === leaf && last.to === index) last.to++;
    else this.#slots.push({ leaf, from: index, to: index + 1 });
  }

  #isPaged(entry: SourceEntry): boolean {
    const { paged } = this.#backup;
    return entry.sizeBytes >= paged.fileBytesMin && entry.sizeBytes % paged.pageBytes === 0;
  }

  /** The parent snapshot read it when its times were already in the past: no later change can have kept them. */
  #isSettled(before: { readonly ctimeSec: number; readonly ctimeNsec: number }): boolean {
    const { parentStartedMs } = this.#backup;
    return parentStartedMs !== undefined && isSettled(before, parentStartedMs);
  }

  /** The path of the entry that holds the content, for every name of an inode but the first. */
  #linkOf(entry: SourceEntry): string {
    if (entry.hardLinkKey === '' || entry.kind === 'directory') return '';
    const first = this.#linkedFirst.get(entry.hardLinkKey);
    if (first === undefined) {
      this.#linkedFirst.set(entry.hardLinkKey, { path: entry.path, left: entry.links - 1, omitted: false });
      return '';
    }
    if (first.omitted) {
      this.#linkedFirst.set(entry.hardLinkKey, { path: entry.path, left: first.left - 1, omitted: false });
      return '';
    }
    if (--first.left <= 0) this.#linkedFirst.delete(entry.hardLinkKey);
    return first.path;
  }

  #addToBatch(slot: Slot): Promise<void> | undefined {
    const { root, path } = this.#backup.source.locate(slot.entry.path);
    if (root === this.#batchRoot || this.#batchPaths.length === 0) return this.#addToBatchOf(root, path, slot);
    return this.#sendBatch().then(() => this.#addToBatchOf(root, path, slot));
  }

  #addToBatchOf(root: string, path: string, slot: Slot): Promise<void> | undefined {
    this.#batchRoot = root;
    this.#batchPaths.push(path);
    this.#batchSlots.push(slot);
    this.#batchCost += slot.entry.sizeBytes + FILE_COST_BYTES;
    return this.#batchCost >= this.#backup.session.batchBytes ? this.#sendBatch() : undefined;
  }

  async #sendBatch(): Promise<void> {
    if (this.#batchPaths.length === 0) return;
    const batch = { root: this.#batchRoot, paths: this.#batchPaths, stats: statsOf(this.#batchSlots) };
    const slots = this.#batchSlots;
    this.#batchPaths = [];
    this.#batchSlots = [];
    this.#batchCost = 0;
    const { session, progress } = this.#backup;
    await session.roomForBatch();
    progress.current = slots[0]!.entry.path;
    this.#running.start(session.runBatch(batch).then((result) => this.#finishBatch(slots, result)));
  }

  #finishBatch(slots: readonly Slot[], { referenceCounts, references, bytesRead, outcomes, xattrs }: FileBatchResult): void {
    for (const { file, xattrs: found, problem } of xattrs) {
      slots[file]!.xattrs = found;
      if (problem !== undefined) this.#problem({ kind: 'problem', path: slots[file]!.entry.path, ...problem }, false);
    }
    const problems = new Map(outcomes.map(({ file, outcome }) => [file, outcome]));
    let at = 0;
    for (let file = 0; file < slots.length; file++) {
      const end = at + referenceCounts[file]! * REFERENCE_BYTES;
      this.#finishContent(slots[file]!, references.subarray(at, end), problems.get(file) ?? 'read');
      at = end;
    }
    this.#backup.progress.bytesRead += bytesRead;
  }

  #finishContent(slot: Slot, references: References, outcome: FileTaskResult['outcome']): void {
    const size = slot.entry.sizeBytes;
    const content = contentOfChunks(references, (node) => this.#backup.session.putNode(node));
    this.#correctSize(slot, contentLength(references));
    this.#finishSlot(slot, { content, bytesRead: 0, problem: problemOf(slot.entry.path, outcome) });
    this.#backup.progress.bytesDone += size;
  }

  /** Paged content, and content that is too large for a batch. */
  async #read(slot: Slot, before: StoredEntry | undefined): Promise<void> {
    const { entry } = slot;
    const { paged, readNode, session, source } = this.#backup;
    const isPaged = this.#isPaged(entry);
    const parent =
      isPaged && before?.content.kind === 'units-map' ? { root: before.content.root, sizeBytes: before.sizeBytes } : undefined;
    if (!isPaged || entry.sizeBytes > UNITS_PER_LEAF * paged.unitBytes) {
      await session.room();
      this.#running.start(this.#readLarge(slot, isPaged, parent));
      return;
    }
    const parentLeaves: (Uint8Array | null)[] = [];
    if (parent !== undefined && parent.root.length > 0 && comparableLeaves(parent, entry.sizeBytes, paged.unitBytes) === 1) {
      parentLeaves.push(await readNode(parent.root));
      slot.unchanged = before;
    }
    this.#tasks.push({
      file: this.#tasks.length,
      ...source.locate(entry.path),
      cut: 'paged',
      offset: 0,
      length: entry.sizeBytes,
      expected: expectedOf(entry),
      parentLeaves,
    });
    this.#taskSlots.push(slot);
    this.#taskCost += entry.sizeBytes + FILE_COST_BYTES;
    if (this.#taskCost >= this.#backup.session.batchBytes) await this.#sendTasks();
  }

  async #sendTasks(): Promise<void> {
    if (this.#tasks.length === 0) return;
    const tasks = this.#tasks;
    const slots = this.#taskSlots;
    this.#tasks = [];
    this.#taskSlots = [];
    this.#taskCost = 0;
    const { session, progress } = this.#backup;
    await session.room();
    progress.current = slots[0]!.entry.path;
    this.#running.start(
      session.runFiles(tasks).then((results) =>
        results.forEach((result, i) => {
          this.#finishPaged(slots[i]!, result);
        }),
      ),
    );
  }

  #finishPaged(slot: Slot, { outcome, leaves, bytesRead }: FileTaskResult): void {
    const before = slot.unchanged;
    slot.unchanged = undefined;
    const parent = before?.content.kind === 'units-map' ? before.content.root : undefined;
    const leaf = leaves[0];
    const content: Content =
      leaf === undefined ? NO_CONTENT : { kind: 'units-map', root: leafReference(this.#backup.session, leaf, parent) };
    this.#finishSlot(slot, { content, bytesRead, problem: problemOf(slot.entry.path, outcome) });
    this.#backup.progress.bytesRead += bytesRead;
    this.#backup.progress.bytesDone += slot.entry.sizeBytes;
  }

  async #readLarge(slot: Slot, isPaged: boolean, parent: PagedParent | undefined): Promise<void> {
    const { session, source, paged, readNode, progress } = this.#backup;
    const { entry } = slot;
    progress.current = entry.path;
    const large = { file: 0, ...source.locate(entry.path), sizeBytes: entry.sizeBytes, expected: expectedOf(entry) };
    const onRead = (bytes: number): void => {
      progress.bytesRead += bytes;
      progress.bytesDone += bytes;
    };
    const result = isPaged
      ? await backUpPaged(session, large, 'paged', paged.unitBytes, parent, readNode, onRead)
      : await backUpLargeContent(session, large, onRead);
    if (!isPaged) this.#correctSize(slot, result.bytesRead);
    this.#finishSlot(slot, result);
  }

  /** A file that became shorter while it was read has the length that was read. */
  #correctSize(slot: Slot, length: number): void {
    if (length !== slot.entry.sizeBytes) slot.entry = { ...slot.entry, sizeBytes: length };
  }

  #finishSlot(slot: Slot, { content, problem }: LargeResult): void {
    slot.content = problem?.missing === true ? 'omit' : content;
    if (problem === undefined) return;
    this.#problem({ kind: 'problem', path: slot.entry.path, code: problem.code, message: problem.message }, problem.missing);
    const first = slot.content === 'omit' ? this.#linkedFirst.get(slot.entry.hardLinkKey) : undefined;
    if (first !== undefined) first.omitted = true;
  }

  async #settle(): Promise<void> {
    do {
      await this.#running.over();
      this.#running.throwIfFailed();
      this.#writeReady();
    } while (this.#running.size > 0);
  }

  /** What is kept last may be joined by what follows; `isEnd`: nothing follows. */
  #writeReady(isEnd = false): void {
    const { progress } = this.#backup;
    for (; this.#head < this.#slots.length; this.#head++) {
      const slot = this.#slots[this.#head]!;
      if ('leaf' in slot) {
        if (!isEnd && this.#head === this.#slots.length - 1) break;
        progress.entriesDone += slot.to - slot.from;
        this.#writer.keep(slot.leaf, slot.from, slot.to);
        continue;
      }
      if (slot.content === undefined || (slot.hardLinkTo !== '' && this.#becomesFirst(slot))) break;
      progress.entriesDone++;
      if (slot.content === 'omit') {
        if (slot.entry.hardLinkKey !== '') this.#leftOut.set(slot.entry.path, '');
        continue;
      }
      if (slot.unchanged !== undefined) this.#writer.add(slot.unchanged);
      else this.#writer.add(storedEntry(slot.entry, slot.content, slot.xattrs, slot.hardLinkTo));
    }
    if (this.#head <= WRITTEN_MAX) return;
    this.#slots.splice(0, this.#head);
    this.#head = 0;
  }

  /** True when the name that was to hold the content of this one is left out: then this one holds it, and is being read. */
  #becomesFirst(slot: Slot): boolean {
    let first = slot.hardLinkTo;
    for (let next = this.#leftOut.get(first); next !== undefined; next = this.#leftOut.get(first)) {
      if (next === '') {
        this.#leftOut.set(first, slot.entry.path);
        slot.hardLinkTo = '';
        slot.unchanged = undefined;
        slot.content = undefined;
        this.#running.start(this.#readLarge(slot, this.#isPaged(slot.entry), undefined));
        return true;
      }
      first = next;
    }
    slot.hardLinkTo = first;
    return false;
  }

  #expectNodes(): void {
    const { session } = this.#backup;
    const { branches, leaf } = this.#cursor;
    for (; this.#branchesSeen < branches.length; this.#branchesSeen++) session.expectNode(branches[this.#branchesSeen]!);
    if (leaf !== undefined) session.expectNode(leaf.reference);
  }

  #problem(problem: SourceProblem, missing: boolean): void {
    this.#backup.progress.problems++;
    this.#backup.listener.onProblem({ path: problem.path, code: problem.code, message: problem.message, missing });
  }

  #count(entry: SourceEntry): void {
    const { progress } = this.#backup;
    progress.bytesScanned += entry.sizeBytes;
    if (entry.kind === 'file') progress.files++;
    else if (entry.kind === 'directory') progress.directories++;
    else progress.others++;
  }
}

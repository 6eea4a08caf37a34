// Backing up a tree whose entries come from elsewhere, in any order (a base backup): contents that come as well, one after the other, go to
// the workers as they come, and those that lie in files are read by them (entry-files.ts); the entries are put in order at the end. So memory
// is that of the entries' names, and of the few pieces that are under way.
//
// What has not changed is recognised by its bytes, unit by unit of paged files, chunk by chunk of others. Nothing is taken from the parent
// unread but what a source says for certain is as it was (FilePlace).

import { invariant } from '../base/invariant.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import type { FileEntry } from '../model/entry.ts';
import { comparePaths } from '../model/entry-path.ts';
import { NO_REFERENCES, type References } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../model/stored-entry.ts';
import type { BrokenPage, FileTask, FileTaskResult } from '../worker/file-task.ts';
import type { BackupPipeline } from './backup-pipeline.ts';
import type { BackupProgress } from './backup-progress.ts';
import { type ReadNode, UnitsMapBuilder, unitsLeaves } from './content-map.ts';
import { entriesLeaves } from './entries-reader.ts';
import { EntriesWriter } from './entries-writer.ts';
import { EntryFiles, type FilePlace } from './entry-files.ts';
import { comparableLeaves, contentOfChunks, leafReference, type PagedParent } from './large-content.ts';
import { RunningWork } from './running-work.ts';

/** Contents that are cut by themselves travel in pieces of at most this length. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** Small ones travel together. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_FILES_MAX = 128;

export type EntriesBackup = {
  readonly session: BackupPipeline;
  readonly paged: PagedChunking;
  readonly parentRoot: SnapshotRoot | undefined;
  readonly readNode: ReadNode;
  readonly progress: BackupProgress;
};

type Kept = { readonly entry: FileEntry; content: Content };

/** A file that was given to be read, when it has been. */
export type ReadEntry = {
  /** As long as what was read. Undefined: it was removed before it could be read, and is no entry. */
  readonly entry: FileEntry | undefined;
  readonly brokenPages: readonly BrokenPage[];
};

/** A content that is on its way: `finish` is called when all of its pieces were answered. */
type Open = {
  readonly kept: Kept;
  readonly isPaged: boolean;
  readonly units: UnitsMapBuilder | undefined;
  readonly references: References[];
  readonly parentLeaves: AsyncGenerator<References> | undefined;
  readonly comparable: number;
  offset: number;
  leaf: number;
  pieces: number;
  isWhole: boolean;
  last: Promise<void>;
};

export class EntriesBackupRun {
  readonly #backup: EntriesBackup;
  readonly #kept: Kept[] = [];
  readonly #before = new Map<string, PagedParent>();
  readonly #files: EntryFiles;
  readonly #running = new RunningWork();
  #open: Open | undefined;
  #piece = new Uint8Array(0);
  #pieceBytes = 0;
  #tasks: FileTask[] = [];
  #taskOpens: Open[] = [];
  #taskBytes = 0;

  private constructor(backup: EntriesBackup) {
    this.#backup = backup;
    this.#files = new EntryFiles(backup, (path) => this.#before.get(path));
  }

  static async start(backup: EntriesBackup): Promise<EntriesBackupRun> {
    const run = new EntriesBackupRun(backup);
    await run.#readParent();
    return run;
  }

  /** Begins an entry; `data` brings the content of a file, `end` ends it. */
  begin(entry: FileEntry): void {
    invariant(this.#open === undefined, 'one entry ends before the next begins');
    const { paged, readNode, session } = this.#backup;
    this.#count(entry);
    const kept: Kept = { entry, content: NO_CONTENT };
    this.#kept.push(kept);
    if (entry.kind !== 'file' || entry.sizeBytes === 0) return;
    const isPaged = entry.sizeBytes >= paged.fileBytesMin && entry.sizeBytes % paged.pageBytes === 0;
    const parent = isPaged ? this.#before.get(entry.path) : undefined;
    this.#open = {
      kept,
      isPaged,
      units: isPaged ? new UnitsMapBuilder((node) => session.putNode(node)) : undefined,
      references: [],
      parentLeaves:
        parent === undefined ? undefined : unitsLeaves(parent.root, Math.ceil(parent.sizeBytes / paged.unitBytes), readNode),
      comparable: comparableLeaves(parent, entry.sizeBytes, paged.unitBytes),
      offset: 0,
      leaf: 0,
      pieces: 0,
      isWhole: false,
      last: Promise.resolve(),
    };
    this.#newPiece();
  }

  /** The bytes may be used again afterwards. */
  async data(bytes: Uint8Array): Promise<void> {
    const open = this.#open;
    invariant(open !== undefined, 'content belongs to an entry');
    this.#backup.progress.bytesRead += bytes.length;
    this.#backup.progress.bytesDone += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const n = Math.min(bytes.length - at, this.#piece.length - this.#pieceBytes);
      invariant(n > 0, 'an entry has no more content than it announced');
      this.#piece.set(bytes.subarray(at, at + n), this.#pieceBytes);
      this.#pieceBytes += n;
      at += n;
      if (this.#pieceBytes === this.#piece.length) await this.#sendPiece(open);
    }
  }

  async end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#backup.progress.entriesDone++;
    if (open === undefined) return;
    invariant(open.offset === open.kept.entry.sizeBytes, 'an entry has all the content that it announced');
    open.isWhole = true;
    if (open.pieces === 0) this.#finish(open);
    this.#throwIfFailed();
  }

  /** An entry whose content lies in a file of this host, for as long as the entry says. Answers when it may be followed by another one, which
   *  is before it is read. */
  async file(entry: FileEntry, place: FilePlace): Promise<void> {
    this.#count(entry);
    await this.#files.add(entry, place);
  }

  /** Waits for the files that were given so far, and answers them. */
  async filesRead(): Promise<readonly ReadEntry[]> {
    const read = await this.#files.settle();
    for (const { entry, content } of read) if (entry !== undefined) this.#kept.push({ entry, content });
    return read;
  }

  /** Waits for all contents and writes the map. */
  async finish(): Promise<SnapshotRoot> {
    const { progress, session } = this.#backup;
    progress.scanned = true;
    await this.filesRead();
    await this.#sendTasks();
    await this.#running.over();
    this.#throwIfFailed();
    const writer = new EntriesWriter((node) => session.putNode(node));
    this.#kept.sort((a, b) => comparePaths(a.entry.path, b.entry.path));
    for (const { entry, content } of this.#kept)
      writer.add({ ...entry, content, xattrs: [], hardLinkTo: '' } satisfies StoredEntry);
    return { kind: 'entries', reference: writer.finish(), contentBytes: writer.contentBytes, entries: writer.entries };
  }

  #count({ kind, path, sizeBytes }: FileEntry): void {
    const { progress } = this.#backup;
    if (kind === 'file') progress.files++;
    else if (kind === 'directory') progress.directories++;
    else progress.others++;
    progress.entriesScanned++;
    progress.bytesScanned += sizeBytes;
    progress.current = path;
  }

  async #readParent(): Promise<void> {
    const { parentRoot, readNode, session } = this.#backup;
    if (parentRoot === undefined) return;
    const known = (reference: References): void => session.expectNode(reference);
    for await (const { reference, entries } of entriesLeaves(parentRoot.reference, readNode, '', known)) {
      session.expectNode(reference);
      for (const { path, sizeBytes, content } of entries)
        if (content.kind === 'units-map') this.#before.set(path, { root: content.root, sizeBytes });
    }
  }

  #newPiece(): void {
    const open = this.#open!;
    const left = open.kept.entry.sizeBytes - open.offset;
    // Of its own: it goes to another thread whole.
    this.#piece = Buffer.allocUnsafeSlow(Math.min(left, this.#pieceMax(open)));
    this.#pieceBytes = 0;
  }

  #pieceMax({ isPaged }: Open): number {
    return isPaged ? UNITS_PER_LEAF * this.#backup.paged.unitBytes : PIECE_BYTES;
  }

  async #sendPiece(open: Open): Promise<void> {
    const bytes = this.#piece;
    const parentLeaves: (Uint8Array | null)[] = [];
    let parent: References = NO_REFERENCES;
    if (open.isPaged) {
      if (open.leaf < open.comparable)
        parent = ((await open.parentLeaves?.next())?.value as References | undefined) ?? NO_REFERENCES;
      parentLeaves.push(parent.length === 0 ? null : await this.#backup.readNode(parent));
      open.leaf++;
    }
    const task: FileTask = {
      file: 0,
      root: '',
      path: open.kept.entry.path,
      bytes,
      cut: open.isPaged ? 'paged' : 'content',
      offset: open.offset,
      length: bytes.length,
      expected: undefined,
      parentLeaves,
    };
    open.offset += bytes.length;
    open.pieces++;
    this.#parents.set(task, parent);
    this.#tasks.push(task);
    this.#taskOpens.push(open);
    this.#taskBytes += bytes.length;
    if (this.#taskBytes >= BATCH_BYTES || this.#tasks.length >= BATCH_FILES_MAX) await this.#sendTasks();
    if (open.offset < open.kept.entry.sizeBytes) this.#newPiece();
  }

  readonly #parents = new Map<FileTask, References>();

  async #sendTasks(): Promise<void> {
    if (this.#tasks.length === 0) return;
    const tasks = this.#tasks;
    const opens = this.#taskOpens;
    this.#tasks = [];
    this.#taskOpens = [];
    this.#taskBytes = 0;
    await this.#backup.session.room();
    this.#throwIfFailed();
    const answer = this.#backup.session.runFiles(
      tasks,
      tasks.map(({ bytes }) => bytes!.buffer as ArrayBuffer),
    );
    // Pieces of one content are put together in order, whichever worker answers first.
    const before = [...new Set(opens)].map((open) => open.last);
    const work = Promise.all([answer, ...before]).then(([results]) => {
      results.forEach((result, i) => {
        this.#take(opens[i]!, tasks[i]!, result);
      });
    });
    for (const open of opens) open.last = work;
    this.#running.start(work);
  }

  #take(open: Open, task: FileTask, { outcome, leaves, references }: FileTaskResult): void {
    invariant(outcome === 'read', 'bytes that were given can be read');
    const parent = this.#parents.get(task) ?? NO_REFERENCES;
    this.#parents.delete(task);
    if (open.units === undefined) open.references.push(references);
    else open.units.add(leafReference(this.#backup.session, leaves[0]!, parent));
    open.pieces--;
    if (open.pieces === 0 && open.isWhole) this.#finish(open);
  }

  #finish({ kept, units, references }: Open): void {
    if (units !== undefined) {
      const root = units.finish(Math.ceil(kept.entry.sizeBytes / this.#backup.paged.unitBytes));
      kept.content = { kind: 'units-map', root };
      return;
    }
    const all = references.length === 1 ? references[0]! : Buffer.concat(references);
    kept.content = contentOfChunks(all, (node) => this.#backup.session.putNode(node));
  }

  #throwIfFailed(): void {
    this.#backup.session.throwIfFailed();
    this.#running.throwIfFailed();
  }
}

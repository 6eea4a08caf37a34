// Copying a tree: its entries in order, beside those of the parent and of the parent's original. Small contents are read ahead and go to
// the workers in batches, large ones are cut here as they come; entries are written as their contents arrive.

import { Chunker } from '../codec/chunker.ts';
import { bytesEqual, contentLength, NO_REFERENCES, type References } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import { type Content, NO_CONTENT, type StoredEntry } from '../model/stored-entry.ts';
import type { FileTask } from '../worker/file-task.ts';
import { BackupPipeline } from './backup-pipeline.ts';
import { ChunksMapBuilder } from './content-map.ts';
import { type CopyBase, type CopyRun, counted } from './copy-run.ts';
import { copyUnits, type UnitsBase } from './copy-units.ts';
import { EntriesCursor, entriesOf } from './entries-reader.ts';
import { EntriesWriter } from './entries-writer.ts';
import { contentOfChunks, EXTENT_BYTES } from './large-content.ts';
import { readContent } from './restore-single.ts';
import { RunningWork } from './running-work.ts';

/** Content up to this is read whole. */
const SMALL_BYTES = 512 * 1024;
const READS_AHEAD = 16;
const BATCH_BYTES = 1024 * 1024;
const BATCH_FILES_MAX = 256;
/** Entries that wait for a content before they can be written. */
const WAITING_MAX = 20_000;
/** As in a backup of files: content above this always has a map. */
const LARGE_BYTES = 16 * 1024 * 1024;

export async function copyTree(run: CopyRun, root: SnapshotRoot, base: CopyBase | undefined): Promise<SnapshotRoot> {
  const copy = new TreeCopy(run, base);
  return { ...root, reference: await copy.run(root.reference) };
}

type Slot = { readonly entry: StoredEntry; content: Content | undefined };
type EntryPair = { readonly original: StoredEntry; readonly copy: StoredEntry };
type SmallRead = { readonly slot: Slot; readonly bytes: Promise<Uint8Array> };

class TreeCopy {
  readonly #run: CopyRun;
  /** The parent's original and the parent, both at the same place. */
  readonly #original: EntriesCursor;
  readonly #copy: EntriesCursor;
  readonly #writer: EntriesWriter;
  readonly #slots: Slot[] = [];
  readonly #reads: SmallRead[] = [];
  readonly #running = new RunningWork();
  #batch: { readonly slot: Slot; readonly bytes: Uint8Array }[] = [];
  #batchBytes = 0;
  #branchesSeen = 0;

  constructor(run: CopyRun, base: CopyBase | undefined) {
    this.#run = run;
    const { from, to, pipeline } = run;
    this.#original = new EntriesCursor(base?.original.reference ?? NO_REFERENCES, from.readNode);
    this.#copy = new EntriesCursor(base?.copy.reference ?? NO_REFERENCES, to.readNode);
    this.#writer = new EntriesWriter((node) => pipeline.putNode(node));
  }

  async run(root: References): Promise<References> {
    const { from, signal } = this.#run;
    for await (const entry of entriesOf(root, from.readNode)) {
      signal.throwIfAborted();
      this.#running.throwIfFailed();
      const slot: Slot = { entry, content: undefined };
      this.#slots.push(slot);
      await this.#take(slot);
      if (this.#slots.length > WAITING_MAX) await this.#settle();
      else if (this.#slots.length % 1000 === 0) this.#writeReady();
    }
    await this.#settle();
    return this.#writer.finish();
  }

  async #take(slot: Slot): Promise<void> {
    const { entry } = slot;
    const { content, sizeBytes } = entry;
    const before = await this.#parentOf(entry);
    if (
      content.kind === 'none' ||
      (before !== undefined && before.original.sizeBytes === sizeBytes && isSameStoredContent(before.original.content, content))
    ) {
      slot.content = content.kind === 'none' ? NO_CONTENT : before!.copy.content;
      this.#run.progress.bytesDone += sizeBytes;
    } else if (content.kind === 'units-map') {
      await this.#drainReads(0);
      await this.#start(async () => {
        slot.content = {
          kind: 'units-map',
          root: await copyUnits(
            this.#run,
            'paged',
            { root: content.root, sizeBytes },
            before === undefined ? undefined : unitsBaseOf(before),
          ),
        };
      });
    } else if (sizeBytes <= SMALL_BYTES) {
      const bytes = this.#readWhole(entry);
      bytes.catch(() => {});
      this.#reads.push({ slot, bytes });
      await this.#drainReads(READS_AHEAD);
    } else {
      await this.#drainReads(0);
      slot.content = await this.#copyLarge(entry);
    }
  }

  /** What the parent's original and the parent have at this path, when both have the same there. */
  async #parentOf(entry: StoredEntry): Promise<EntryPair | undefined> {
    const [original, copy] = await Promise.all([this.#original.find(entry.path), this.#copy.find(entry.path)]);
    this.#expectNodes();
    const isPair = original?.kind === 'file' && copy?.kind === 'file' && original.sizeBytes === copy.sizeBytes;
    return isPair ? { original, copy } : undefined;
  }

  async #readWhole(entry: StoredEntry): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#bytesOf(entry)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  #bytesOf({ content, sizeBytes }: StoredEntry): AsyncGenerator<Uint8Array> {
    const { parameters, readNode, reader } = this.#run.from;
    return counted(readContent(content, sizeBytes, parameters.paged.unitBytes, readNode, reader), this.#run);
  }

  async #drainReads(left: number): Promise<void> {
    while (this.#reads.length > left) {
      const { slot, bytes } = this.#reads.shift()!;
      const read = await bytes;
      this.#batch.push({ slot, bytes: read });
      this.#batchBytes += read.length;
      if (this.#batchBytes >= BATCH_BYTES || this.#batch.length >= BATCH_FILES_MAX) await this.#sendBatch();
    }
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#batchBytes = 0;
    const tasks = batch.map(
      ({ bytes }, file): FileTask => ({
        file,
        root: '',
        path: '',
        bytes,
        cut: 'content',
        offset: 0,
        length: bytes.length,
        expected: undefined,
        parentLeaves: [],
      }),
    );
    await this.#start(async () => {
      const results = await this.#run.pipeline.runFiles(tasks);
      results.forEach(({ references }, i) => {
        batch[i]!.slot.content = this.#contentOf(references);
      });
    });
  }

  /** In extents, each cut by itself: as a backup of the same file would. */
  async #copyLarge(entry: StoredEntry): Promise<Content> {
    const { to, pipeline } = this.#run;
    const chunker = new Chunker({ ...to.parameters.content, multiplier: to.keyring.multiplier }, BackupPipeline.streamWindowBytes);
    const cuts = new Uint32Array(chunker.cutsMax);
    const answers: Promise<References>[] = [];
    const isMapped = entry.sizeBytes > LARGE_BYTES;
    const builder = new ChunksMapBuilder((node) => pipeline.putNode(node));
    const inline: References[] = [];
    const take = async (left: number): Promise<void> => {
      while (answers.length > left) {
        const references = await answers.shift()!;
        if (isMapped) builder.add(references);
        else inline.push(references);
      }
    };
    let have = 0;
    let extentLeft = EXTENT_BYTES;
    const send = async (isLast: boolean): Promise<void> => {
      const n = chunker.cut(have, isLast, cuts);
      const end = n === 0 ? 0 : cuts[n - 1]!;
      if (n > 0) {
        await pipeline.room();
        const answer = pipeline.runChunks(chunker.window.slice(0, end), cuts.slice(0, n));
        answer.catch(() => {});
        answers.push(answer);
        await take(READS_AHEAD);
      }
      chunker.window.copyWithin(0, end, have);
      have -= end;
    };
    for await (const piece of this.#bytesOf(entry)) {
      for (let at = 0; at < piece.length; ) {
        const n = Math.min(piece.length - at, chunker.window.length - have, extentLeft);
        chunker.window.set(piece.subarray(at, at + n), have);
        have += n;
        at += n;
        extentLeft -= n;
        if (have === chunker.window.length || extentLeft === 0) await send(extentLeft === 0);
        if (extentLeft === 0) extentLeft = EXTENT_BYTES;
      }
    }
    if (have > 0) await send(true);
    await take(0);
    return isMapped ? { kind: 'chunks-map', root: builder.finish() } : this.#contentOf(Buffer.concat(inline));
  }

  /** Few chunks stand in the entry, more have a map: as in a backup of files. */
  #contentOf(references: References): Content {
    if (contentLength(references) === 0) return NO_CONTENT;
    return contentOfChunks(references, (node) => this.#run.pipeline.putNode(node));
  }

  async #start(work: () => Promise<void>): Promise<void> {
    await this.#run.pipeline.room();
    this.#running.start(work());
  }

  async #settle(): Promise<void> {
    await this.#drainReads(0);
    await this.#sendBatch();
    await this.#running.over();
    this.#running.throwIfFailed();
    this.#writeReady();
  }

  #writeReady(): void {
    let written = 0;
    for (; written < this.#slots.length; written++) {
      const { entry, content } = this.#slots[written]!;
      if (content === undefined) break;
      this.#writer.add({ ...entry, content });
    }
    this.#slots.splice(0, written);
  }

  /** Nodes of the parent's map that may come out the same. */
  #expectNodes(): void {
    const { pipeline } = this.#run;
    const { branches, leaf } = this.#copy;
    for (; this.#branchesSeen < branches.length; this.#branchesSeen++) pipeline.expectNode(branches[this.#branchesSeen]!);
    if (leaf !== undefined) pipeline.expectNode(leaf.reference);
  }
}

/** Of one repository, by what the maps say. */
function isSameStoredContent(a: Content, b: Content): boolean {
  if (a.kind !== b.kind || a.kind === 'none' || b.kind === 'none') return false;
  if (a.kind === 'chunks') return b.kind === 'chunks' && bytesEqual(a.references, b.references);
  return b.kind === a.kind && bytesEqual(a.root, b.root);
}

function unitsBaseOf({ original, copy }: EntryPair): UnitsBase | undefined {
  if (original.content.kind !== 'units-map' || copy.content.kind !== 'units-map') return undefined;
  return {
    original: { root: original.content.root, sizeBytes: original.sizeBytes },
    copy: { root: copy.content.root, sizeBytes: copy.sizeBytes },
  };
}

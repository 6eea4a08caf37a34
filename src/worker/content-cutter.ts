// Reads a file (or an extent of one) and cuts it by content. Small files are read straight into the block that is being filled; larger
// ones go through the chunker's window.

import { DIGEST_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import type { Chunker } from '../codec/chunker.ts';
import { EXTENT_CHUNK, SESSION_BYTES } from '../format/pack.ts';
import { REFERENCE_BYTES, type References, writeReference } from '../model/reference.ts';
import { type Asked, type Dedup, newFound, writeCounter } from './dedup.ts';
import type { PackWriter } from './pack-writer.ts';
import type { ReadAt } from './read-at.ts';
import { Stage } from './stage.ts';

/** A list of references that grows. */
export class ReferenceList {
  #bytes = new Uint8Array(REFERENCE_BYTES * 16);
  #length = 0;

  add(block: Uint8Array, digest: Uint8Array, offset: number, length: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    writeReference(this.#bytes, this.#length, block, digest, offset, length);
    this.#length += REFERENCE_BYTES;
  }

  get count(): number {
    return this.#length / REFERENCE_BYTES;
  }

  /** Forgets all but the first `count`. */
  shorten(count: number): void {
    this.#length = count * REFERENCE_BYTES;
  }

  take(): References {
    const references = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return references;
  }
}

/** Chunks that are asked for. */
export type SentStage = { readonly stage: Stage; readonly asked: Asked };

/** Read at a time: more would not be in the processor's cache when it is cut. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** A batch of small files does not fill more than one beyond these. */
const SENT_MAX = 3;

export class ContentCutter {
  readonly #chunker: Chunker;
  readonly #smallBytesMax: number;
  readonly #ids: IdHasher;
  readonly #dedup: Dedup;
  readonly #packs: PackWriter;
  readonly #cuts: Uint32Array;
  readonly #found = newFound();
  readonly #ownBlock: Uint8Array;
  readonly #references = new ReferenceList();
  /** Where chunks wait, if many must be asked for at once. Each becomes one reference, in order. */
  #stage: Stage | undefined;
  /** Those before, on their way to be asked for. */
  #sent: SentStage[] = [];
  readonly #spareStages: Stage[] = [];
  chunks = 0;
  newChunks = 0;
  newBytes = 0;

  constructor(chunker: Chunker, smallBytesMax: number, session: Uint8Array, ids: IdHasher, dedup: Dedup, packs: PackWriter) {
    this.#chunker = chunker;
    this.#smallBytesMax = smallBytesMax;
    this.#ids = ids;
    this.#dedup = dedup;
    this.#packs = packs;
    this.#cuts = new Uint32Array(Math.ceil(chunker.window.length / 64) + 1);
    this.#ownBlock = new Uint8Array(16);
    this.#ownBlock.set(session);
    this.#stage = dedup.isAsked ? this.#newStage() : undefined;
  }

  /** Cuts `length` bytes from `offset` on. Answers the references and how many bytes there were (fewer when the file is shorter). */
  cut(read: ReadAt, offset: number, length: number): { readonly references: References; readonly bytesRead: number } {
    const bytesRead = this.cutInto(read, offset, length);
    return { references: this.takeReferences(), bytesRead };
  }

  /** As `cut`, but leaves the references to `takeReferences`. */
  cutInto(read: ReadAt, offset: number, length: number): number {
    if (length <= this.#smallBytesMax) return this.#cutSmall(read, offset, length);
    const window = this.#chunker.window.subarray(0, Math.max(WINDOW_BYTES, this.#chunker.parameters.maxBytes));
    let position = offset;
    let have = 0;
    for (let last = false; !last; ) {
      const want = Math.min(window.length - have, offset + length - position);
      const got = want === 0 ? 0 : read(window.subarray(have, have + want), want, position);
      position += got;
      have += got;
      last = got < want || position === offset + length;
      have = this.cutWindow(have, last);
    }
    return position - offset;
  }

  /** Cuts the first `have` bytes of the chunker's window; the unfinished rest moves to its front. Answers the length of the rest. */
  cutWindow(have: number, last: boolean): number {
    const { window } = this.#chunker;
    const n = this.#chunker.cut(have, last, this.#cuts);
    let start = 0;
    for (let i = 0; i < n; i++) {
      const end = this.#cuts[i]!;
      this.addChunk(window.subarray(start, end));
      start = end;
    }
    if (start > 0 && start < have) window.copyWithin(0, start, have);
    return have - start;
  }

  /** Adds one chunk from anywhere to the references. */
  addChunk(chunk: Uint8Array): void {
    const id = this.#ids.id(chunk);
    if (this.#stage === undefined) {
      this.#addNamed(chunk, id);
      return;
    }
    const stage = this.#stageFor(this.#stage, chunk.length);
    stage.room(chunk.length).set(chunk);
    stage.keep(chunk.length, id);
  }

  #addNamed(chunk: Uint8Array, id: Uint8Array): void {
    const room = this.#packs.room(chunk.length);
    if (this.#refer(id, room.length)) return;
    room.set(chunk);
    this.#packs.keep(chunk.length, EXTENT_CHUNK, id);
  }

  /** One with room for a chunk. */
  #stageFor(stage: Stage, length: number): Stage {
    if (stage.hasRoom(length)) return stage;
    if (this.#sent.length === SENT_MAX) this.#settle(this.#sent.shift()!);
    this.#sent.push(this.#send(stage));
    this.#stage = this.#newStage();
    return this.#stage;
  }

  #newStage(): Stage {
    return this.#spareStages.pop() ?? new Stage(this.#chunker.parameters.maxBytes);
  }

  #send(stage: Stage): SentStage {
    return { stage, asked: this.#dedup.begin(stage.ids, stage.count, true) };
  }

  /** Keeps what is not known of chunks that were asked for. */
  #settle({ stage, asked }: SentStage): void {
    this.#dedup.finish(asked);
    for (let i = 0; i < stage.count; i++) this.#addNamed(stage.chunk(i), stage.id(i));
    stage.shorten(0);
    this.#spareStages.push(stage);
  }

  #settleSent(): void {
    for (const sent of this.#sent.splice(0)) this.#settle(sent);
  }

  /** Instead of `takeReferences`, when all that was added waits to be asked for: it is asked for, and `takeSent` answers the references
   *  later. Undefined when it is not so. */
  sendAll(): readonly SentStage[] | undefined {
    const stage = this.#stage;
    if (stage === undefined || stage.count === 0 || this.#references.count > 0) return undefined;
    const sent = [...this.#sent.splice(0), this.#send(stage)];
    this.#stage = this.#newStage();
    return sent;
  }

  /** Between other contents, not within one. */
  takeSent(sent: readonly SentStage[]): References {
    for (const one of sent) this.#settle(one);
    return this.#references.take();
  }

  /** References that wait to be taken. */
  get referenceCount(): number {
    const sent = this.#sent.reduce((sum, { stage }) => sum + stage.count, 0);
    return this.#references.count + sent + (this.#stage?.count ?? 0);
  }

  dropReferences(count: number): void {
    const staged = this.#stage?.count ?? 0;
    const before = this.referenceCount - staged;
    if (count < before) this.#settleSent();
    this.#stage?.shorten(Math.max(0, Math.min(staged, count - before)));
    if (count < before) this.#references.shorten(count);
  }

  takeReferences(): References {
    this.#settleSent();
    const stage = this.#stage;
    if (stage !== undefined && stage.count > 0) {
      this.#stage = undefined;
      this.#settle(this.#send(stage));
      this.#stage = this.#spareStages.pop();
    }
    return this.#references.take();
  }

  /** Refers to a chunk that would stand where `room` was given; true when it is known already. */
  #refer(id: Uint8Array, length: number): boolean {
    this.chunks++;
    const digest = id.subarray(0, DIGEST_BYTES);
    const offset = this.#packs.blockLength;
    if (this.#dedup.find(id, this.#packs.blockCounter, offset, length, this.#found)) {
      this.#references.add(this.#found.block, digest, this.#found.offset, length);
      return true;
    }
    writeCounter(this.#ownBlock, SESSION_BYTES, this.#packs.blockCounter);
    this.#references.add(this.#ownBlock, digest, offset, length);
    this.newChunks++;
    this.newBytes += length;
    return false;
  }

  #cutSmall(read: ReadAt, offset: number, length: number): number {
    const stage = this.#stage === undefined ? undefined : this.#stageFor(this.#stage, length);
    const room = (stage ?? this.#packs).room(length);
    const got = read(room, length, offset);
    if (got === 0) return 0;
    const id = this.#ids.id(room.subarray(0, got));
    if (stage !== undefined) stage.keep(got, id);
    else if (!this.#refer(id, got)) this.#packs.keep(got, EXTENT_CHUNK, id);
    return got;
  }
}

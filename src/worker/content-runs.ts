// Long runs of new units of a volume are cut by content, so that what stands elsewhere at another offset (a file that was copied, a disk
// that was cloned into a larger one) is found. Each piece becomes a group, cut into units from its own beginning; the volume's units refer
// into the middle of groups, wherever they lie.
//
// A unit whose bytes do not lie in one place (its pieces went into different blocks, or were found in different ones) is left to the caller,
// who stores it once more: at most one in each new block and at each end of what was found.

import { DIGEST_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import type { Chunker } from '../codec/chunker.ts';
import { EXTENT_GROUP, SESSION_BYTES } from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import { type Dedup, newFound, writeCounter } from './dedup.ts';
import type { PackWriter } from './pack-writer.ts';
import { GROUP_CONTEXT } from './unit-groups.ts';

const ID_BYTES = 32;
const BLOCK_BYTES = 16;

/** A piece of a run: bytes [begin, end) of the window, which lie at `offset` of `block`. */
type Piece = { begin: number; end: number; readonly block: Uint8Array; offset: number };

export class ContentRuns {
  readonly #unitBytes: number;
  readonly #chunker: Chunker;
  readonly #ids: IdHasher;
  readonly #dedup: Dedup;
  readonly #packs: PackWriter;
  readonly #session: Uint8Array;
  readonly #cuts: Uint32Array;
  #pieceIds: Uint8Array;
  readonly #digests: Uint8Array;
  readonly #pieces: Piece[] = [];
  #count = 0;
  readonly #found = newFound();
  #at = 0;
  foundBlock: Uint8Array = new Uint8Array(BLOCK_BYTES);
  foundOffset = 0;
  chunks = 0;
  newChunks = 0;
  newBytes = 0;

  constructor(unitBytes: number, chunker: Chunker, session: Uint8Array, ids: IdHasher, dedup: Dedup, packs: PackWriter) {
    this.#unitBytes = unitBytes;
    this.#chunker = chunker;
    this.#session = session;
    this.#ids = ids;
    this.#dedup = dedup;
    this.#packs = packs;
    this.#cuts = new Uint32Array(chunker.cutsMax + 1);
    this.#pieceIds = new Uint8Array((chunker.cutsMax + 1) * ID_BYTES);
    this.#digests = new Uint8Array(Math.ceil(chunker.window.length / unitBytes) * DIGEST_BYTES);
  }

  /** Runs that are shorter are not worth it. */
  get runBytesMin(): number {
    return this.#chunker.parameters.averageBytes;
  }

  /** Cuts and names the bytes [begin, end) of the chunker's window, up to the last cut; to the end when the run ends there. Answers up to
   *  where. Behind the runs that are planned already. */
  plan(begin: number, end: number, isLast: boolean): number {
    let cuts = this.#chunker.cutRange(begin, end, isLast, this.#cuts);
    // A window that holds no cut is cut where it ends.
    if (cuts === 0) this.#cuts[cuts++] = end;
    let from = begin;
    for (let i = 0; i < cuts; i++) {
      const piece = (this.#pieces[this.#count] ??= { begin: 0, end: 0, block: new Uint8Array(BLOCK_BYTES), offset: 0 });
      piece.begin = from;
      piece.end = this.#cuts[i]!;
      from = piece.end;
      this.#keepId(this.#idOf(piece));
    }
    return from;
  }

  /** Those of what is planned. */
  plannedIds(): Uint8Array {
    return this.#pieceIds.subarray(0, this.#count * ID_BYTES);
  }

  /** Stores what is new of all that is planned. */
  store(): void {
    const count = this.#count;
    if (this.#dedup.isAsked && count > 0) this.#dedup.ask(this.#pieceIds, count);
    for (let i = 0; i < count; i++) this.#place(this.#pieces[i]!, this.#pieceIds.subarray(i * ID_BYTES, (i + 1) * ID_BYTES));
    this.#count = 0;
    this.#at = 0;
  }

  /** Whether the bytes [begin, end) of what was stored last lie in one place: then `foundBlock` and `foundOffset` say where. To be asked from
   *  front to back. */
  find(begin: number, end: number): boolean {
    while (this.#pieces[this.#at]!.end <= begin) this.#at++;
    const piece = this.#pieces[this.#at]!;
    for (let i = this.#at; this.#pieces[i]!.end < end; i++) {
      const a = this.#pieces[i]!;
      const b = this.#pieces[i + 1]!;
      if (b.offset !== a.offset + (a.end - a.begin) || !bytesEqual(a.block, b.block)) return false;
    }
    this.foundBlock = piece.block;
    this.foundOffset = piece.offset + begin - piece.begin;
    return true;
  }

  #idOf({ begin, end }: Piece): Uint8Array {
    const { window } = this.#chunker;
    let n = 0;
    for (let at = begin; at < end; at += this.#unitBytes) {
      const id = this.#ids.id(window.subarray(at, Math.min(at + this.#unitBytes, end)));
      this.#digests.set(id.subarray(0, DIGEST_BYTES), n);
      n += DIGEST_BYTES;
    }
    return this.#ids.idOf(GROUP_CONTEXT, this.#digests.subarray(0, n));
  }

  /** There may be more than one window can be cut into: of each run, the last piece is as short as it comes. */
  #keepId(id: Uint8Array): void {
    if ((this.#count + 1) * ID_BYTES > this.#pieceIds.length) {
      const grown = new Uint8Array(this.#pieceIds.length * 2);
      grown.set(this.#pieceIds);
      this.#pieceIds = grown;
    }
    this.#pieceIds.set(id, this.#count++ * ID_BYTES);
  }

  #place(piece: Piece, id: Uint8Array): void {
    const length = piece.end - piece.begin;
    this.chunks++;
    const room = this.#packs.room(length);
    const offset = this.#packs.blockLength;
    if (this.#dedup.find(id, this.#packs.blockCounter, offset, length, this.#found)) {
      piece.block.set(this.#found.block);
      piece.offset = this.#found.offset;
      return;
    }
    room.set(this.#chunker.window.subarray(piece.begin, piece.end));
    piece.block.set(this.#session);
    writeCounter(piece.block, SESSION_BYTES, this.#packs.blockCounter);
    piece.offset = offset;
    this.#packs.keep(length, EXTENT_GROUP, Uint8Array.from(id));
    this.newChunks++;
    this.newBytes += length;
  }
}

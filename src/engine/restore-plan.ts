// What a restore must read: the pieces of every content, sorted by where they lie, joined to ranges of packs. Each range is fetched once,
// whichever files it serves. A plan covers a window of the tree, so that memory stays bounded.

import { Fault } from '../base/faults.ts';
import type { BlockPlace } from '../index/tables.ts';
import { blockOf, isInBlock, lengthOf, offsetOf, type References } from '../model/reference.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import { hex } from '../repository/layout.ts';
import type { Places } from './restore-content.ts';

/** Neighbouring blocks of a pack are fetched with one request up to this size. */
const RANGE_BYTES_MAX = 4 * 1024 * 1024;
/** And up to this size of what they hold. What compresses well is much work in few bytes, and who comes to the end first waits for the others. */
const RANGE_RAW_BYTES_MAX = 24 * 1024 * 1024;
/** Bytes that are not needed and yet fetched, to save a request. */
const GAP_BYTES_MAX = 128 * 1024;
/** Of a write. */
export const FIELDS = 4;

/** A block that is needed, and where its pieces go: fours of file, file offset, block offset, length. */
export type NeededBlock = { readonly id: Uint8Array; readonly place: BlockPlace; readonly writes: number[] };

export type PackRangePlan = { readonly packId: Uint8Array; readonly blocks: readonly NeededBlock[] };

export class RestoreWindow {
  readonly #blocks = new Map<string, NeededBlock>();
  readonly #index: BlockFinder;
  #latest: NeededBlock | undefined;
  pieces = 0;
  bytes = 0;

  constructor(index: BlockFinder) {
    this.#index = index;
  }

  /** `references[n]` goes to `fileOffset` of `file`, a number that means something to the caller. `length`: of the piece. */
  add(references: References, n: number, file: number, fileOffset: number, length = lengthOf(references, n)): void {
    const blockOffset = offsetOf(references, n);
    const { writes } = this.#blockOf(references, n);
    this.bytes += length;
    const end = writes.length;
    // Pieces that follow each other in the block and in the file are one.
    if (
      end > 0 &&
      writes[end - 4] === file &&
      writes[end - 3]! + writes[end - 1]! === fileOffset &&
      writes[end - 2]! + writes[end - 1]! === blockOffset
    ) {
      writes[end - 1]! += length;
      return;
    }
    writes.push(file, fileOffset, blockOffset, length);
    this.pieces++;
  }

  /** All of these to their places in `file`. */
  addAll({ references, offsets }: Pick<Places, 'references' | 'offsets'>, file: number): void {
    for (let i = 0; i < offsets.length; i++) this.add(references, i, file, offsets[i]!);
  }

  ranges(): PackRangePlan[] {
    return rangesOf(this.#blocks.values());
  }

  /** Neighbours mostly lie in one block: then nothing is made to look it up. */
  #blockOf(references: References, n: number): NeededBlock {
    const latest = this.#latest;
    if (latest !== undefined && isInBlock(references, n, latest.id)) return latest;
    const block = blockOf(references, n);
    const key = Buffer.from(block.buffer, block.byteOffset, block.length).toString('latin1');
    let needed = this.#blocks.get(key);
    if (needed === undefined) {
      const id = block.slice();
      const place = this.#index.find(id);
      if (place === undefined) throw new Fault('STORE_NOT_FOUND', `Block ${hex(id)} is in no pack of the index`);
      needed = { id, place, writes: [] };
      this.#blocks.set(key, needed);
    }
    this.#latest = needed;
    return needed;
  }
}

/** In the order of the packs, each in the order of its bytes. */
export function rangesOf(needed: Iterable<NeededBlock>): PackRangePlan[] {
  const blocks = [...needed].map((block) => ({ block, pack: hex(block.place.pack) }));
  blocks.sort((a, b) => (a.pack < b.pack ? -1 : a.pack > b.pack ? 1 : a.block.place.offset - b.block.place.offset));
  const ranges: { packId: Uint8Array; pack: string; blocks: NeededBlock[]; begin: number; end: number; raw: number }[] = [];
  for (const { block, pack } of blocks) {
    const { offset, storedLength, rawLength } = block.place;
    const last = ranges.at(-1);
    if (
      last !== undefined &&
      last.pack === pack &&
      offset - last.end <= GAP_BYTES_MAX &&
      offset + storedLength - last.begin <= RANGE_BYTES_MAX &&
      last.raw + rawLength <= RANGE_RAW_BYTES_MAX
    ) {
      last.blocks.push(block);
      last.end = offset + storedLength;
      last.raw += rawLength;
    } else
      ranges.push({ packId: block.place.pack, pack, blocks: [block], begin: offset, end: offset + storedLength, raw: rawLength });
  }
  return ranges;
}

export function writeCount(block: NeededBlock): number {
  return block.writes.length / FIELDS;
}

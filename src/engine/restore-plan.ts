// What a restore must read: the pieces of every content, sorted by where they lie, joined to ranges of packs. Each range is fetched once,
// whichever files it serves. A plan covers a window of the tree, so that memory stays bounded.

import { Fault } from '../base/faults.ts';
import type { BlockPlace } from '../index/tables.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import { hex } from '../repository/layout.ts';

/** Neighbouring blocks of a pack are fetched with one request up to this size. */
const RANGE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes that are not needed and yet fetched, to save a request. */
const GAP_BYTES_MAX = 128 * 1024;
const FIELDS = 4;

/** A block that is needed, and where its pieces go: fours of file, file offset, block offset, length. */
export type NeededBlock = { readonly id: Uint8Array; readonly place: BlockPlace; readonly writes: number[] };

export type PackRangePlan = { readonly packId: Uint8Array; readonly blocks: readonly NeededBlock[] };

export class RestoreWindow {
  readonly #blocks = new Map<string, NeededBlock>();
  readonly #index: BlockFinder;
  #latestKey = '';
  #latest: NeededBlock | undefined;
  pieces = 0;
  bytes = 0;

  constructor(index: BlockFinder) {
    this.#index = index;
  }

  add(block: Uint8Array, file: number, fileOffset: number, blockOffset: number, length: number): void {
    const key = Buffer.from(block.buffer, block.byteOffset, block.length).toString('latin1');
    let needed = this.#latestKey === key ? this.#latest : this.#blocks.get(key);
    if (needed === undefined) {
      const id = block.slice();
      const place = this.#index.find(id);
      if (place === undefined) throw new Fault('STORE_NOT_FOUND', `Block ${hex(id)} is in no pack of the index`);
      needed = { id, place, writes: [] };
      this.#blocks.set(key, needed);
    }
    this.#latestKey = key;
    this.#latest = needed;
    this.bytes += length;
    const { writes } = needed;
    const n = writes.length;
    // Pieces that follow each other in the block and in the file are one.
    if (
      n > 0 &&
      writes[n - 4] === file &&
      writes[n - 3]! + writes[n - 1]! === fileOffset &&
      writes[n - 2]! + writes[n - 1]! === blockOffset
    ) {
      writes[n - 1]! += length;
      return;
    }
    writes.push(file, fileOffset, blockOffset, length);
    this.pieces++;
  }

  ranges(): PackRangePlan[] {
    return rangesOf(this.#blocks.values());
  }
}

/** In the order of the packs, each in the order of its bytes. */
export function rangesOf(needed: Iterable<NeededBlock>): PackRangePlan[] {
  const blocks = [...needed].map((block) => ({ block, pack: hex(block.place.pack) }));
  blocks.sort((a, b) => (a.pack < b.pack ? -1 : a.pack > b.pack ? 1 : a.block.place.offset - b.block.place.offset));
  const ranges: { packId: Uint8Array; pack: string; blocks: NeededBlock[]; begin: number; end: number }[] = [];
  for (const { block, pack } of blocks) {
    const { offset, storedLength } = block.place;
    const last = ranges.at(-1);
    if (
      last !== undefined &&
      last.pack === pack &&
      offset - last.end <= GAP_BYTES_MAX &&
      offset + storedLength - last.begin <= RANGE_BYTES_MAX
    ) {
      last.blocks.push(block);
      last.end = offset + storedLength;
    } else ranges.push({ packId: block.place.pack, pack, blocks: [block], begin: offset, end: offset + storedLength });
  }
  return ranges;
}

export function writeCount(block: NeededBlock): number {
  return block.writes.length / FIELDS;
}

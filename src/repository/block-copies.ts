// Blocks of the packs of an index, sorted by block id on local disk: what a plan joins with the ranges that are needed.
//
// A block may lie in several packs: moved by a prune, and its old pack came back for a snapshot that was being made meanwhile. Copies with
// one sealing are the same bytes. Another sealing tells that a prune wrote the block anew without what was dead then: the block as it
// was first made holds all that any later one holds.

import type { PackBlock, PackDirectory } from '../format/pack.ts';
import { ExternalSorter } from '../index/external-sort.ts';
import type { SortPlace } from './live-ranges.ts';
import { RecordCursor } from './record-cursor.ts';

/** Block id (16), ordinal of the pack, position in the pack, stored length, raw length, bytes in extents (u32 each, big-endian), sealing (16). */
const RECORD_BYTES = 52;
const KEY_BYTES = 24;
const BLOCK_BYTES = 16;

export type BlockCopy = {
  readonly pack: number;
  readonly position: number;
  readonly storedLength: number;
  readonly rawLength: number;
  /** Of the raw bytes those that are something; the rest was zeroed. */
  readonly contentBytes: number;
  /** Sealing session and counter, latin1: equal for equal bytes; that of the block's own id when it was never written anew. */
  readonly sealing: string;
};

export class BlockCopies {
  readonly #sorter: ExternalSorter;
  readonly #record = new Uint8Array(RECORD_BYTES);
  readonly #numbers = new DataView(this.#record.buffer);

  constructor(place: SortPlace) {
    this.#sorter = new ExternalSorter({ ...place, recordBytes: RECORD_BYTES, keyBytes: KEY_BYTES });
  }

  addPack(pack: number, directory: PackDirectory): void {
    directory.blocks.forEach((block, position) => {
      this.#record.set(block.id, 0);
      this.#numbers.setUint32(16, pack);
      this.#numbers.setUint32(20, position);
      this.#numbers.setUint32(24, block.storedLength);
      this.#numbers.setUint32(28, block.rawLength);
      this.#numbers.setUint32(32, contentBytesOf(block));
      this.#record.set(sealingOf(directory, block), 36);
      this.#sorter.push(this.#record);
    });
  }

  /** Once. */
  groups(): CopyGroups {
    return new CopyGroups(this.#sorter.sorted());
  }

  close(): void {
    this.#sorter.close();
  }
}

export function contentBytesOf({ extents }: PackBlock): number {
  let sum = 0;
  for (const { length } of extents) sum += length;
  return sum;
}

/** Sealing session and counter, 16 bytes. */
export function sealingOf(directory: PackDirectory, block: PackBlock): Uint8Array {
  const sealing = new Uint8Array(BLOCK_BYTES);
  sealing.set(directory.sessions[block.sealedBy]!.session);
  sealing.set(block.sealingCounter, 10);
  return sealing;
}

/** A cursor over blocks in the order of their ids, each with all its copies in the order of their packs. */
export class CopyGroups {
  readonly #records: RecordCursor;
  readonly block = new Uint8Array(BLOCK_BYTES);
  copies: BlockCopy[] = [];

  constructor(batches: Iterator<Uint8Array>) {
    this.#records = new RecordCursor(batches, RECORD_BYTES);
    this.#records.next();
  }

  next(): boolean {
    const records = this.#records;
    if (!records.isThere) return false;
    this.block.set(records.bytes.subarray(records.at, records.at + BLOCK_BYTES));
    this.copies = [];
    while (records.isThere && records.compare(this.block, BLOCK_BYTES) === 0) {
      const { bytes, at } = records;
      const sealing = Buffer.from(bytes.buffer, bytes.byteOffset + at + 36, BLOCK_BYTES).toString('latin1');
      this.copies.push({
        pack: records.u32(16),
        position: records.u32(20),
        storedLength: records.u32(24),
        rawLength: records.u32(28),
        contentBytes: records.u32(32),
        sealing,
      });
      records.next();
    }
    return true;
  }

  /** The copies that must stay: one, unless several were written anew and none is as it was first made. */
  needed(copies: readonly BlockCopy[]): readonly BlockCopy[] {
    if (copies.length <= 1) return copies;
    const own = Buffer.from(this.block).toString('latin1');
    const original = copies.find(({ sealing }) => sealing === own);
    if (original !== undefined) return [original];
    return copies.filter(({ sealing }, n) => copies.findIndex((other) => other.sealing === sealing) === n);
  }
}

// The two tables of the index as fixed-size records, and their way from pack directories and to places.
//
//   chunks: chunk or group id (32) | block id (16) | u32 offset | u32 length                                            56 bytes
//   blocks: block id (16) | pack id (32) | sealing session (10) | asset id (16) | sealing counter (6) |
//           u32 offset in the pack | u32 stored length | u32 raw length | u8 codec | u8 kind | two zero bytes           96 bytes
//
// Nodes are not in the first: maps refer to them by block. 73 chunk records and the checksum fill a page to the last byte.

import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { EXTENT_NODE, type PackKind } from '../format/pack.ts';
import type { RunShape } from './run-layout.ts';

export const CHUNKS: RunShape = { recordBytes: 56, keyBytes: 32, fenceWords: 1 };
// Block ids of one session have their first ten bytes in common: only the whole id tells pages apart.
export const BLOCKS: RunShape = { recordBytes: 96, keyBytes: 16, fenceWords: 4 };

/** Where a chunk or group lies. Filled by lookups; the bytes are overwritten by the next one into the same place. */
export type ChunkPlace = { readonly block: Uint8Array; offset: number; length: number };

/** Where a block lies and what opens it. Filled by lookups. */
export type BlockPlace = {
  readonly pack: Uint8Array;
  /** 10 bytes: whose key sealed the block. */
  readonly session: Uint8Array;
  readonly assetId: Uint8Array;
  /** 6 bytes. */
  readonly sealingCounter: Uint8Array;
  kind: PackKind;
  /** In the pack. */
  offset: number;
  storedLength: number;
  rawLength: number;
  codec: number;
};

export function newChunkPlace(): ChunkPlace {
  return { block: new Uint8Array(16), offset: 0, length: 0 };
}

export function newBlockPlace(): BlockPlace {
  const bytes = {
    pack: new Uint8Array(32),
    session: new Uint8Array(10),
    assetId: new Uint8Array(16),
    sealingCounter: new Uint8Array(6),
  };
  return { ...bytes, kind: 'data', offset: 0, storedLength: 0, rawLength: 0, codec: 0 };
}

export function readChunkRecord(record: Uint8Array, at: number, place: ChunkPlace): void {
  readPlace(record, at + 32, place);
}

/** From the end of a chunk record: block id, offset, length. */
export function readPlace(bytes: Uint8Array, at: number, place: ChunkPlace): void {
  copy(place.block, bytes, at);
  place.offset = readU32(bytes, at + 16);
  place.length = readU32(bytes, at + 20);
}

export function writeChunkRecord(
  record: Uint8Array,
  at: number,
  id: Uint8Array,
  block: Uint8Array,
  offset: number,
  length: number,
): void {
  record.set(id, at);
  record.set(block, at + 32);
  writeU32(record, at + 48, offset);
  writeU32(record, at + 52, length);
}

export function readBlockRecord(record: Uint8Array, at: number, place: BlockPlace): void {
  copy(place.pack, record, at + 16);
  copy(place.session, record, at + 48);
  copy(place.assetId, record, at + 58);
  copy(place.sealingCounter, record, at + 74);
  place.offset = readU32(record, at + 80);
  place.storedLength = readU32(record, at + 84);
  place.rawLength = readU32(record, at + 88);
  place.codec = record[at + 92]!;
  place.kind = record[at + 93] === 0 ? 'data' : 'metadata';
}

/** What takes the records of a pack; each is overwritten by the next. */
export type RecordSink = { readonly push: (records: Uint8Array) => void };

/** Turns packs into records. */
export class PackRecords {
  readonly #chunks: RecordSink;
  readonly #blocks: RecordSink;
  readonly #chunk = new Uint8Array(CHUNKS.recordBytes);
  readonly #block = new Uint8Array(BLOCKS.recordBytes);

  constructor(chunks: RecordSink, blocks: RecordSink) {
    this.#chunks = chunks;
    this.#blocks = blocks;
  }

  /** Answers how many records it made. Throws FORMAT_DAMAGED when the pack's directory does not decode. */
  push(pack: IndexedPack): number {
    const { sessions, blocks } = directoryOf(pack);
    const record = this.#block;
    let made = blocks.length;
    for (const block of blocks) {
      const sealing = sessions[block.sealedBy]!;
      record.set(block.id, 0);
      record.set(pack.packId, 16);
      record.set(sealing.session, 48);
      record.set(sealing.assetId, 58);
      record.set(block.sealingCounter, 74);
      writeU32(record, 80, block.offset);
      writeU32(record, 84, block.storedLength);
      writeU32(record, 88, block.rawLength);
      record[92] = block.codec;
      record[93] = pack.kind === 'data' ? 0 : 1;
      this.#blocks.push(record);
      for (const extent of block.extents) {
        if (extent.kind === EXTENT_NODE) continue;
        writeChunkRecord(this.#chunk, 0, extent.id, block.id, extent.offset, extent.length);
        this.#chunks.push(this.#chunk);
        made++;
      }
    }
    return made;
  }
}

function copy(target: Uint8Array, source: Uint8Array, at: number): void {
  for (let i = 0; i < target.length; i++) target[i] = source[at + i]!;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

// References inside a node name their block by its position in the node's block table: nodes have many references into few blocks.

import {
  blockOf,
  bytesEqual,
  isInBlock,
  lengthOf,
  offsetOf,
  REFERENCE_BYTES,
  type References,
  writeRange,
} from '../model/reference.ts';
import { type ByteReader, ByteWriter } from './bytes.ts';
import { BLOCK_ID_BYTES, BLOCK_RAW_BYTES_MAX } from './pack.ts';

/** Longest node. Nodes end before; only an entry with very many extended attributes makes one so long. */
export const NODE_BYTES_MAX = 1024 * 1024;

/** Position, offset, length, digest. */
export const REFERENCE_ENCODED_BYTES_MIN = 19;

const DIGEST_BYTES = 16;
const NOT_IN_TABLE = 'a reference names a block that is not in the table';
const OUTSIDE = 'a reference leaves its block';

export class BlockTableWriter {
  readonly #positions = new Map<string, number>();
  readonly #blocks: Uint8Array[] = [];
  #lastBlock: Uint8Array | undefined;
  #lastPosition = 0;
  /** Whose references are copied, and where its blocks stand here. */
  #from: BlockTableReader | undefined;
  #positionsFrom: number[] = [];

  position(block: Uint8Array): number {
    if (this.#lastBlock !== undefined && bytesEqual(this.#lastBlock, block)) return this.#lastPosition;
    const key = Buffer.from(block.buffer, block.byteOffset, block.length).toString('latin1');
    let position = this.#positions.get(key);
    if (position === undefined) {
      position = this.#blocks.length;
      this.#positions.set(key, position);
      this.#blocks.push(block);
    }
    this.#lastBlock = block;
    this.#lastPosition = position;
    return position;
  }

  /** Writes the n-th of packed references. */
  reference(w: ByteWriter, references: References, n = 0): void {
    const last = this.#lastBlock;
    const isSame = last !== undefined && isInBlock(references, n, last);
    w.varint(isSame ? this.#lastPosition : this.position(blockOf(references, n)));
    w.varint(offsetOf(references, n)).varint(lengthOf(references, n));
    w.part(references, n * REFERENCE_BYTES + 16, DIGEST_BYTES);
  }

  /** Copies the reference that `r` is at. Answers its length. */
  copy(w: ByteWriter, from: BlockTableReader, r: ByteReader): number {
    if (from !== this.#from) {
      this.#from = from;
      this.#positionsFrom = [];
    }
    const there = r.varint();
    const position = (this.#positionsFrom[there] ??= this.position(from.block(there)));
    const offset = r.varint(BLOCK_RAW_BYTES_MAX);
    const length = r.varint(BLOCK_RAW_BYTES_MAX);
    r.check(length > 0 && offset + length <= BLOCK_RAW_BYTES_MAX, OUTSIDE);
    w.varint(position).varint(offset).varint(length).from(r, DIGEST_BYTES);
    return length;
  }

  /** The table, then what refers to it. */
  finish(header: ByteWriter, body: ByteWriter): Uint8Array {
    header.varint(this.#blocks.length);
    for (const block of this.#blocks) header.raw(block);
    return header.raw(body.view()).finish();
  }
}

export class BlockTableReader {
  readonly #blocks: Uint8Array;
  readonly #reader: ByteReader;

  constructor(reader: ByteReader) {
    this.#reader = reader;
    this.#blocks = reader.raw(reader.count(BLOCK_ID_BYTES) * BLOCK_ID_BYTES);
  }

  /** The id at `position`, a view. */
  block(position: number): Uint8Array {
    const at = position * BLOCK_ID_BYTES;
    if (at >= this.#blocks.length) this.#reader.damaged(NOT_IN_TABLE);
    return this.#blocks.subarray(at, at + BLOCK_ID_BYTES);
  }

  /** The id at `position`, to byte `at` of `target`. */
  copyBlock(position: number, target: Uint8Array, at: number): void {
    const block = position * BLOCK_ID_BYTES;
    if (block >= this.#blocks.length) this.#reader.damaged(NOT_IN_TABLE);
    for (let i = 0; i < BLOCK_ID_BYTES; i++) target[at + i] = this.#blocks[block + i]!;
  }

  /** Reads one reference into `target` at byte `at`. Answers its length. */
  reference(r: ByteReader, target: Uint8Array, at: number): number {
    this.copyBlock(r.varint(), target, at);
    const offset = r.varint(BLOCK_RAW_BYTES_MAX);
    const length = r.varint(BLOCK_RAW_BYTES_MAX);
    r.check(length > 0 && offset + length <= BLOCK_RAW_BYTES_MAX, OUTSIDE);
    r.copy(DIGEST_BYTES, target, at + 16);
    writeRange(target, at, offset, length);
    return length;
  }

  /** Passes over `n` references. */
  skip(r: ByteReader, n: number): void {
    for (let i = 0; i < n; i++) {
      r.varint();
      r.varint();
      r.varint();
      r.skip(DIGEST_BYTES);
    }
  }

  references(r: ByteReader, max?: number): References {
    const n = r.count(REFERENCE_ENCODED_BYTES_MIN, max);
    const references = new Uint8Array(n * REFERENCE_BYTES);
    for (let i = 0; i < n; i++) this.reference(r, references, i * REFERENCE_BYTES);
    return references;
  }
}

export function nodeWriter(kind: number): ByteWriter {
  return new ByteWriter(1024).u8(kind).u8(1);
}

export function expectNode(r: ByteReader, kind: number): void {
  r.check(r.u8() === kind, 'it is a node of another kind');
  r.check(r.u8() === 1, 'unknown version');
}

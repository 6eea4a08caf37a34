// Builds blocks and packs: new chunks (or nodes) are gathered in a block; a full block is compressed straight into the pack buffer and
// sealed there in place; a full pack gets its directory and trailer and is handed over. One copy of the data, no garbage of its size.

import { invariant } from '../base/invariant.ts';
import { Aead, sealOnce, TAG_BYTES } from '../codec/aead.ts';
import { ID_BYTES, objectId } from '../codec/chunk-id.ts';
import { deriveKey } from '../codec/derive.ts';
import { Compressor, compressBound } from '../codec/zstd.ts';
import {
  BLOCK_ID_BYTES,
  type Extent,
  encodeDirectory,
  encodeTrailer,
  type PackBlock,
  type PackKind,
  SESSION_BYTES,
  TRAILER_BYTES,
  writeBlockAad,
} from '../format/pack.ts';
import { writeCounter } from './dedup.ts';

const ZERO_NONCE = new Uint8Array(12);
/** A block is stored compressed only when that saves at least 3 %: otherwise reading it would pay for nothing. */
const COMPRESSED_SHARE_MAX = 0.97;
/** Bounds the directory of a pack: a block of very many tiny files is closed early. */
const EXTENTS_PER_BLOCK_MAX = 2048;
/** Room kept in a pack buffer for the directory. */
const COUNTERS_PER_WRITER = 2 ** 40;
const DIRECTORY_ROOM_BYTES = 2 * 1024 * 1024;

export type PackWriterSpec = {
  readonly kind: PackKind;
  readonly session: Uint8Array;
  readonly assetId: Uint8Array;
  /** Data key, or metadata key for nodes. */
  readonly key: Uint8Array;
  readonly directoryKey: Uint8Array;
  readonly repositoryId: Uint8Array;
  /** Keeps the counters of a session's writers apart: 0 to 255, one a writer. */
  readonly writerNumber: number;
  readonly level: number;
  /** The first so many bytes, before compression, are compressed at that level. */
  readonly levelAtFirst?: { readonly level: number; readonly bytes: number } | undefined;
  readonly blockBytes: number;
  /** Longest extent, default blockBytes: a longer one than that has a block of its own. */
  readonly extentBytesMax?: number;
  readonly packBytes: number;
};

/** A pack that is ready to be stored: bytes [0, length) of buffer `buffer`. */
export type FinishedPack = {
  readonly buffer: number;
  readonly length: number;
  readonly packId: Uint8Array;
  readonly kind: PackKind;
  /** Its directory, plain. */
  readonly directory: Uint8Array;
  /** Bytes of chunks in it, before compression. */
  readonly contentBytes: number;
};

export type PackSink = {
  /** A free buffer, or undefined when the work was given up. */
  readonly claim: () => { readonly position: number; readonly bytes: Uint8Array } | undefined;
  readonly emit: (pack: FinishedPack) => void;
  /** Fresh random bytes. */
  readonly random: (bytes: number) => Uint8Array;
};

/** Bytes that a pack buffer must have. */
export function packBufferBytes(packBytes: number, blockBytes: number): number {
  return packBytes + compressBound(blockBytes) + TAG_BYTES + DIRECTORY_ROOM_BYTES + TRAILER_BYTES;
}

export class GivenUp extends Error {
  override readonly name = 'GivenUp';
}

export class PackWriter {
  readonly #spec: PackWriterSpec;
  readonly #sink: PackSink;
  readonly #compressor: Compressor;
  readonly #aead: Aead;
  readonly #raw: Uint8Array;
  readonly #aad = new Uint8Array(BLOCK_ID_BYTES + 5);
  readonly #nonce = new Uint8Array(12);
  #rawLength = 0;
  /** Bytes until the level is that of the rest. */
  #bytesAtFirst: number;
  #extents: Extent[] = [];
  #buffer: { readonly position: number; readonly bytes: Uint8Array } | undefined;
  #packLength = 0;
  #blocks: PackBlock[] = [];
  #contentBytes = 0;
  #directoryBytes = 0;
  /** Of the block that is being filled; 48 bits. */
  blockCounter: number;

  constructor(spec: PackWriterSpec, sink: PackSink) {
    this.#spec = spec;
    this.#sink = sink;
    this.#compressor = new Compressor(spec.levelAtFirst?.level ?? spec.level);
    this.#bytesAtFirst = spec.levelAtFirst?.bytes ?? 0;
    this.#aead = new Aead(spec.key);
    this.#raw = new Uint8Array(Math.max(spec.blockBytes, spec.extentBytesMax ?? 0));
    this.blockCounter = spec.writerNumber * COUNTERS_PER_WRITER;
  }

  /** Where the next extent of the block that is being filled begins. */
  get blockLength(): number {
    return this.#rawLength;
  }

  /** Room for `length` bytes at the end of the block that is being filled; closes the block first when it has none. What is written
   *  there is kept only by `keep`. */
  room(length: number): Uint8Array {
    invariant(length <= this.#raw.length, 'a chunk fits into a block');
    if (this.#rawLength + length > this.#spec.blockBytes || this.#extents.length >= EXTENTS_PER_BLOCK_MAX) this.closeBlock();
    return this.#raw.subarray(this.#rawLength, this.#rawLength + length);
  }

  /** Keeps the first `length` bytes of the last `room` as an extent. Answers its offset in the block `blockCounter`. */
  keep(length: number, kind: number, id: Uint8Array): number {
    const offset = this.#rawLength;
    this.#rawLength += length;
    this.#extents.push({ offset, length, kind, id });
    return offset;
  }

  closeBlock(): void {
    if (this.#rawLength === 0) return;
    const { session, packBytes } = this.#spec;
    const most = compressBound(this.#rawLength) + TAG_BYTES;
    if (this.#buffer !== undefined && (this.#packLength >= packBytes || this.#directoryBytes > DIRECTORY_ROOM_BYTES / 2))
      this.closePack();
    this.#buffer ??= this.#sink.claim();
    if (this.#buffer === undefined) throw new GivenUp('The backup was given up');
    const { bytes } = this.#buffer;
    invariant(this.#packLength + most <= bytes.length, 'a pack buffer has room for one more block');

    const raw = this.#raw.subarray(0, this.#rawLength);
    const target = bytes.subarray(this.#packLength, this.#packLength + most);
    let length = this.#compressor.compress(target, raw);
    if (this.#bytesAtFirst > 0) {
      this.#bytesAtFirst -= raw.length;
      if (this.#bytesAtFirst <= 0) this.#compressor.level = this.#spec.level;
    }
    const codec = length <= raw.length * COMPRESSED_SHARE_MAX ? 1 : 0;
    if (codec === 0) {
      target.set(raw);
      length = raw.length;
    }
    const id = new Uint8Array(BLOCK_ID_BYTES);
    id.set(session);
    writeCounter(id, SESSION_BYTES, this.blockCounter);
    const sealingCounter = id.subarray(SESSION_BYTES);
    writeBlockAad(this.#aad, id, raw.length, codec);
    this.#nonce.set(sealingCounter, 6);
    const storedLength = this.#aead.seal(target, target.subarray(0, length), this.#nonce, this.#aad);
    this.#blocks.push({
      id,
      offset: this.#packLength,
      storedLength,
      rawLength: raw.length,
      codec,
      sealedBy: 0,
      sealingCounter,
      extents: this.#extents,
    });
    this.#packLength += storedLength;
    this.#contentBytes += raw.length;
    this.#directoryBytes += 48 + this.#extents.length * (ID_BYTES + 8);
    this.#rawLength = 0;
    this.#extents = [];
    this.blockCounter++;
    invariant(this.blockCounter % COUNTERS_PER_WRITER !== 0, 'a writer has counters left');
  }

  closePack(): void {
    const { kind, session, assetId, directoryKey, repositoryId } = this.#spec;
    if (this.#buffer === undefined) return;
    const { position, bytes } = this.#buffer;
    const directory = encodeDirectory({ sessions: [{ session, assetId }], blocks: this.#blocks });
    const salt = this.#sink.random(16);
    const length = appendDirectory(bytes, this.#packLength, {
      kind,
      directory,
      blockCount: this.#blocks.length,
      session,
      salt,
      directoryKey,
      repositoryId,
    });
    const packId = objectId(bytes.subarray(0, length));
    this.#sink.emit({ buffer: position, length, packId, kind, directory, contentBytes: this.#contentBytes });
    this.#buffer = undefined;
    this.#packLength = 0;
    this.#blocks = [];
    this.#contentBytes = 0;
    this.#directoryBytes = 0;
  }

  /** Closes what is open. */
  flush(): void {
    this.closeBlock();
    this.closePack();
  }

  close(): void {
    this.#compressor.close();
    this.#aead.close();
  }
}

type DirectoryDetails = {
  readonly kind: PackKind;
  readonly directory: Uint8Array;
  readonly blockCount: number;
  readonly session: Uint8Array;
  readonly salt: Uint8Array;
  readonly directoryKey: Uint8Array;
  readonly repositoryId: Uint8Array;
};

/** Writes the sealed directory and the trailer behind the blocks. Answers the pack's length. */
export function appendDirectory(pack: Uint8Array, blocksLength: number, details: DirectoryDetails): number {
  const { kind, directory, blockCount, session, salt } = details;
  const directoryLength = directory.length + TAG_BYTES;
  const trailer = encodeTrailer({ kind, directoryLength, blockCount, session, salt });
  const key = deriveKey(details.directoryKey, details.repositoryId, 'pack', salt);
  invariant(blocksLength + directoryLength + TRAILER_BYTES <= pack.length, 'a pack buffer has room for the directory');
  pack.set(sealOnce(key, ZERO_NONCE, directory, trailer), blocksLength);
  pack.set(trailer, blocksLength + directoryLength);
  return blocksLength + directoryLength + TRAILER_BYTES;
}

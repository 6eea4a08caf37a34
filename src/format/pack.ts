// Packs: sealed blocks, a sealed directory, a clear trailer. See README.md, "Packs".

import { invariant } from '../base/invariant.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

export const PACK_VERSION = 1;
export const TRAILER_BYTES = 64;
export const SESSION_BYTES = 10;
export const BLOCK_ID_BYTES = 16;
export const BLOCK_RAW_BYTES_MAX = 8 * 1024 * 1024;
export const PACK_BYTES_MAX = 256 * 1024 * 1024;
/** Writers close a pack when its directory reaches a quarter of this. */
export const DIRECTORY_BYTES_MAX = 4 * 1024 * 1024;

/** Of AES-GCM, behind everything that is sealed. */
const TAG_BYTES = 16;
/** Writers stay far below: their directories have 1 MiB. */
const BLOCKS_PER_PACK_MAX = 65_536;
const MAGIC = [0x48, 0x46, 0x50, 0x4b];

export type PackKind = 'data' | 'metadata';
export const EXTENT_CHUNK = 0;
export const EXTENT_GROUP = 1;
export const EXTENT_NODE = 2;

export type Extent = {
  readonly offset: number;
  readonly length: number;
  readonly kind: number;
  /** 32 bytes. */
  readonly id: Uint8Array;
};

export type PackBlock = {
  /** 16 bytes: the session that first made the block, and its counter there. */
  readonly id: Uint8Array;
  /** In the pack, bytes. */
  readonly offset: number;
  /** With the tag. */
  readonly storedLength: number;
  readonly rawLength: number;
  /** 0 as it is, 1 zstd. */
  readonly codec: number;
  /** Whose key sealed it: position in `sessions`. */
  readonly sealedBy: number;
  /** 6 bytes. */
  readonly sealingCounter: Uint8Array;
  readonly extents: readonly Extent[];
};

export type SealingSession = {
  /** 10 bytes. */
  readonly session: Uint8Array;
  /** 16 bytes. */
  readonly assetId: Uint8Array;
};

export type PackDirectory = { readonly sessions: readonly SealingSession[]; readonly blocks: readonly PackBlock[] };

export type PackTrailer = {
  readonly kind: PackKind;
  readonly directoryLength: number;
  readonly blockCount: number;
  /** 10 bytes: who wrote the pack. */
  readonly session: Uint8Array;
  /** 16 bytes. */
  readonly salt: Uint8Array;
};

export function encodeDirectory(directory: PackDirectory): Uint8Array {
  invariant(directory.blocks.length <= BLOCKS_PER_PACK_MAX, 'a pack has at most 65,536 blocks');
  const w = new ByteWriter(4096);
  w.u8(PACK_VERSION).varint(directory.sessions.length);
  for (const { session, assetId } of directory.sessions) w.raw(session).raw(assetId);
  w.varint(directory.blocks.length);
  for (const block of directory.blocks) {
    w.raw(block.id)
      .varint(block.storedLength)
      .varint(block.rawLength)
      .u8(block.codec)
      .varint(block.sealedBy)
      .raw(block.sealingCounter);
    w.varint(block.extents.length);
    for (const extent of block.extents) w.varint(extent.offset).varint(extent.length).u8(extent.kind).raw(extent.id);
  }
  invariant(w.length <= DIRECTORY_BYTES_MAX, 'a directory has at most 4 MiB');
  return w.finish();
}

export function decodeDirectory(bytes: Uint8Array, what = 'A pack directory'): PackDirectory {
  const r = new ByteReader(bytes, what);
  r.check(bytes.length <= DIRECTORY_BYTES_MAX, 'it is too long');
  r.check(r.u8() === PACK_VERSION, 'unknown version');
  const sessions: SealingSession[] = [];
  for (let n = r.count(26); n > 0; n--) sessions.push({ session: r.raw(SESSION_BYTES), assetId: r.raw(16) });
  const blocks: PackBlock[] = [];
  let offset = 0;
  for (let n = r.count(27, BLOCKS_PER_PACK_MAX); n > 0; n--) {
    const id = r.raw(BLOCK_ID_BYTES);
    const storedLength = r.varint(PACK_BYTES_MAX);
    const rawLength = r.varint(BLOCK_RAW_BYTES_MAX);
    const codec = r.u8();
    r.check(codec <= 1, 'unknown codec');
    const length = storedLength - TAG_BYTES;
    r.check(rawLength > 0 && (codec === 0 ? length === rawLength : length > 0), 'a block has an impossible length');
    r.check(offset + storedLength <= PACK_BYTES_MAX, 'its blocks are longer than a pack can be');
    const sealedBy = r.varint();
    r.check(sealedBy < sessions.length, 'unknown sealing session');
    const sealingCounter = r.raw(6);
    const extents = decodeExtents(r, rawLength);
    blocks.push({ id, offset, storedLength, rawLength, codec, sealedBy, sealingCounter, extents });
    offset += storedLength;
  }
  r.end();
  return { sessions, blocks };
}

/** Length of the pack that holds this directory and the blocks that it names. */
export function packLengthOf({ blocks }: PackDirectory, directoryBytes: number): number {
  const last = blocks.at(-1);
  return (last === undefined ? 0 : last.offset + last.storedLength) + directoryBytes + TAG_BYTES + TRAILER_BYTES;
}

function decodeExtents(r: ByteReader, rawLength: number): Extent[] {
  const extents: Extent[] = [];
  let end = 0;
  for (let n = r.count(35); n > 0; n--) {
    const offset = r.varint(rawLength);
    const length = r.varint(rawLength);
    const kind = r.u8();
    r.check(kind <= EXTENT_NODE, 'unknown kind of extent');
    r.check(offset >= end && offset + length <= rawLength && length > 0, 'extents overlap or leave their block');
    end = offset + length;
    extents.push({ offset, length, kind, id: r.raw(32) });
  }
  return extents;
}

export function encodeTrailer(trailer: PackTrailer): Uint8Array {
  const w = new ByteWriter(TRAILER_BYTES);
  for (const byte of MAGIC) w.u8(byte);
  w.u8(PACK_VERSION)
    .u8(trailer.kind === 'data' ? 0 : 1)
    .u8(0)
    .u8(0);
  w.u32(trailer.directoryLength).u32(trailer.blockCount);
  w.raw(trailer.session).raw(new Uint8Array(6)).raw(trailer.salt).raw(new Uint8Array(16));
  return w.finish();
}

export function decodeTrailer(bytes: Uint8Array, what = 'A pack'): PackTrailer {
  const r = new ByteReader(bytes, what);
  r.check(bytes.length === TRAILER_BYTES, 'its trailer is cut off');
  r.check(
    MAGIC.every((byte) => r.u8() === byte),
    'it has no trailer',
  );
  r.check(r.u8() === PACK_VERSION, 'unknown version');
  const kind = r.u8();
  r.check(kind <= 1 && r.u8() === 0 && r.u8() === 0, 'unknown kind');
  const directoryLength = r.u32();
  const blockCount = r.u32();
  r.check(directoryLength <= DIRECTORY_BYTES_MAX, 'its directory is too long');
  const session = r.raw(SESSION_BYTES);
  r.raw(6);
  const salt = r.raw(16);
  return { kind: kind === 0 ? 'data' : 'metadata', directoryLength, blockCount, session, salt };
}

/** Associated data of a block: block id (16), u32 raw length, u8 codec. */
export function writeBlockAad(aad: Uint8Array, blockId: Uint8Array, rawLength: number, codec: number): void {
  aad.set(blockId);
  for (let i = 0; i < 4; i++) aad[BLOCK_ID_BYTES + i] = rawLength >>> (8 * i);
  aad[BLOCK_ID_BYTES + 4] = codec;
}

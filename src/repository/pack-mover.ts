// Moves blocks to new packs. A sealed block is copied as it is: nothing in it depends on its pack. A block of which little is needed is
// opened and sealed anew, with the rest zeroed, by a key of this session's own: same block id, same offsets, other nonce.
//
// A pack is read whole and its name proven first: what is copied without being opened must not carry damage under a new name.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { Aead, TAG_BYTES } from '../codec/aead.ts';
import { objectId } from '../codec/chunk-id.ts';
import { Compressor, compressBound } from '../codec/zstd.ts';
import type { IndexedPack } from '../format/index-object.ts';
import {
  BLOCK_ID_BYTES,
  decodeTrailer,
  EXTENT_CHUNK,
  EXTENT_GROUP,
  type Extent,
  encodeDirectory,
  type PackBlock,
  type PackDirectory,
  type PackKind,
  type SealingSession,
  TRAILER_BYTES,
  writeBlockAad,
} from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { BlockOpener } from '../worker/block-opener.ts';
import { appendDirectory } from '../worker/pack-writer.ts';
import { contentBytesOf } from './block-copies.ts';
import { LEAN_SHARE_MAX } from './census.ts';
import type { Keyring, Random } from './keyring.ts';
import { hex, packKey } from './layout.ts';
import { rangeBytes } from './live-ranges.ts';
import { openPackDirectory } from './pack-directory.ts';
import { readAnew } from './read-anew.ts';
import type { SessionKeyCache } from './session-keys.ts';
import type { SessionSealing } from './session-sealing.ts';

const LEVEL = 3;
/** As in a backup: blocks are stored compressed when that saves 3 %. */
const COMPRESSED_SHARE_MAX = 0.97;
const DIRECTORY_BYTES_MAX = 1024 * 1024;
const DIRECTORY_ROOM_BYTES = 2 * 1024 * 1024;

export type MoverOptions = {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly keys: SessionKeyCache;
  readonly repositoryId: Uint8Array;
  /** Of the maintenance session, which writes the packs. */
  readonly sealing: SessionSealing;
  readonly random: Random;
  readonly unitBytes: number;
  readonly fullBytes: Readonly<Record<PackKind, number>>;
  readonly signal?: AbortSignal | undefined;
};

/** A pack in memory, its name proven. */
export type OpenPack = { readonly bytes: Uint8Array; readonly kind: PackKind; readonly directory: PackDirectory };

/** What is needed of a block: position in its pack, pairs of begin and end. */
export type NeededBlock = { readonly position: number; readonly ranges: readonly number[] };

/** Reads a stored pack and proves it. FORMAT_DAMAGED, STORE_NOT_FOUND. */
export async function readPack(store: ObjectStore, keyring: Keyring, packId: Uint8Array, options?: CallOptions): Promise<OpenPack> {
  const what = `The pack ${hex(packId)}`;
  return readAnew(async () => {
    const bytes = await store.get(packKey(packId), undefined, options);
    if (!bytesEqual(objectId(bytes), packId))
      throw new Fault('FORMAT_DAMAGED', `${what} is damaged: its bytes are not those that its name says`);
    return openPack(bytes, keyring, what);
  });
}

/** From bytes whose name is not proven, or does not hold: whatever opens is what was written. */
export function openPack(bytes: Uint8Array, keyring: Keyring, what: string): OpenPack {
  if (bytes.length < TRAILER_BYTES) throw new Fault('FORMAT_DAMAGED', `${what} is cut off: it has ${bytes.length} bytes`);
  const trailer = decodeTrailer(bytes.subarray(bytes.length - TRAILER_BYTES), what);
  const tailLength = trailer.directoryLength + TRAILER_BYTES;
  if (tailLength > bytes.length) throw new Fault('FORMAT_DAMAGED', `${what} is cut off: its directory is longer than the pack`);
  const { directory } = openPackDirectory(bytes.subarray(bytes.length - tailLength), trailer, keyring, what);
  return { bytes, kind: trailer.kind, directory };
}

type OpenTarget = {
  readonly bytes: Uint8Array;
  length: number;
  directoryBytes: number;
  readonly sessions: SealingSession[];
  readonly blocks: PackBlock[];
};

/** A block of which only the extents that are needed are left. */
type LeanBlock = { readonly raw: Uint8Array; readonly extents: readonly Extent[] };

export class PackMover {
  readonly #options: MoverOptions;
  readonly #targets = new Map<PackKind, OpenTarget>();
  readonly #spares = new Map<PackKind, Uint8Array>();
  readonly #opener = new BlockOpener();
  readonly #compressor = new Compressor(LEVEL);
  readonly #aads = new Uint8Array(BLOCK_ID_BYTES + 5);
  readonly #nonce = new Uint8Array(12);
  /** Of a block that is being written anew, and of the one after it. */
  readonly #raws = [new Uint8Array(0), new Uint8Array(0)];
  /** The block that is being compressed, on a thread of its own while the next one is opened here. */
  #writing: Promise<void> = Promise.resolve();
  /** Stored packs, to be named by index objects. */
  readonly packs: IndexedPack[] = [];
  bytesWritten = 0;
  blocksMoved = 0;
  /** Of those, without what is not needed. */
  blocksWrittenAnew = 0;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  /** Moves blocks of one pack. One call at a time. `isLean`: blocks of which little is needed are written anew; what does not open is
   *  moved as it is. */
  async move(pack: OpenPack, needed: readonly NeededBlock[], isLean: boolean): Promise<void> {
    try {
      for (const { position, ranges } of needed) {
        const block = pack.directory.blocks[position];
        invariant(block !== undefined, 'a plan names blocks of the pack');
        const sealed = pack.bytes.subarray(block.offset, block.offset + block.storedLength);
        const isHollow = isLean && rangeBytes(ranges) < LEAN_SHARE_MAX * contentBytesOf(block);
        const lean = isHollow ? await this.#open(pack, block, sealed, ranges) : undefined;
        await this.#writing;
        const target = await this.#target(pack.kind, block);
        const sealing = pack.directory.sessions[block.sealedBy]!;
        if (lean === undefined) this.#append(target, sealing, { ...block, ...this.#copy(target, sealed) });
        else {
          this.#writing = this.#writeAnew(target, pack.kind, block, sealing.assetId, lean);
          // It is awaited above or below, and fails there.
          this.#writing.catch(() => {});
          this.blocksWrittenAnew++;
        }
        this.blocksMoved++;
      }
    } finally {
      const writing = this.#writing;
      this.#writing = Promise.resolve();
      await writing;
    }
  }

  /** Stores what is not full. */
  async finish(): Promise<void> {
    for (const kind of [...this.#targets.keys()]) await this.#close(kind);
  }

  close(): void {
    this.#opener.close();
    this.#compressor.close();
  }

  async #target(kind: PackKind, block: PackBlock): Promise<OpenTarget> {
    const { fullBytes } = this.#options;
    const room = compressBound(Math.max(block.rawLength, block.storedLength)) + TAG_BYTES;
    const open = this.#targets.get(kind);
    if (open !== undefined) {
      const isFull = open.length + room > fullBytes[kind] || open.directoryBytes > DIRECTORY_BYTES_MAX;
      if (!isFull || open.blocks.length === 0) return open;
      await this.#close(kind);
    }
    const capacity = Math.max(fullBytes[kind], room) + DIRECTORY_ROOM_BYTES;
    const spare = this.#spares.get(kind);
    const bytes = spare !== undefined && spare.length >= capacity ? spare : new Uint8Array(capacity);
    const target = { bytes, length: 0, directoryBytes: 0, sessions: [], blocks: [] };
    this.#targets.set(kind, target);
    return target;
  }

  #copy(target: OpenTarget, sealed: Uint8Array): { readonly offset: number; readonly storedLength: number } {
    target.bytes.set(sealed, target.length);
    return { offset: target.length, storedLength: sealed.length };
  }

  #append(target: OpenTarget, sealing: SealingSession, block: PackBlock): void {
    let sealedBy = target.sessions.findIndex(
      (one) => bytesEqual(one.session, sealing.session) && bytesEqual(one.assetId, sealing.assetId),
    );
    if (sealedBy === -1) sealedBy = target.sessions.push(sealing) - 1;
    target.blocks.push({ ...block, sealedBy });
    target.length += block.storedLength;
    target.directoryBytes += 64 + block.extents.length * 40;
  }

  /** Opens the block into the buffer that is not being compressed, with what is not in `ranges` zeroed; undefined when nothing can be. */
  async #open(pack: OpenPack, block: PackBlock, sealed: Uint8Array, ranges: readonly number[]): Promise<LeanBlock | undefined> {
    const { session, assetId } = pack.directory.sessions[block.sealedBy]!;
    const key = await this.#keyOf(pack.kind, session, assetId);
    if (this.#raws[1]!.length < block.rawLength) this.#raws[1] = new Uint8Array(block.rawLength);
    const raw = this.#raws[1]!.subarray(0, block.rawLength);
    if (key === undefined || !this.#opener.open(raw, sealed, { ...block, key })) return undefined;
    const extents = this.#survivors(raw, block.extents, ranges);
    if (extents === undefined) return undefined;
    zeroBetween(raw, extents);
    return { raw, extents };
  }

  /** Writes the block at the target's end, of which nothing else is asked until then. */
  async #writeAnew(target: OpenTarget, kind: PackKind, block: PackBlock, assetId: Uint8Array, lean: LeanBlock): Promise<void> {
    this.#raws.reverse();
    const { raw, extents } = lean;
    const sealed = await this.#seal(target, kind, block.id, raw, assetId);
    this.#append(target, { session: this.#options.sealing.session, assetId }, { ...block, ...sealed, extents });
  }

  /** Undefined when the key is lost. */
  async #keyOf(kind: PackKind, session: Uint8Array, assetId: Uint8Array): Promise<Uint8Array | undefined> {
    const { keys, signal } = this.#options;
    if (kind === 'metadata') return keys.metadataKey(session, assetId);
    try {
      return await keys.dataKey(session, signal === undefined ? undefined : { signal });
    } catch (error) {
      if (isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED', 'KEY_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async #seal(
    target: OpenTarget,
    kind: PackKind,
    blockId: Uint8Array,
    raw: Uint8Array,
    assetId: Uint8Array,
  ): Promise<Pick<PackBlock, 'offset' | 'storedLength' | 'codec' | 'sealingCounter'>> {
    const { sealing, signal } = this.#options;
    const key = await sealing.keyFor(kind, assetId, signal === undefined ? undefined : { signal });
    const room = target.bytes.subarray(target.length, target.length + compressBound(raw.length) + TAG_BYTES);
    let length = await this.#compressor.compressAside(room, raw);
    const codec = length <= raw.length * COMPRESSED_SHARE_MAX ? 1 : 0;
    if (codec === 0) {
      room.set(raw);
      length = raw.length;
    }
    const sealingCounter = sealing.nextCounter();
    this.#nonce.set(sealingCounter, 6);
    writeBlockAad(this.#aads, blockId, raw.length, codec);
    const aead = new Aead(key);
    try {
      const storedLength = aead.seal(room, room.subarray(0, length), this.#nonce, this.#aads);
      return { offset: target.length, storedLength, codec, sealingCounter };
    } finally {
      aead.close();
    }
  }

  /** Extents of which something is needed; of groups only the units that are, as chunks of their own. Undefined when that is all of it. */
  #survivors(raw: Uint8Array, extents: readonly Extent[], ranges: readonly number[]): Extent[] | undefined {
    const survivors: Extent[] = [];
    let at = 0;
    let covered = 0;
    for (const extent of extents) {
      const end = extent.offset + extent.length;
      while (at < ranges.length && ranges[at + 1]! <= extent.offset) at += 2;
      if (at >= ranges.length || ranges[at]! >= end) continue;
      const isWhole = ranges[at]! <= extent.offset && ranges[at + 1]! >= end;
      if (isWhole || extent.kind !== EXTENT_GROUP) survivors.push(extent);
      else survivors.push(...this.#neededUnits(raw, extent, ranges, at));
    }
    for (const { length } of survivors) covered += length;
    // What is needed and in no extent would be lost.
    let needed = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      for (const { offset, length } of survivors)
        needed += Math.max(0, Math.min(ranges[i + 1]!, offset + length) - Math.max(ranges[i]!, offset));
      needed -= ranges[i + 1]! - ranges[i]!;
    }
    return needed < 0 || covered === raw.length ? undefined : survivors;
  }

  #neededUnits(raw: Uint8Array, extent: Extent, ranges: readonly number[], from: number): Extent[] {
    const { unitBytes, keyring } = this.#options;
    const units: Extent[] = [];
    const end = extent.offset + extent.length;
    let at = from;
    for (let offset = extent.offset; offset < end; offset += unitBytes) {
      const length = Math.min(unitBytes, end - offset);
      while (at < ranges.length && ranges[at + 1]! <= offset) at += 2;
      if (at >= ranges.length) break;
      if (ranges[at]! < offset + length)
        units.push({
          offset,
          length,
          kind: EXTENT_CHUNK,
          id: Uint8Array.from(keyring.ids.id(raw.subarray(offset, offset + length))),
        });
    }
    return units;
  }

  async #close(kind: PackKind): Promise<void> {
    const target = this.#targets.get(kind);
    if (target === undefined || target.blocks.length === 0) return;
    this.#targets.delete(kind);
    const { store, keyring, sealing, repositoryId, random, signal } = this.#options;
    const { session } = sealing;
    const directory = encodeDirectory({ sessions: target.sessions, blocks: target.blocks });
    const details = {
      kind,
      directory,
      blockCount: target.blocks.length,
      session,
      salt: random(16),
      directoryKey: keyring.directoryKey,
      repositoryId,
    };
    const packLength = appendDirectory(target.bytes, target.length, details);
    const bytes = target.bytes.subarray(0, packLength);
    const packId = objectId(bytes);
    await store.put(packKey(packId), bytes, { isNamed: true, ...(signal && { signal }) });
    this.#spares.set(kind, target.bytes);
    this.packs.push({ packId, kind, packLength, session, directory });
    this.bytesWritten += packLength;
  }
}

function zeroBetween(raw: Uint8Array, extents: readonly Extent[]): void {
  let end = 0;
  for (const { offset, length } of extents) {
    raw.fill(0, end, offset);
    end = offset + length;
  }
  raw.fill(0, end);
}

// What the index holds, set against what is needed and what the store lists: the material of a prune's plan, in three passes over sorted
// files on local disk.
//
//   packs   the index objects are read once; each pack gets an ordinal and a few numbers (pack-stats.ts), its blocks and its id are sorted
//   names   ids of packs beside ids that the store lists: packs that two index objects name, packs that none names
//   blocks  blocks beside the ranges that maps refer to: how much of each pack is needed

import { setImmediate as letOthersWork } from 'node:timers/promises';
import { Fault } from '../base/faults.ts';
import type { Head, IndexRef } from '../format/head.ts';
import { directoryOf } from '../format/index-object.ts';
import { ExternalSorter } from '../index/external-sort.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { BlockCopies, type BlockCopy } from './block-copies.ts';
import { type IndexPlace, readIndexes } from './index-stream.ts';
import { hex, PACKS_PREFIX, unhex } from './layout.ts';
import { type LiveRanges, rangeBytes, type SortPlace } from './live-ranges.ts';
import { PackStats } from './pack-stats.ts';
import { RecordCursor } from './record-cursor.ts';

const PACK_KEY = /^packs\/[0-9a-f]{2}\/([0-9a-f]{64})$/;
const SLICE_BLOCKS = 50_000;
/** A block of which less is needed is written anew when its pack is moved. Dead ranges are scattered over blocks: with 0.5, of a tree that
 *  had lost every second file a third of what was stored stayed unused; opening and sealing costs 6 ms a block. */
export const LEAN_SHARE_MAX = 0.9;
/** What a block that is written anew takes beside its share: a frame of zeros, the tag. */
const LEAN_OVERHEAD_BYTES = 96;

/** The ordinal of packs that are condemned and not settled: they are not this plan's, and what they hold is not lost. */
const CONDEMNED = 0xffff_ffff;

/** Ids of packs with a number: of a listing the size, of an index the ordinal. Big-endian u32 behind the id. */
const NAME_RECORD_BYTES = 36;
const NAME_KEY_BYTES = 36;
const ID_BYTES = 32;

/** Ordinal, position, begin and end of a range that is needed; u32 each, big-endian. */
export const DETAIL_RECORD_BYTES = 16;
const DETAIL_KEY_BYTES = 12;

export type ListedPack = { readonly id: string; readonly sizeBytes: number };

/** Packs that the store lists. */
export class PackListing {
  readonly sorter: ExternalSorter;
  readonly #record = new Uint8Array(NAME_RECORD_BYTES);
  readonly #numbers = new DataView(this.#record.buffer);

  constructor(place: SortPlace) {
    this.sorter = new ExternalSorter({ ...place, recordBytes: NAME_RECORD_BYTES, keyBytes: NAME_KEY_BYTES });
  }

  /** With their sizes. */
  static async read(store: ObjectStore, place: SortPlace, options?: CallOptions): Promise<PackListing> {
    const listing = new PackListing(place);
    for await (const page of store.list(PACKS_PREFIX, options)) {
      for (const { key, sizeBytes } of page) {
        const id = PACK_KEY.exec(key)?.[1];
        if (id !== undefined) listing.add(unhex(id), Math.min(sizeBytes, 2 ** 32 - 1));
      }
    }
    return listing;
  }

  add(packId: Uint8Array, number: number): void {
    this.#record.set(packId);
    this.#numbers.setUint32(ID_BYTES, number);
    this.sorter.push(this.#record);
  }
}

export type CensusDetails = {
  readonly repository: IndexPlace;
  readonly head: Head;
  /** Read to its end here. */
  readonly ranges: LiveRanges;
  /** Read to its end here. */
  readonly listing: PackListing;
  readonly sort: SortPlace;
};

export type Census = {
  readonly stats: PackStats;
  /** Ordinal of the first pack of each index object of the head. */
  readonly firstPacks: readonly number[];
  /** Ordinals of packs that are named twice, and of the name that counts. */
  readonly duplicates: ReadonlyMap<number, number>;
  /** Packs that are listed and in no index object of the head. */
  readonly unnamed: readonly ListedPack[];
  /** Sessions (hex) whose key sealed a block of the index, or that wrote a pack. */
  readonly sealing: ReadonlySet<string>;
  /** Ranges that are needed, by pack and position; to be read to the end or closed. */
  readonly details: ExternalSorter;
};

/** FORMAT_DAMAGED when something is needed that is in no pack of the index: nothing may be deleted then. */
export async function takeCensus(details: CensusDetails, options?: CallOptions): Promise<Census> {
  const { repository, head, sort, ranges, listing } = details;
  const stats = new PackStats();
  const copies = new BlockCopies(sort);
  const names = new PackListing(sort);
  const needed = new ExternalSorter({ ...sort, recordBytes: DETAIL_RECORD_BYTES, keyBytes: DETAIL_KEY_BYTES });
  const sealing = new Set<string>();
  const running = new Set(head.writers.map(({ session }) => session));
  try {
    const firstPacks: number[] = [];
    for await (const { packs } of readIndexes(repository, head.indexes, options)) {
      const index = firstPacks.push(stats.count) - 1;
      for (const { packId, kind, packLength, session, directory: bytes } of packs) {
        const directory = directoryOf({ packId, kind, packLength, session, directory: bytes });
        const blocksBytes = directory.blocks.reduce((sum, block) => sum + block.storedLength, 0);
        const writer = hex(session);
        const pack = stats.add({ kind, packLength, blocksBytes, index, isKept: running.has(writer) });
        names.add(packId, pack);
        copies.addPack(pack, directory);
        sealing.add(writer);
        for (const one of directory.sessions) sealing.add(hex(one.session));
      }
    }
    for await (const { packs } of readIndexes(repository, unsettledIndexes(head), options)) {
      for (const pack of packs) copies.addPack(CONDEMNED, directoryOf(pack));
    }
    const { unnamed, duplicates } = joinNames(stats, names, listing);
    await joinBlocks(stats, copies, ranges, needed, options);
    return { stats, firstPacks, duplicates, unnamed, sealing, details: needed };
  } catch (error) {
    needed.close();
    throw error;
  } finally {
    copies.close();
    names.sorter.close();
    ranges.close();
    listing.sorter.close();
  }
}

/** What left the live index with condemnations that are not settled. */
function unsettledIndexes({ condemned }: Head): IndexRef[] {
  return condemned.flatMap(({ awaits, indexes }) => (awaits.length > 0 ? indexes : []));
}

function joinNames(stats: PackStats, names: PackListing, listing: PackListing): Pick<Census, 'unnamed' | 'duplicates'> {
  const unnamed: ListedPack[] = [];
  const duplicates = new Map<number, number>();
  let first = 0;
  const named = new RecordCursor(names.sorter.sorted(), NAME_RECORD_BYTES);
  const listed = new RecordCursor(listing.sorter.sorted(), NAME_RECORD_BYTES);
  const latest = new Uint8Array(ID_BYTES);
  let isAny = false;
  named.next();
  // A listing may repeat itself: an id counts once.
  for (listed.next(); named.isThere || listed.isThere; ) {
    const order = !named.isThere
      ? 1
      : !listed.isThere
        ? -1
        : named.compare(listed.bytes.subarray(listed.at, listed.at + ID_BYTES), ID_BYTES);
    const cursor = order <= 0 ? named : listed;
    const isRepeated = isAny && cursor.compare(latest, ID_BYTES) === 0;
    if (order <= 0) {
      const pack = cursor.u32(ID_BYTES);
      if (isRepeated) {
        stats.markDuplicate(pack);
        duplicates.set(pack, first);
      } else first = pack;
    } else if (!isRepeated) unnamed.push({ id: hex(cursor.slice(0, ID_BYTES)), sizeBytes: cursor.u32(ID_BYTES) });
    latest.set(cursor.bytes.subarray(cursor.at, cursor.at + ID_BYTES));
    isAny = true;
    cursor.next();
  }
  return { unnamed, duplicates };
}

async function joinBlocks(
  stats: PackStats,
  copies: BlockCopies,
  ranges: LiveRanges,
  details: ExternalSorter,
  options?: CallOptions,
): Promise<void> {
  const groups = copies.groups();
  const live = ranges.blocks();
  const record = new Uint8Array(DETAIL_RECORD_BYTES);
  const numbers = new DataView(record.buffer);
  let isLive = live.next();
  let done = 0;
  while (groups.next()) {
    if (++done % SLICE_BLOCKS === 0) {
      await letOthersWork();
      options?.signal?.throwIfAborted();
    }
    if (!isLive) continue;
    const order = Buffer.compare(live.block, groups.block);
    if (order < 0) throw absent(live.block);
    if (order > 0) continue;
    const copiesThere = groups.copies.filter(({ pack }) => pack !== CONDEMNED && !stats.isDuplicate(pack));
    for (const copy of groups.needed(copiesThere)) {
      count(stats, copy, live.block, live.ranges);
      for (let i = 0; i < live.ranges.length; i += 2) {
        numbers.setUint32(0, copy.pack);
        numbers.setUint32(4, copy.position);
        numbers.setUint32(8, live.ranges[i]!);
        numbers.setUint32(12, live.ranges[i + 1]!);
        details.push(record);
      }
    }
    isLive = live.next();
  }
  if (isLive) throw absent(live.block);
}

function count(
  stats: PackStats,
  { pack, storedLength, rawLength, contentBytes }: BlockCopy,
  block: Uint8Array,
  ranges: readonly number[],
): void {
  if (ranges.at(-1)! > rawLength) throw new Fault('FORMAT_DAMAGED', `A map refers to bytes behind the end of block ${hex(block)}`);
  const share = Math.min(1, rangeBytes(ranges) / contentBytes);
  const lean = share < LEAN_SHARE_MAX ? Math.min(storedLength, share * storedLength + LEAN_OVERHEAD_BYTES) : storedLength;
  stats.addBlock(pack, storedLength, share * storedLength, lean);
}

function absent(block: Uint8Array): Fault {
  return new Fault(
    'FORMAT_DAMAGED',
    `Block ${hex(block)} is needed by a snapshot and is in no pack of the index; nothing was deleted`,
    {
      hint: 'Run "holdfast repair", or "holdfast verify" to see which snapshots need it.',
    },
  );
}

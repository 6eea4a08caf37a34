// The structure of a repository: every index object opens, every pack that they name is there with its length, every map of every snapshot
// can be walked, and every reference in them leads into a block of a pack that is there. Bounded memory; packs are not read.

import { setImmediate as letOthersWork } from 'node:timers/promises';
import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { Head, IndexRef } from '../format/head.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { loadChecksum } from '../index/checksum.ts';
import { digestOf } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { BlockCopies } from '../repository/block-copies.ts';
import { PackListing } from '../repository/census.ts';
import { readableIndexes, rootsOf } from '../repository/head-changes.ts';
import { readIndexObject } from '../repository/index-objects.ts';
import { hex, packKey } from '../repository/layout.ts';
import { LiveRanges, type SortPlace } from '../repository/live-ranges.ts';
import { type MapNode, MapWalker, rootNode } from '../repository/map-walk.ts';
import { MapReader } from '../repository/reading.ts';
import { RecordCursor } from '../repository/record-cursor.ts';
import type { Repository } from '../repository/repository.ts';
import { readSnapshot } from '../repository/snapshots.ts';
import { sortDirectory } from '../repository/sort-directory.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { DamageList, VerifyProgress } from './verify-report.ts';

const NAME_RECORD_BYTES = 36;
const ID_BYTES = 32;
const SIZES_IN_FLIGHT_MAX = 16;
const SLICE_BLOCKS = 50_000;

/** Faults that mean damage of the thing at hand; all others end the verification. */
export const isDamage = (error: unknown): boolean =>
  isFault(
    error,
    'FORMAT_DAMAGED',
    'FORMAT_TOO_NEW',
    'SNAPSHOT_DAMAGED',
    'STORE_NOT_FOUND',
    'STORE_CORRUPT_ANSWER',
    'KEY_NOT_FOUND',
    'STORE_BAD_KEY',
  );

export type Structure = {
  readonly head: Head;
  /** Index objects that can be read. */
  readonly indexes: readonly IndexRef[];
  /** Snapshots that can be read. */
  readonly snapshots: readonly Snapshot[];
  /** Sessions of those that cannot. */
  readonly unreadable: readonly string[];
  readonly nodes: number;
  readonly packs: number;
  readonly bytes: number;
};

export type KnownPacks = Pick<Structure, 'indexes' | 'packs' | 'bytes'>;

/** `willRead`: every pack is read as well, and that will tell which blocks of one with a wrong length are good. `onPacks` is called when it is
 *  known which packs there are; reading them can begin then, while maps are walked. */
export async function verifyStructure(
  repository: Repository,
  damage: DamageList,
  progress: VerifyProgress,
  willRead: boolean,
  options?: CallOptions,
  onPacks?: (packs: KnownPacks) => void,
): Promise<Structure> {
  const sort = { directory: sortDirectory(repository.cacheDirectory), checksum: await loadChecksum() };
  const listing = await PackListing.read(repository.store, sort, options);
  const head = await repository.heads.read(options);
  const copies = new BlockCopies(sort);
  const names = new PackListing(sort);
  const ranges = new LiveRanges(sort);
  try {
    const { indexes, lengths } = await readAllIndexes(repository, head, copies, names, damage, options);
    const missing = await checkLengths(repository, { names, listing, lengths, willRead }, damage, options);
    let bytes = 0;
    for (let n = 0; n < lengths.length; n++) bytes += lengths[n]!;
    onPacks?.({ indexes, packs: lengths.length, bytes });
    const walked = await walkAll(repository, indexes, head, ranges, sort, damage, progress, options);
    await checkRanges(ranges, copies, missing, damage, options);
    return { head, indexes, ...walked, packs: lengths.length, bytes };
  } finally {
    for (const sorter of [copies, names.sorter, ranges, listing.sorter]) sorter.close();
  }
}

/** Reads every index object from the store, also those of which the local cache has what they should hold. */
async function readAllIndexes(
  repository: Repository,
  head: Head,
  copies: BlockCopies,
  names: PackListing,
  damage: DamageList,
  options?: CallOptions,
): Promise<{ indexes: IndexRef[]; lengths: number[] }> {
  const indexes: IndexRef[] = [];
  const lengths: number[] = [];
  for (const index of readableIndexes(head)) {
    const packs = await readOrReport(repository, index.id, damage, options);
    if (packs === undefined) continue;
    indexes.push(index);
    for (const pack of packs) {
      copies.addPack(lengths.length, directoryOf(pack));
      names.add(pack.packId, lengths.length);
      lengths.push(pack.packLength);
    }
  }
  return { indexes, lengths };
}

async function readOrReport(
  { store, keyring }: Repository,
  id: string,
  damage: DamageList,
  options?: CallOptions,
): Promise<IndexedPack[] | undefined> {
  try {
    const packs = await readIndexObject(store, id, keyring, options);
    for (const pack of packs) directoryOf(pack);
    return packs;
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage.add({ kind: 'index', id, message: (error as Error).message });
    return undefined;
  }
}

type Named = {
  readonly names: PackListing;
  readonly listing: PackListing;
  readonly lengths: readonly number[];
  readonly willRead: boolean;
};

/** Answers the ordinals of packs that are not there with their length. The listing only spares questions: what it lacks is asked for. */
async function checkLengths(
  { store }: Repository,
  { names, listing, lengths, willRead }: Named,
  damage: DamageList,
  options?: CallOptions,
): Promise<Set<number>> {
  const named = new RecordCursor(names.sorter.sorted(), NAME_RECORD_BYTES);
  const listed = new RecordCursor(listing.sorter.sorted(), NAME_RECORD_BYTES);
  const doubtful: { readonly id: Uint8Array; readonly pack: number }[] = [];
  named.next();
  for (listed.next(); named.isThere; ) {
    const order = listed.isThere ? named.compare(listed.bytes.subarray(listed.at, listed.at + ID_BYTES), ID_BYTES) : -1;
    if (order > 0) {
      listed.next();
      continue;
    }
    const pack = named.u32(ID_BYTES);
    if (order < 0 || listed.u32(ID_BYTES) !== lengths[pack]) doubtful.push({ id: named.slice(0, ID_BYTES), pack });
    named.next();
  }
  const missing = new Set<number>();
  await forEachBounded(doubtful, SIZES_IN_FLIGHT_MAX, async ({ id, pack }) => {
    const size = await store.size(packKey(id), options);
    if (size === lengths[pack]) return;
    if (size === undefined) damage.missing.add(hex(id));
    if (size === undefined || !willRead) missing.add(pack);
    const message = size === undefined ? 'it is not in the store' : `it has ${size} bytes instead of ${lengths[pack]}`;
    if (!damage.packs.has(hex(id))) damage.add({ kind: 'pack', id: hex(id), message });
  });
  return missing;
}

async function walkAll(
  repository: Repository,
  indexes: readonly IndexRef[],
  head: Head,
  ranges: LiveRanges,
  sort: SortPlace,
  damage: DamageList,
  progress: VerifyProgress,
  options?: CallOptions,
): Promise<Pick<Structure, 'snapshots' | 'unreadable' | 'nodes'>> {
  const { unitBytes } = repository.parameters.paged;
  const { readNode } = await MapReader.fixed(repository, indexes, options);
  const snapshots: Snapshot[] = [];
  const unreadable: string[] = [];
  const walker = new MapWalker({
    readNode,
    unitBytes,
    ...sort,
    signal: options?.signal,
    onReferences: ranges.add,
    onNode: () => {
      progress.nodesDone++;
    },
    onBadNode: (node, error) => reportNode(node, error, damage),
  });
  const roots = rootsOf(head);
  progress.snapshotsTotal = roots.size;
  progress.snapshotsDone = 0;
  try {
    for (const session of roots) {
      const snapshot = await readSnapshotOrReport(repository, session, damage, options);
      if (snapshot === 'damaged') unreadable.push(session);
      else if (snapshot !== 'forgotten') {
        snapshots.push(snapshot);
        const root = rootNode(snapshot.root, unitBytes);
        if (root !== undefined) await walker.walk(root);
      }
      progress.snapshotsDone++;
    }
    return { snapshots, unreadable, nodes: walker.nodes };
  } finally {
    walker.close();
  }
}

function reportNode({ reference }: MapNode, error: unknown, damage: DamageList): void {
  if (!isDamage(error)) throw error;
  damage.nodes.add(hex(digestOf(reference)));
  damage.add({ kind: 'node', id: hex(reference.subarray(0, 16)), message: (error as Error).message });
}

async function readSnapshotOrReport(
  repository: Repository,
  session: string,
  damage: DamageList,
  options?: CallOptions,
): Promise<Snapshot | 'damaged' | 'forgotten'> {
  try {
    return await readSnapshot(repository, session, options);
  } catch (error) {
    if (isFault(error, 'SNAPSHOT_NOT_FOUND')) return 'forgotten';
    if (!isDamage(error)) throw error;
    damage.add({ kind: 'snapshot', id: session, message: (error as Error).message });
    return 'damaged';
  }
}

async function checkRanges(
  ranges: LiveRanges,
  copies: BlockCopies,
  missing: ReadonlySet<number>,
  damage: DamageList,
  options?: CallOptions,
): Promise<void> {
  const groups = copies.groups();
  const live = ranges.blocks();
  let isGroup = groups.next();
  for (let done = 1; live.next(); done++) {
    if (done % SLICE_BLOCKS === 0) {
      await letOthersWork();
      options?.signal?.throwIfAborted();
    }
    while (isGroup && Buffer.compare(groups.block, live.block) < 0) isGroup = groups.next();
    const isThere = isGroup && Buffer.compare(groups.block, live.block) === 0;
    const there = isThere ? groups.copies.filter(({ pack }) => !missing.has(pack)) : [];
    const id = hex(live.block);
    if (!isThere) damage.add({ kind: 'block', id, message: 'it is in no pack of the index' });
    else if (there.length === 0) damage.blocks.add(id);
    else if (live.ranges.at(-1)! > Math.max(...there.map(({ rawLength }) => rawLength)))
      damage.add({ kind: 'block', id, message: 'a map refers to bytes behind its end' });
  }
}

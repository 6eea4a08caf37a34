// A prune's plan: lists the packs, reads the head, marks what the snapshots need, takes the census, decides. Changes nothing.
//
// The order matters. What was listed before the head was read, is not named by the head, and is of a session that is not among its
// writers, will never be named by anybody (README.md, "Packs without an index"): that, and not the listing, is the evidence.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { Head } from '../format/head.ts';
import { decodeTrailer, type PackKind, TRAILER_BYTES } from '../format/pack.ts';
import { loadChecksum } from '../index/checksum.ts';
import type { CallOptions } from '../store/object-store.ts';
import { type Census, type ListedPack, PackListing, takeCensus } from './census.ts';
import { readCondemned } from './condemned-lists.ts';
import { rootsOf } from './head-changes.ts';
import { hex, packKey, unhex } from './layout.ts';
import { LiveRanges, type SortPlace } from './live-ranges.ts';
import { MapWalker, rootNode } from './map-walk.ts';
import { type PlanTotals, planPacks } from './prune-plan.ts';
import type { PruneProgress } from './prune-progress.ts';
import { MapReader } from './reading.ts';
import type { Repository } from './repository.ts';
import { readSnapshot } from './snapshots.ts';
import { sortDirectory } from './sort-directory.ts';

const TRAILERS_IN_FLIGHT_MAX = 16;
/** Packs of nodes are smaller. */
const METADATA_PACK_SHARE = 0.25;

export type OrphanPack = ListedPack & { readonly session: string };

export type PruneMaterial = {
  readonly head: Head;
  readonly roots: Set<string>;
  readonly census: Census;
  readonly totals: PlanTotals;
  /** In no index, of sessions that are over. */
  readonly orphans: readonly OrphanPack[];
  /** No backup ran when the plan was made: what is not needed now never will be. */
  readonly isQuiet: boolean;
};

export type MaterialOptions = {
  readonly unusedShareMax: number;
  readonly isThorough?: boolean | undefined;
  readonly progress: PruneProgress;
  /** The maintenance session that plans; undefined for a dry run. */
  readonly self: string | undefined;
};

/** In a backup of this repository, a pack of the kind is full at about this size. */
export function fullPackBytes(repository: Repository): Readonly<Record<PackKind, number>> {
  const { packBytes } = repository.parameters;
  return { data: packBytes, metadata: packBytes * METADATA_PACK_SHARE };
}

/** FORMAT_DAMAGED, STORE_NOT_FOUND when what a snapshot needs is not there. */
export async function gatherMaterial(
  repository: Repository,
  { unusedShareMax, isThorough, progress, self }: MaterialOptions,
  options?: CallOptions,
): Promise<PruneMaterial> {
  const sort = { directory: sortDirectory(repository.cacheDirectory), checksum: await loadChecksum() };
  progress.phase = 'marking';
  const listing = await PackListing.read(repository.store, sort, options);
  const ranges = new LiveRanges(sort);
  try {
    const { head, packs: condemned } = await readCondemned(repository.heads, options);
    const roots = await markRoots(repository, head, ranges, sort, progress, options);
    progress.phase = 'planning';
    const census = await takeCensus({ repository, head, ranges, listing, sort }, options);
    const isQuiet = !head.writers.some(({ kind }) => kind === 'backup') && !head.condemned.some(({ awaits }) => awaits.length > 0);
    const totals = planPacks(census.stats, {
      unusedShareMax,
      fullBytes: fullPackBytes(repository),
      // What is left of a block that is written anew counts as waste for ever: whole blocks are what can be proved gone.
      isLean: isQuiet && isThorough !== true,
      isThorough,
    });
    const orphans = await findOrphans(repository, head, census, condemned, self, options);
    return { head, roots, census, totals, orphans, isQuiet };
  } finally {
    ranges.close();
    listing.sorter.close();
  }
}

async function markRoots(
  repository: Repository,
  head: Head,
  ranges: LiveRanges,
  sort: SortPlace,
  progress: PruneProgress,
  options?: CallOptions,
): Promise<Set<string>> {
  const { unitBytes } = repository.parameters.paged;
  const { readNode } = await MapReader.open(repository, head, options);
  const onNode = (): void => {
    progress.nodesDone++;
  };
  const walker = new MapWalker({ readNode, unitBytes, ...sort, onReferences: ranges.add, onNode, signal: options?.signal });
  const roots = rootsOf(head);
  progress.snapshotsTotal = roots.size;
  progress.snapshotsDone = 0;
  try {
    for (const session of roots) {
      const node = await rootOf(repository, session, unitBytes, options);
      if (node !== undefined) await walker.walk(node);
      progress.snapshotsDone++;
    }
  } finally {
    walker.close();
  }
  return roots;
}

async function rootOf(
  repository: Repository,
  session: string,
  unitBytes: number,
  options?: CallOptions,
): Promise<ReturnType<typeof rootNode>> {
  try {
    return rootNode((await readSnapshot(repository, session, options)).root, unitBytes);
  } catch (error) {
    // Forgotten since the head was read. What it alone needs may stay marked or not: no matter.
    if (isFault(error, 'SNAPSHOT_NOT_FOUND') && !rootsOf(await repository.heads.read(options)).has(session)) return undefined;
    throw error;
  }
}

async function findOrphans(
  repository: Repository,
  head: Head,
  census: Census,
  condemned: ReadonlySet<string>,
  self: string | undefined,
  options?: CallOptions,
): Promise<OrphanPack[]> {
  const others = new Set(head.writers.map(({ session }) => session));
  if (self !== undefined) others.delete(self);
  const orphans: OrphanPack[] = [];
  await forEachBounded(
    census.unnamed.filter(({ id }) => !condemned.has(id)),
    TRAILERS_IN_FLIGHT_MAX,
    async (pack) => {
      const session = await writerOfPack(repository, pack.id, options);
      if (session === 'gone') return;
      // Who wrote a pack without a trailer cannot be told: it is somebody's while there is anybody.
      if (session === undefined ? others.size === 0 : !others.has(session)) orphans.push({ ...pack, session: session ?? '' });
    },
  );
  return orphans.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Hex; undefined when its trailer is damaged. */
async function writerOfPack({ store }: Repository, id: string, options?: CallOptions): Promise<string | 'gone' | undefined> {
  try {
    return hex(
      decodeTrailer(await store.get(packKey(unhex(id)), { offset: -TRAILER_BYTES, length: TRAILER_BYTES }, options)).session,
    );
  } catch (error) {
    if (isFault(error, 'FORMAT_DAMAGED')) return undefined;
    if (isFault(error, 'STORE_NOT_FOUND')) return 'gone';
    throw error;
  }
}

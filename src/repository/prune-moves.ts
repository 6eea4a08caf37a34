// Carries out the part of a prune's plan that only adds: moves blocks to new packs, writes new index objects. What it answers is given
// to the head in one swap; until then, and when that fails, all of it is waste of this session.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { IndexRef } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import type { CallOptions } from '../store/object-store.ts';
import { DETAIL_RECORD_BYTES } from './census.ts';
import { readIndexes } from './index-stream.ts';
import { INDEX_BYTES_FULL, IndexWriter } from './index-writer.ts';
import { hex, indexKey } from './layout.ts';
import type { CondemnPlan } from './maintenance.ts';
import { type NeededBlock, type OpenPack, PackMover, readPack } from './pack-mover.ts';
import { fullPackBytes, type PruneMaterial } from './prune-material.ts';
import type { PruneProgress } from './prune-progress.ts';
import { RecordCursor } from './record-cursor.ts';
import type { Repository } from './repository.ts';
import type { SessionSealing } from './session-sealing.ts';

/** Packs that are read ahead of the one whose blocks are moved. */
const PACKS_AHEAD = 1;
/** Index objects below a quarter of a full one are merged when they are so many. */
const SMALL_INDEXES_MIN = 8;
const SMALL_INDEX_BYTES = INDEX_BYTES_FULL / 8;
const DELETES_IN_FLIGHT_MAX = 16;

export type Moves = {
  /** For MaintenanceSession.condemn; `roots` may grow. */
  readonly plan: CondemnPlan & { readonly roots: Set<string>; readonly whenQuiet: boolean };
  /** Index objects that leave. */
  readonly dropped: readonly IndexRef[];
  readonly bytesCondemned: number;
  readonly newPacks: readonly IndexedPack[];
  readonly bytesWritten: number;
  /** Hex ids: not moved, because they are not what their names say. */
  readonly damagedPacks: readonly string[];
};

export type MoveOptions = { readonly sealing: SessionSealing; readonly progress: PruneProgress };

export async function makeMoves(
  repository: Repository,
  material: PruneMaterial,
  options: MoveOptions,
  call?: CallOptions,
): Promise<Moves> {
  const { store, keyring, heads } = repository;
  const mover = new PackMover({
    store,
    keyring,
    keys: repository.keys,
    repositoryId: repository.parameters.id,
    sealing: options.sealing,
    random: heads.ports.random,
    unitBytes: repository.parameters.paged.unitBytes,
    fullBytes: fullPackBytes(repository),
    signal: call?.signal,
  });
  try {
    const damagedPacks = await moveBlocks(repository, material, mover, options.progress, call);
    return { ...(await exchangeIndexes(repository, material, mover, call)), damagedPacks };
  } finally {
    mover.close();
  }
}

/** After a condemnation that did not come about. Only the index objects, of which nobody else can know: the packs with the moved blocks
 *  may have been listed and adopted by others meanwhile. Who has not been adopted is an orphan for the next prune. */
export async function discardMoves(repository: Repository, { plan }: Moves, call?: CallOptions): Promise<void> {
  const keys = plan.add.map(({ id }) => indexKey(id));
  await forEachBounded(keys, DELETES_IN_FLIGHT_MAX, (key) => repository.store.delete(key, call));
}

async function moveBlocks(
  repository: Repository,
  { head, census, isQuiet, totals }: PruneMaterial,
  mover: PackMover,
  progress: PruneProgress,
  call?: CallOptions,
): Promise<string[]> {
  const { stats, firstPacks, details } = census;
  progress.phase = 'moving';
  progress.packsTotal = totals.packsMoved;
  progress.bytesTotal = totals.bytesMoved;
  progress.packsDone = 0;
  progress.bytesDone = 0;
  const damaged: string[] = [];
  const withMoves = head.indexes.filter((_, index) => hasPack(stats.count, firstPacks, index, (pack) => stats.isMoved(pack)));
  const positions = new Map(head.indexes.map(({ id }, index) => [id, index]));
  const needed = new RecordCursor(details.sorted(), DETAIL_RECORD_BYTES);
  needed.next();
  const ahead: (() => Promise<void>)[] = [];
  try {
    for await (const { index, packs } of readIndexes(repository, withMoves, call)) {
      let pack = firstPacks[positions.get(index.id)!]!;
      for (const { packId, packLength } of packs) {
        const ordinal = pack++;
        if (!stats.isMoved(ordinal)) continue;
        const blocks = blocksOf(needed, ordinal);
        const read = readOrDamaged(repository, packId.slice(), call);
        // It is awaited later; until then its failure is nobody's.
        read.catch(() => {});
        ahead.push(async () => {
          const open = await read;
          if (open !== undefined) await mover.move(open, blocks, isQuiet);
          else {
            stats.spare(ordinal);
            damaged.push(hex(packId));
          }
          progress.packsDone++;
          progress.bytesDone += packLength;
        });
        if (ahead.length > PACKS_AHEAD) await ahead.shift()!();
      }
    }
    for (const move of ahead) await move();
    await mover.finish();
    return damaged;
  } finally {
    details.close();
  }
}

async function readOrDamaged(
  { store, keyring }: Repository,
  packId: Uint8Array,
  call?: CallOptions,
): Promise<OpenPack | undefined> {
  try {
    return await readPack(store, keyring, packId, call);
  } catch (error) {
    if (isFault(error, 'FORMAT_DAMAGED', 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER')) return undefined;
    throw error;
  }
}

/** The ranges of one pack; those of packs before it are passed over. */
function blocksOf(needed: RecordCursor, ordinal: number): NeededBlock[] {
  const blocks: { position: number; ranges: number[] }[] = [];
  while (needed.isThere && needed.u32(0) < ordinal) needed.next();
  for (; needed.isThere && needed.u32(0) === ordinal; needed.next()) {
    const position = needed.u32(4);
    if (blocks.at(-1)?.position !== position) blocks.push({ position, ranges: [] });
    blocks.at(-1)!.ranges.push(needed.u32(8), needed.u32(12));
  }
  return blocks;
}

/** Index objects that name a condemned pack are dropped, and small ones where they are many; what else they name is named anew. */
async function exchangeIndexes(
  repository: Repository,
  material: PruneMaterial,
  mover: PackMover,
  call?: CallOptions,
): Promise<Omit<Moves, 'damagedPacks'>> {
  const { head, census, orphans } = material;
  const { stats, firstPacks, duplicates } = census;
  const isCondemned = (pack: number): boolean => stats.isCondemned(duplicates.get(pack) ?? pack);
  const isSmall = ({ bytes }: IndexRef): boolean => bytes < SMALL_INDEX_BYTES;
  const areSmallMany = head.indexes.filter(isSmall).length >= SMALL_INDEXES_MIN;
  const dropped = head.indexes.filter(
    (index, n) => hasPack(stats.count, firstPacks, n, isCondemned) || (areSmallMany && isSmall(index)),
  );
  const positions = new Map(head.indexes.map(({ id }, index) => [id, index]));
  const writer = new IndexWriter(repository.store, repository.keyring, repository.heads.ports.random, call);
  const packs: { id: string; session: string }[] = [];
  let bytesCondemned = 0;
  for await (const { index, packs: named } of readIndexes(repository, dropped, call)) {
    let pack = firstPacks[positions.get(index.id)!]!;
    for (const one of named) {
      const ordinal = pack++;
      if (stats.isDuplicate(ordinal)) continue;
      if (!stats.isCondemned(ordinal)) await writer.add(one);
      else {
        packs.push({ id: hex(one.packId), session: hex(one.session) });
        bytesCondemned += one.packLength;
      }
    }
  }
  for (const pack of mover.packs) await writer.add(pack);
  for (const { id, session, sizeBytes } of orphans) {
    packs.push({ id, session });
    bytesCondemned += sizeBytes;
  }
  const plan = {
    generation: head.generation,
    roots: material.roots,
    drop: dropped.map(({ id }) => id),
    add: await writer.finish(),
    packs,
    whenQuiet: mover.blocksWrittenAnew > 0,
  };
  return { plan, dropped, bytesCondemned, newPacks: mover.packs, bytesWritten: mover.bytesWritten };
}

function hasPack(count: number, firstPacks: readonly number[], index: number, is: (pack: number) => boolean): boolean {
  const end = firstPacks[index + 1] ?? count;
  for (let pack = firstPacks[index]!; pack < end; pack++) if (is(pack)) return true;
  return false;
}

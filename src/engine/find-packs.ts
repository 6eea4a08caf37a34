// Packs that the store lists and no index names, brought back into an index by their own directories: what an index object that is lost
// or damaged has named is among them. So is waste: copies that a prune made before it died. Harmless as long as no block is in the index
// in two versions, for then a reader might get the one without what was dead once. So a found pack whose version of some block is another
// than the one that stays is not named; what only it has is moved out of it.
//
// Which version stays: that of the packs that are named already, otherwise the block as it was first made, which holds all that any later
// version holds.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { IndexRef } from '../format/head.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { loadChecksum } from '../index/checksum.ts';
import { BlockCopies, type BlockCopy } from '../repository/block-copies.ts';
import { readIndexes } from '../repository/index-stream.ts';
import { IndexWriter } from '../repository/index-writer.ts';
import { hex, indexKey, PACKS_PREFIX, unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { readPackDirectory } from '../repository/pack-directory.ts';
import { type PackMover, readPack } from '../repository/pack-mover.ts';
import type { PackOrigin } from '../repository/sessions.ts';
import { sortDirectory } from '../repository/sort-directory.ts';
import type { CallOptions } from '../store/object-store.ts';

const DIRECTORIES_IN_FLIGHT_MAX = 8;
const PACK_ID = /^packs\/[0-9a-f]{2}\/([0-9a-f]{64})$/;
/** The ordinal of every pack that is named already. */
const NAMED = 0xffff_ffff;

export type FindDetails = {
  /** Index objects that are good. */
  readonly indexes: readonly IndexRef[];
  /** Packs (hex) that must not be named. */
  readonly excluded: ReadonlySet<string>;
  /** Sessions (hex) that run: their packs are their own affair until they have committed or ended. */
  readonly running: ReadonlySet<string>;
  readonly random: (bytes: number) => Uint8Array;
  readonly cacheDirectory: string;
  /** Takes blocks out of packs that cannot be named. */
  readonly mover: PackMover | undefined;
  /** Only packs that hold one of these blocks (hex); undefined: all. */
  readonly wanted?: ReadonlySet<string> | undefined;
  readonly onPack?: () => void;
};

export type FoundPacks = {
  /** Stored; they name what was found. */
  readonly indexes: readonly IndexRef[];
  readonly packs: readonly PackOrigin[];
  /** Listed packs whose directory does not open. */
  readonly unreadable: readonly string[];
};

export async function findPacks(place: OpenedRepository, details: FindDetails, options?: CallOptions): Promise<FoundPacks> {
  const listed = await listUnnamed(place, details, options);
  const writer = new IndexWriter(place.store, place.keyring, details.random, options);
  const unreadable: string[] = [];
  const packs: PackOrigin[] = [];
  // One at a time into the writer, some ahead from the store.
  let turn: Promise<void> = Promise.resolve();
  await forEachBounded(listed, DIRECTORIES_IN_FLIGHT_MAX, async (id) => {
    const pack = await readOrSkip(place, id, options);
    details.onPack?.();
    if (pack === undefined) {
      unreadable.push(id);
      return;
    }
    if (details.running.has(hex(pack.session))) return;
    if (details.wanted !== undefined && !directoryOf(pack).blocks.some((block) => details.wanted!.has(hex(block.id)))) return;
    packs.push(originOf(pack));
    turn = turn.then(() => writer.add(pack));
    await turn;
  });
  const indexes = await writer.finish();
  const conflicts = await findConflicts(place, details, indexes, options);
  if (conflicts.size === 0) return { indexes, packs, unreadable };
  return { ...(await withoutConflicts(place, details, indexes, conflicts, options)), unreadable };
}

function originOf({ packId, session }: IndexedPack): PackOrigin {
  return { id: hex(packId), session: hex(session) };
}

async function listUnnamed(
  place: OpenedRepository,
  { indexes, excluded }: FindDetails,
  options?: CallOptions,
): Promise<Set<string>> {
  const listed = new Set<string>();
  for await (const page of place.store.list(PACKS_PREFIX, options)) {
    for (const { key } of page) {
      const id = PACK_ID.exec(key)?.[1];
      if (id !== undefined && !excluded.has(id)) listed.add(id);
    }
  }
  for await (const { packs } of readIndexes(place, indexes, options)) for (const { packId } of packs) listed.delete(hex(packId));
  return listed;
}

async function readOrSkip(
  { store, keyring }: OpenedRepository,
  id: string,
  options?: CallOptions,
): Promise<IndexedPack | undefined> {
  const packId = unhex(id);
  try {
    const { trailer, bytes, packLength } = await readPackDirectory(store, packId, keyring, undefined, options);
    return { packId, kind: trailer.kind, packLength, session: trailer.session, directory: bytes };
  } catch (error) {
    if (isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) return undefined;
    throw error;
  }
}

/** Ordinals of found packs that hold another version of a block than the one that stays. */
async function findConflicts(
  place: OpenedRepository,
  { indexes, cacheDirectory }: FindDetails,
  found: readonly IndexRef[],
  options?: CallOptions,
): Promise<Set<number>> {
  const copies = new BlockCopies({ directory: sortDirectory(cacheDirectory), checksum: await loadChecksum() });
  const conflicts = new Set<number>();
  try {
    await addPacks(place, copies, indexes, () => NAMED, options);
    await addPacks(place, copies, found, (pack) => pack, options);
    const groups = copies.groups();
    while (groups.next()) {
      const stays = versionThatStays(groups.copies, Buffer.from(groups.block).toString('latin1'));
      for (const { pack, sealing } of groups.copies) if (pack !== NAMED && sealing !== stays) conflicts.add(pack);
    }
    return conflicts;
  } finally {
    copies.close();
  }
}

function versionThatStays(copies: readonly BlockCopy[], original: string): string {
  const named = copies.find(({ pack }) => pack === NAMED);
  const first = named ?? copies.find(({ sealing }) => sealing === original);
  // Written anew twice, and what was before is gone: less was dead in the larger.
  return (first ?? copies.reduce((a, b) => (b.storedLength > a.storedLength ? b : a))).sealing;
}

async function addPacks(
  place: OpenedRepository,
  copies: BlockCopies,
  indexes: readonly IndexRef[],
  ordinalOf: (pack: number) => number,
  options?: CallOptions,
): Promise<void> {
  let pack = 0;
  for await (const { packs } of readIndexes(place, indexes, options))
    for (const one of packs) copies.addPack(ordinalOf(pack++), directoryOf(one));
}

async function withoutConflicts(
  place: OpenedRepository,
  details: FindDetails,
  found: readonly IndexRef[],
  conflicts: ReadonlySet<number>,
  options?: CallOptions,
): Promise<Omit<FoundPacks, 'unreadable'>> {
  const writer = new IndexWriter(place.store, place.keyring, details.random, options);
  const only = await blocksOnlyIn(place, details, found, conflicts, options);
  let pack = 0;
  const packs: PackOrigin[] = [];
  for await (const { packs: named } of readIndexes(place, found, options)) {
    for (const one of named) {
      const ordinal = pack++;
      if (!conflicts.has(ordinal)) {
        await writer.add(one);
        packs.push(originOf(one));
        continue;
      }
      const positions = only.get(ordinal) ?? [];
      if (positions.length === 0 || details.mover === undefined) continue;
      const open = await readPack(place.store, place.keyring, one.packId, options);
      await details.mover.move(
        open,
        positions.map((position) => ({ position, ranges: [0, open.directory.blocks[position]!.rawLength] })),
        false,
      );
    }
  }
  const indexes = await writer.finish();
  await forEachBounded(found, DIRECTORIES_IN_FLIGHT_MAX, async ({ id }) => {
    if (!indexes.some((index) => index.id === id)) await place.store.delete(indexKey(id), options);
  });
  return { indexes, packs };
}

/** Positions of blocks that are in no other pack than these, each in one pack. */
async function blocksOnlyIn(
  place: OpenedRepository,
  { indexes, cacheDirectory }: FindDetails,
  found: readonly IndexRef[],
  conflicts: ReadonlySet<number>,
  options?: CallOptions,
): Promise<Map<number, number[]>> {
  const copies = new BlockCopies({ directory: sortDirectory(cacheDirectory), checksum: await loadChecksum() });
  const only = new Map<number, number[]>();
  try {
    await addPacks(place, copies, indexes, () => NAMED, options);
    await addPacks(place, copies, found, (pack) => (conflicts.has(pack) ? pack : NAMED), options);
    const groups = copies.groups();
    while (groups.next()) {
      if (groups.copies.some(({ pack }) => pack === NAMED)) continue;
      const stays = versionThatStays(groups.copies, Buffer.from(groups.block).toString('latin1'));
      const { pack, position } = groups.copies.find(({ sealing }) => sealing === stays)!;
      const positions = only.get(pack);
      if (positions === undefined) only.set(pack, [position]);
      else positions.push(position);
    }
    return only;
  } finally {
    copies.close();
  }
}

// Which packs that are condemned, or about to be, do these snapshots need? Asked for snapshots of backups that ran meanwhile.

import type { Head, IndexRef } from '../format/head.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { loadChecksum } from '../index/checksum.ts';
import type { CallOptions } from '../store/object-store.ts';
import { BlockCopies, type CopyGroups } from './block-copies.ts';
import { encodeIndexObject } from './index-objects.ts';
import { readIndexes } from './index-stream.ts';
import { hex, indexKey } from './layout.ts';
import { LiveRanges, type SortPlace } from './live-ranges.ts';
import type { Examination, Kept } from './maintenance.ts';
import { MapWalker, rootNode } from './map-walk.ts';
import { MapReader } from './reading.ts';
import type { Repository } from './repository.ts';
import { readSnapshot } from './snapshots.ts';
import { sortDirectory } from './sort-directory.ts';

/** The ordinal of every pack that stays anyway. */
const STAYS = 0xffff_ffff;

export type ExamineDetails = {
  readonly head: Head;
  readonly snapshots: readonly string[];
  /** Hex ids. */
  readonly packs: readonly string[];
  /** Index objects that name these packs. */
  readonly named: readonly IndexRef[];
  /** The index without these packs. */
  readonly stays: readonly IndexRef[];
};

/** The packs that are needed, as their index objects describe them. */
export async function neededPacks(
  repository: Repository,
  details: ExamineDetails,
  options?: CallOptions,
): Promise<readonly IndexedPack[]> {
  const sort = { directory: sortDirectory(repository.cacheDirectory), checksum: await loadChecksum() };
  const ranges = new LiveRanges(sort);
  const copies = new BlockCopies(sort);
  try {
    await mark(repository, details, ranges, sort, options);
    const condemned = new Set(details.packs);
    const candidates = new Map<string, number>();
    const packs: IndexedPack[] = [];
    for await (const { packs: named } of readIndexes(repository, details.named, options)) {
      for (const pack of named) {
        const id = hex(pack.packId);
        if (!condemned.has(id) || candidates.has(id)) continue;
        candidates.set(id, packs.length);
        copies.addPack(packs.length, directoryOf(pack));
        packs.push({ ...pack, packId: pack.packId.slice(), session: pack.session.slice(), directory: pack.directory.slice() });
      }
    }
    for await (const { packs: staying } of readIndexes(repository, details.stays, options)) {
      for (const pack of staying) if (!condemned.has(hex(pack.packId))) copies.addPack(STAYS, directoryOf(pack));
    }
    const needed = joinNeeded(ranges, copies.groups());
    return packs.filter((_, n) => needed.has(n));
  } finally {
    ranges.close();
    copies.close();
  }
}

/** Puts the packs of a condemnation that are needed after all into an index object of their own; undefined: none is. */
export async function keepNeeded(
  repository: Repository,
  { head, entry, packs, snapshots }: Examination,
  options?: CallOptions,
): Promise<Kept | undefined> {
  const { store, keyring, heads } = repository;
  const details = { head, snapshots, packs, named: entry.indexes, stays: head.indexes };
  const needed = await neededPacks(repository, details, options);
  if (needed.length === 0) return undefined;
  const { id, bytes } = encodeIndexObject(needed, keyring, heads.ports.random);
  await store.put(indexKey(id), bytes, options);
  return { packs: needed.map(({ packId }) => hex(packId)), index: { id, bytes: bytes.length, packs: needed.length } };
}

async function mark(
  repository: Repository,
  { head, snapshots }: ExamineDetails,
  ranges: LiveRanges,
  sort: SortPlace,
  options?: CallOptions,
): Promise<void> {
  const { unitBytes } = repository.parameters.paged;
  const { readNode } = await MapReader.open(repository, head, options);
  const walker = new MapWalker({ readNode, unitBytes, ...sort, onReferences: ranges.add, signal: options?.signal });
  try {
    for (const session of snapshots) {
      const root = rootNode((await readSnapshot(repository, session, options)).root, unitBytes);
      if (root !== undefined) await walker.walk(root);
    }
  } finally {
    walker.close();
  }
}

function joinNeeded(ranges: LiveRanges, groups: CopyGroups): Set<number> {
  const needed = new Set<number>();
  const live = ranges.blocks();
  let isLive = live.next();
  while (isLive && groups.next()) {
    let order = Buffer.compare(live.block, groups.block);
    // A block that is in none of these packs is none of this question's.
    while (isLive && order < 0) {
      isLive = live.next();
      if (isLive) order = Buffer.compare(live.block, groups.block);
    }
    if (!isLive || order > 0) continue;
    const staying = groups.copies.filter(({ pack }) => pack === STAYS);
    const own = Buffer.from(groups.block).toString('latin1');
    for (const { pack, sealing } of groups.needed(groups.copies.filter((copy) => copy.pack !== STAYS))) {
      // A copy of another sealing may lack what was dead when it was made.
      if (!staying.some((copy) => copy.sealing === sealing || copy.sealing === own)) needed.add(pack);
    }
  }
  return needed;
}

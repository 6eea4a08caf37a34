// What a prune does with each pack: a pure decision about numbers.
//
//   nothing of it is needed             condemn
//   of a session that runs              keep
//   much of it is waste                 move what is needed to a new pack, condemn: the worst packs first, until what stays unused is
//                                       within the limit; never for a trifle
//   one of many small packs of a kind   move, so that they become few

import type { PackKind } from '../format/pack.ts';
import type { PackStats } from './pack-stats.ts';

/** A pack with less waste is never moved. */
const WASTE_SHARE_MIN = 0.02;
const WASTE_BYTES_MIN = 4096;
/** A pack is small below this share of a full one. */
const SMALL_SHARE = 0.25;
/** Small packs of a kind are merged when they are so many. */
const SMALL_PACKS_MIN = 16;

export type PlanOptions = {
  /** Of the stored bytes, how many may stay unused: 0.1 is a tenth. */
  readonly unusedShareMax: number;
  /** Of a full pack of the kind. */
  readonly fullBytes: Readonly<Record<PackKind, number>>;
  /** Blocks of which little is needed may be written anew, without the rest. */
  readonly isLean: boolean;
  /** No block that nothing needs stays, however small: a trifle may be a secret. */
  readonly isThorough?: boolean | undefined;
};

export type PlanTotals = {
  packs: number;
  /** Stored bytes of all packs. */
  bytes: number;
  /** Bytes that something needs. */
  liveBytes: number;
  packsKept: number;
  packsDropped: number;
  bytesDropped: number;
  packsMoved: number;
  /** Of the packs that are moved, before and after. */
  bytesMoved: number;
  bytesMovedAfter: number;
};

/** Marks packs as condemned in `stats`. */
export function planPacks(stats: PackStats, options: PlanOptions): PlanTotals {
  const { unusedShareMax, isLean, isThorough = false } = options;
  const after = (n: number): number => (isLean ? stats.leanBytes(n) : stats.wholeBytes(n));
  const waste = (n: number): number => stats.blocksBytes(n) - after(n);
  const wasteful: number[] = [];
  let bytesAfter = 0;
  let unused = 0;
  for (let n = 0; n < stats.count; n++) {
    if (stats.isDuplicate(n)) continue;
    if (stats.isKept(n)) bytesAfter += stats.packLength(n);
    else if (stats.wholeBytes(n) === 0) stats.condemn(n, false);
    else {
      bytesAfter += stats.packLength(n);
      unused += waste(n);
      const isTrifle = waste(n) < WASTE_BYTES_MIN || waste(n) < WASTE_SHARE_MIN * stats.blocksBytes(n);
      if (waste(n) > 0 && (isThorough || !isTrifle)) wasteful.push(n);
    }
  }
  for (const n of smallPacks(stats, options)) {
    stats.condemn(n, true);
    unused -= waste(n);
    bytesAfter -= waste(n);
  }
  wasteful.sort((a, b) => waste(b) / stats.blocksBytes(b) - waste(a) / stats.blocksBytes(a) || a - b);
  for (const n of wasteful) {
    if (unused <= unusedShareMax * bytesAfter) break;
    if (stats.isCondemned(n)) continue;
    stats.condemn(n, true);
    unused -= waste(n);
    bytesAfter -= waste(n);
  }
  return total(stats, after);
}

/** Small packs, where they are many; in order. */
function smallPacks(stats: PackStats, { fullBytes }: PlanOptions): number[] {
  const small: Record<PackKind, number[]> = { data: [], metadata: [] };
  for (let n = 0; n < stats.count; n++) {
    if (stats.isDuplicate(n) || stats.isKept(n) || stats.isCondemned(n)) continue;
    const kind = stats.kind(n);
    if (stats.packLength(n) < SMALL_SHARE * fullBytes[kind]) small[kind].push(n);
  }
  return (['data', 'metadata'] as const).flatMap((kind) => (small[kind].length >= SMALL_PACKS_MIN ? small[kind] : []));
}

function total(stats: PackStats, after: (n: number) => number): PlanTotals {
  const totals: PlanTotals = {
    packs: 0,
    bytes: 0,
    liveBytes: 0,
    packsKept: 0,
    packsDropped: 0,
    bytesDropped: 0,
    packsMoved: 0,
    bytesMoved: 0,
    bytesMovedAfter: 0,
  };
  for (let n = 0; n < stats.count; n++) {
    if (stats.isDuplicate(n)) continue;
    totals.packs++;
    totals.bytes += stats.packLength(n);
    totals.liveBytes += stats.liveBytes(n);
    if (!stats.isCondemned(n)) totals.packsKept++;
    else if (stats.isMoved(n)) {
      totals.packsMoved++;
      totals.bytesMoved += stats.packLength(n);
      totals.bytesMovedAfter += after(n);
    } else {
      totals.packsDropped++;
      totals.bytesDropped += stats.packLength(n);
    }
  }
  return totals;
}

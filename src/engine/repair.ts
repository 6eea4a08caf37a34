// Repair: mends what verify finds, as far as the bytes are somewhere, and isolates the rest so that the next backup stores it anew.

import type { Repository } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { AffectedSnapshot, DamagedThing } from './verify.ts';

export class RepairProgress {
  phase: 'looking' | 'reading packs' | 'mending' | 'done' = 'looking';
  packsTotal = 0;
  packsDone = 0;
  bytesTotal = 0;
  bytesDone = 0;
}

export type RepairOptions = {
  /** For people: who repairs. */
  readonly by: string;
  readonly threads: number;
  /** Prove every pack first (as verify --full); otherwise only what can be seen without reading them. Default true. */
  readonly readPacks?: boolean;
  /** Another copy of this repository (a replica, a copied directory): damaged and missing packs are taken from there when it has them. */
  readonly from?: ObjectStore;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: RepairProgress;
};

export type RepairReport = {
  readonly dryRun: boolean;
  /** Nothing was damaged, or everything could be mended, or snapshots have lost something. */
  readonly outcome: 'clean' | 'mended' | 'lost';
  readonly damaged: readonly DamagedThing[];
  readonly damagedCount: number;
  /** Index objects that were written in place of lost or damaged ones. */
  readonly indexesRebuilt: number;
  /** Packs that came from the other copy. */
  readonly packsFetched: number;
  /** Damaged packs whose good blocks were moved to new ones. */
  readonly packsSalvaged: number;
  readonly blocksSalvaged: number;
  /** Blocks that left the index: what they held will be stored anew by the next backup that meets it. */
  readonly blocksLost: number;
  /** Snapshots that cannot be restored whole, and which of their paths. */
  readonly affected: readonly AffectedSnapshot[];
};

export async function repair(_repository: Repository, _options: RepairOptions): Promise<RepairReport> {
  throw new Error('not there yet');
}

export type RebuildHeadReport = { readonly snapshots: number; readonly indexes: number; readonly packs: number };

/** Makes a head from the registers and packs that the store lists; only when there is none, and only when a person says so: a snapshot
 *  that the listing misses is not in it. Afterwards `repair`. */
export async function rebuildHead(_repository: Repository, _options: Omit<RepairOptions, 'from'>): Promise<RebuildHeadReport> {
  throw new Error('not there yet');
}

// Prune, from looking at what others have left undone to the last deleted pack.

import type { ProcessFacts, Writer } from '../format/head.ts';
import type { Repository } from './repository.ts';

export type PrunePhase = 'finishing earlier prunes' | 'marking' | 'planning' | 'moving' | 'deleting' | 'done';

/** Counters only grow within a phase; the reader decides how often to look. */
export class PruneProgress {
  phase: PrunePhase = 'finishing earlier prunes';
  snapshotsTotal = 0;
  snapshotsDone = 0;
  nodesDone = 0;
  /** Packs to be rewritten. */
  packsTotal = 0;
  packsDone = 0;
  bytesTotal = 0;
  bytesDone = 0;
  packsDeleted = 0;
}

export type PruneOptions = {
  /** For people: who prunes. */
  readonly by: string;
  /** Share of the stored bytes that may stay unused, default 0.1. */
  readonly unusedShareMax?: number;
  /** A writer that has been silent for longer is given up, default 24 h. Writers that are dead for certain are given up at once. */
  readonly revokeAfterMs?: number;
  /** Default: same host, and other boot or no such process. */
  readonly isDead?: (process: ProcessFacts) => boolean;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: PruneProgress;
};

export type PruneReport = {
  readonly dryRun: boolean;
  readonly snapshots: number;
  /** Stored bytes of all packs of the index, before. */
  readonly bytesBefore: number;
  /** Of those, in blocks that a snapshot needs, as far as the plan could tell. */
  readonly bytesUsed: number;
  readonly packsBefore: number;
  /** Packs of which nothing is needed. */
  readonly packsDropped: number;
  /** Packs whose needed blocks are moved to new ones. */
  readonly packsMoved: number;
  readonly packsWritten: number;
  readonly bytesWritten: number;
  /** Packs in no index, left by writers that died. */
  readonly packsOrphaned: number;
  readonly bytesOrphaned: number;
  /** What stays unused after this. */
  readonly bytesUnusedAfter: number;
  /** Deleted (a dry run: would be), with what earlier prunes had left. */
  readonly packsDeleted: number;
  readonly bytesFreed: number;
  /** Index objects, before and after. */
  readonly indexesBefore: number;
  readonly indexesAfter: number;
  /** Session keys, index objects, lists and registers that nobody needs any more. */
  readonly straysDeleted: number;
  /** Writers that were given up. */
  readonly revoked: readonly Writer[];
  /** Writers for which condemned packs wait; a later prune deletes them. */
  readonly waiting: readonly Writer[];
  /** Packs that were to be moved and are damaged: left as they are, see repair. Hex ids. */
  readonly damagedPacks: readonly string[];
};

/** KEY_CANNOT_READ with a writer's key. FORMAT_DAMAGED, before anything is changed, when a snapshot needs what is not there. */
export async function prune(_repository: Repository, _options: PruneOptions): Promise<PruneReport> {
  throw new Error('not there yet');
}

export type PrunePhase = 'finishing earlier prunes' | 'marking' | 'planning' | 'moving' | 'deleting' | 'done';

/** Counters only grow within a phase; the reader decides how often to look. */
export class PruneProgress {
  phase: PrunePhase = 'finishing earlier prunes';
  snapshotsTotal = 0;
  snapshotsDone = 0;
  nodesDone = 0;
  /** Packs to be moved. */
  packsTotal = 0;
  packsDone = 0;
  bytesTotal = 0;
  bytesDone = 0;
  packsDeleted = 0;
}

// What the parts of a copy have in common.

import type { SnapshotRoot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupPipeline } from './backup-pipeline.ts';

export class CopyProgress {
  snapshotsTotal = 0;
  snapshotsDone = 0;
  /** Of the snapshot at hand. */
  bytesTotal = 0;
  bytesDone = 0;
  /** Of all. */
  bytesRead = 0;
  bytesStored = 0;
}

/** What every part of a copy needs. */
export type CopyRun = {
  readonly from: Repository;
  readonly to: Repository;
  readonly pipeline: BackupPipeline;
  readonly progress: CopyProgress;
  readonly signal: AbortSignal;
};

/** The parent in `to`, and the snapshot in `from` that it is a copy of. */
export type CopyBase = { readonly original: SnapshotRoot; readonly copy: SnapshotRoot };

/** Passes bytes on, counts them, and ends when the copy is to end. */
export async function* counted(pieces: AsyncIterable<Uint8Array>, { progress, signal }: CopyRun): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal.throwIfAborted();
    progress.bytesRead += piece.length;
    progress.bytesDone += piece.length;
    yield piece;
  }
}

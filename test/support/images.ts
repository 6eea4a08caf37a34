// Volumes in and out of a repository, by the real engine.

import { expect } from 'vitest';
import { openVolume, readVolume } from '../../agents/volume/source.ts';
import { backUp } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import type { ChangedRange } from '../../src/engine/changed-ranges.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreSingle } from '../../src/engine/restore-single.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Content } from '../../src/model/stored-entry.ts';
import type { Repository } from '../../src/repository/repository.ts';

const SIGNAL = new AbortController().signal;

export function contentOf(snapshot: Snapshot): Content {
  const { root } = snapshot;
  return root.kind === 'units' ? { kind: 'units-map', root: root.reference } : { kind: 'chunks-map', root: root.reference };
}

/** A volume or a stream, into a file. */
export async function restoreImage(
  repository: Repository,
  snapshot: Snapshot,
  path: string,
  delta = false,
): Promise<RestoreProgress> {
  await repository.syncIndex((await repository.heads.read()).indexes);
  const progress = new RestoreProgress();
  const pool = new ReadingPool(repository.store, 2, { idKey: repository.keyring.payload.idKey, target: undefined }, SIGNAL);
  try {
    await restoreSingle({
      content: contentOf(snapshot),
      sizeBytes: snapshot.root.contentBytes,
      path,
      delta,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      blocks: repository.blocks,
      keys: repository.keys,
      pool,
      progress,
      onProblem: (problem) => {
        throw new Error(problem.message);
      },
    });
  } finally {
    await pool.close();
  }
  return progress;
}

type VolumeOptions = {
  readonly asset?: string;
  readonly ranges?: readonly ChangedRange[];
  readonly now?: Date;
  readonly rereadAll?: boolean;
};

export function backUpImage(
  repository: Repository,
  path: string,
  { asset = 'image', ranges, now, rereadAll = false }: VolumeOptions = {},
): Promise<Snapshot> {
  const progress = new BackupProgress();
  const listener = { onProblem: (problem: { message: string }) => expect.fail(problem.message) };
  const details = {
    asset,
    type: 'volume' as const,
    host: 'test',
    user: 'test',
    paths: [path],
    tags: [],
    program: 'test',
    now: () => now ?? new Date(),
    threads: 2,
    level: 1,
    signal: SIGNAL,
    progress,
    listener,
  };
  return backUp(repository, details, ({ pipeline, parent }) =>
    readVolume({
      volume: openVolume(path),
      pipeline,
      parent,
      unitBytes: repository.parameters.paged.unitBytes,
      changedRanges: ranges,
      rereadAll,
      readNode: repository.readNode,
      progress,
      listener,
    }),
  );
}

// One backup, from opening a session to the committed snapshot. Reads like the plan that it is: begin, look at the parent, read the source,
// make everything durable, commit.

import { randomBytes } from 'node:crypto';
import type { RepositoryParameters } from '../format/repository-object.ts';
import type { Snapshot, SnapshotRoot, SourceType, VolumeStat } from '../model/snapshot.ts';
import type { Keyring } from '../repository/keyring.ts';
import { unhex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { sealSnapshot } from '../repository/snapshots.ts';
import { BackupPipeline, type BackupTotals } from './backup-pipeline.ts';
import type { BackupListener, BackupProgress } from './backup-progress.ts';
import type { BackupTarget, TargetSession } from './backup-target.ts';
import type { ThreadsAhead } from './backup-threads.ts';
import type { ReadNode } from './content-map.ts';
import { OfflineTarget } from './offline-target.ts';

const FIRST_LEVEL = 1;
const FOLLOWING_LEVEL = 3;
/** What has changed in a volume: 3 % smaller than at level 3 for twice the time, so of what is little only. Of each thread. */
const CHANGE_OF_VOLUME = { level: 5, bytes: 64 * 1024 * 1024 };

export type BackupDetails = {
  readonly asset: string;
  readonly type: SourceType;
  readonly host: string;
  readonly user: string;
  readonly paths: readonly string[];
  readonly tags: readonly string[];
  readonly program: string;
  readonly now: () => Date;
  /** When the source was first looked at; now when absent. */
  readonly startedAt?: Date | undefined;
  readonly threads: number;
  /** Used before new ones are started. */
  readonly threadsAhead?: ThreadsAhead | undefined;
  /** Of zstd. Default: 1 for the first backup of an asset; for those that follow, which are small, many, and kept as long, 3, and 5 for as
   *  much of a volume as usually changes. */
  readonly level?: number | undefined;
  readonly signal: AbortSignal;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
};

export type SourceContext = {
  readonly pipeline: BackupPipeline;
  readonly parent: Snapshot | undefined;
  /** Reads nodes of the parent's map. */
  readonly readNode: ReadNode;
  /** How content is cut. */
  readonly parameters: RepositoryParameters;
  readonly keyring: Keyring;
};

export type SourceRead = {
  readonly root: SnapshotRoot;
  readonly volume?: VolumeStat;
  readonly facts?: Readonly<Record<string, string>>;
  readonly filesUnchanged?: number;
};

/** Reads the source into the pipeline. Answers the root of its map. */
export type ReadSource = (context: SourceContext) => Promise<SourceRead>;

/** Into a repository that is opened here. */
export function backUp(repository: Repository, details: BackupDetails, readSource: ReadSource): Promise<Snapshot> {
  return backUpTo(new OfflineTarget(repository), details, readSource);
}

export async function backUpTo(target: BackupTarget, details: BackupDetails, readSource: ReadSource): Promise<Snapshot> {
  const { signal, progress, asset, type, now } = details;
  const startedAt = details.startedAt ?? now();
  const session = await target.begin({ asset, type, now, signal });
  const { place, parent, readNode } = session;
  const { parameters, keyring } = place;
  let pipeline: BackupPipeline | undefined;
  let snapshot: Snapshot | undefined;
  try {
    pipeline = new BackupPipeline({
      repository: place,
      write: {
        session: unhex(session.name),
        checkpoint: (index) => session.checkpoint(index),
        onUpload: (pack) => session.onUpload(pack),
      },
      assetId: session.assetId,
      known: session.known,
      ask: session.ask,
      privateRuns: session.privateRuns,
      threads: details.threads,
      threadsAhead: details.threadsAhead,
      level: details.level ?? (parent === undefined ? FIRST_LEVEL : FOLLOWING_LEVEL),
      levelAtFirst: details.level === undefined && parent !== undefined && type === 'volume' ? CHANGE_OF_VOLUME : undefined,
      signal,
    });
    const read = await readSource({ pipeline, parent, readNode, parameters, keyring });
    const totals = await pipeline.finish();
    progress.bytesStored = totals.bytesStored;
    snapshot = describe(session.name, details, startedAt, parent, read, totals);
    await session.commit(sealSnapshot(place, snapshot, session.assetId, randomBytes(12)), totals.indexes, signal);
    return snapshot;
  } catch (error) {
    // The commit may have happened although its answer was lost.
    if ((await giveUp(session, pipeline)) === 'committed' && snapshot !== undefined) return snapshot;
    throw pipeline?.failure ?? error;
  } finally {
    session.close();
    await pipeline?.close();
  }
}

/** Leaves what was uploaded to the next backup, as far as the store still answers. The fault that led here is the one to report. */
async function giveUp(
  session: TargetSession,
  pipeline: BackupPipeline | undefined,
): Promise<'abandoned' | 'committed' | 'unknown'> {
  await pipeline?.salvage().catch(() => {});
  return session.abandon().catch(() => 'unknown' as const);
}

function describe(
  id: string,
  details: BackupDetails,
  startedAt: Date,
  parent: Snapshot | undefined,
  read: SourceRead,
  totals: BackupTotals,
): Snapshot {
  const { asset, type, host, user, paths, tags, program, progress } = details;
  const endedAt = details.now();
  return {
    id,
    asset,
    type,
    host,
    user,
    paths,
    tags,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    parent: parent?.id,
    root: read.root,
    statistics: {
      files: progress.files,
      directories: progress.directories,
      others: progress.others,
      bytesScanned: progress.bytesScanned,
      bytesRead: progress.bytesRead,
      bytesNew: totals.newBytes,
      bytesStored: totals.bytesStored,
      filesUnchanged: progress.filesUnchanged,
      chunks: totals.chunks,
      chunksNew: totals.newChunks,
      durationMs: Math.max(0, endedAt.getTime() - startedAt.getTime()),
    },
    problems: progress.problems,
    ...(read.volume === undefined ? {} : { volume: read.volume }),
    ...(read.facts === undefined ? {} : { facts: read.facts }),
    program,
  };
}

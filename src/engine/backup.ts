// One backup, from opening a session to the committed snapshot. Reads like the plan that it is: begin, look at the parent, read the source,
// make everything durable, commit.

import { randomBytes } from 'node:crypto';
import { isFault } from '../base/faults.ts';
import type { Snapshot, SnapshotRoot, SourceType, VolumeStat } from '../model/snapshot.ts';
import { hex, unhex } from '../repository/layout.ts';
import { isDeadFrom } from '../repository/process-state.ts';
import { readRegistered } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { BackupSession } from '../repository/sessions.ts';
import { openSnapshot, sealSnapshot } from '../repository/snapshots.ts';
import { isUnsound } from '../repository/unsound.ts';
import { endWriters, silencePolicy } from '../repository/writers.ts';
import { adoptOrphans } from './adopt-orphans.ts';
import { BackupPipeline, type BackupTotals } from './backup-pipeline.ts';
import type { BackupListener, BackupProgress } from './backup-progress.ts';
import { removeJournal, UploadJournal } from './upload-journal.ts';

export type BackupDetails = {
  readonly asset: string;
  readonly type: SourceType;
  readonly host: string;
  readonly user: string;
  readonly paths: readonly string[];
  readonly tags: readonly string[];
  readonly program: string;
  readonly now: () => Date;
  readonly threads: number;
  readonly level: number;
  readonly signal: AbortSignal;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
};

export type SourceContext = { readonly pipeline: BackupPipeline; readonly parent: Snapshot | undefined };

/** Reads the source into the pipeline. Answers the root of its map. */
export type ReadSource = (
  context: SourceContext,
) => Promise<{ readonly root: SnapshotRoot; readonly volume?: VolumeStat; readonly filesUnchanged?: number }>;

export async function backUp(repository: Repository, details: BackupDetails, readSource: ReadSource): Promise<Snapshot> {
  const { signal, progress } = details;
  const startedAt = details.now();
  const assetId = repository.keyring.assetId(details.asset);
  await endDeadWriters(repository, details);
  const session = await BackupSession.begin(repository.heads, { assetId: hex(assetId), process: repository.process }, { signal });
  const journal = new UploadJournal(repository.cacheDirectory, session.name);
  let pipeline: BackupPipeline | undefined;
  let snapshot: Snapshot | undefined;
  try {
    await repository.syncIndex(session.view.indexes, { signal });
    await adoptOrphans(repository, session, { signal });
    const parent = await findParent(repository, session, assetId, details.type);
    pipeline = new BackupPipeline({
      repository,
      write: {
        session: unhex(session.name),
        checkpoint: async (index) => void (await session.checkpoint([index])),
        onUpload: (pack) => journal.add(pack),
      },
      assetId,
      known: repository.source,
      privateRuns: repository.cacheDirectory,
      threads: details.threads,
      level: details.level,
      signal,
    });
    const read = await readSource({ pipeline, parent });
    const totals = await pipeline.finish();
    progress.bytesStored = totals.bytesStored;
    snapshot = describe(session.name, details, startedAt, parent, read, totals);
    const unpublished = totals.indexes.filter(({ id }) => !session.view.indexes.some((index) => index.id === id));
    await session.commit(sealSnapshot(repository, snapshot, assetId, randomBytes(12)), unpublished, { signal });
    removeJournal(repository.cacheDirectory, session.name);
    return snapshot;
  } catch (error) {
    // The commit may have happened although its answer was lost.
    if ((await giveUp(session, pipeline)) === 'committed' && snapshot !== undefined) return snapshot;
    throw pipeline?.failure ?? error;
  } finally {
    journal.close();
    await pipeline?.close();
  }
}

/** A writer that died between its commit and the registry is finished first, so that its chunks are known; others that are dead for certain
 *  leave what they uploaded to be adopted. */
async function endDeadWriters({ heads, process }: Repository, { now, signal }: BackupDetails): Promise<void> {
  const policy = silencePolicy({ now: now(), silenceMsMax: Number.POSITIVE_INFINITY, isDead: isDeadFrom(process) });
  await endWriters(heads, policy, 'a backup that found it dead', ({ kind }) => kind === 'backup', { signal });
}

/** Leaves what was uploaded to the next backup, as far as the store still answers; the journal stays for the rest. The fault that led here
 *  is the one to report. */
async function giveUp(
  session: BackupSession,
  pipeline: BackupPipeline | undefined,
): Promise<'abandoned' | 'committed' | 'unknown'> {
  await pipeline?.salvage().catch(() => {});
  return session.abandon().catch(() => 'unknown' as const);
}

/** The newest snapshot of the asset whose map may be shared. */
async function findParent(
  repository: Repository,
  session: BackupSession,
  assetId: Uint8Array,
  type: SourceType,
): Promise<Snapshot | undefined> {
  const name = hex(assetId);
  let parent: Snapshot | undefined;
  // Registered in the order of their commits: the last few are enough to find the newest start.
  for (const candidate of session.view.parents.filter((one) => one.assetId === name).slice(-3)) {
    const snapshot = await readUnlessForgotten(repository, candidate.session);
    if (snapshot === undefined) continue;
    // What it has lost must be read again.
    if (await isUnsound(repository.store, candidate.session)) continue;
    if (snapshot.type === type && (parent === undefined || snapshot.startedAt > parent.startedAt)) parent = snapshot;
  }
  return parent;
}

async function readUnlessForgotten(repository: Repository, session: string): Promise<Snapshot | undefined> {
  try {
    return openSnapshot(repository, await readRegistered(repository.heads, session));
  } catch (error) {
    if (isFault(error, 'SNAPSHOT_NOT_FOUND')) return undefined;
    throw error;
  }
}

function describe(
  id: string,
  details: BackupDetails,
  startedAt: Date,
  parent: Snapshot | undefined,
  read: { readonly root: SnapshotRoot; readonly volume?: VolumeStat },
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
    program,
  };
}

// A backup of an asset through the service.

import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { backUpTo, type ReadSource } from '../../src/engine/backup.ts';
import { type BackupProblem, BackupProgress } from '../../src/engine/backup-progress.ts';
import { displayPath } from '../../src/model/entry-path.ts';
import { backupResult, type Snapshot } from '../../src/model/snapshot.ts';
import { RemoteLog } from '../../src/remote/remote-log.ts';
import { RemoteTarget } from '../../src/remote/remote-target.ts';
import type { BaseBackupSource } from '../postgres/base-source.ts';
import { accountName } from './account-name.ts';
import { openAssetSource } from './asset-source.ts';
import { type DataPath, openDataPath } from './data-path.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';
import { ToldProblems } from './told-problems.ts';

export async function backupRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, signal, now, home } = context;
  const { run, asset } = claimed;
  if (asset === undefined) throw new Fault('MESSAGE_INVALID', `The run ${run.id} names no asset`);
  const data = openDataPath(context);
  const source = await openAssetSource(asset.source, {
    neverBackUp: settings.neverBackUp,
    secrets: home.secrets,
    signal,
    log: () => openLog(context, data, asset.name),
  });
  const directory = join(home.cache, run.id);
  makeDirectory(directory, { mode: 0o700 });
  const progress = new BackupProgress();
  const problems = new ToldProblems();
  const listener = { onProblem: (problem: BackupProblem) => problems.add(problem) };
  progress.problems += source.problems.length;
  source.problems.forEach(listener.onProblem);
  let stored = (): number => 0;
  context.watch(() => gaugeOf(progress, stored()));
  const readSource = source.read(progress, listener);
  const read: ReadSource = (opened) => {
    stored = () => opened.pipeline.bytesStored;
    return readSource(opened);
  };
  try {
    const target = new RemoteTarget({ ...data, runId: run.id, fence: run.fence, directory });
    const details = {
      asset: asset.name,
      type: source.type,
      host: hostname(),
      user: accountName(),
      paths: source.paths,
      tags: [],
      program: settings.program,
      now,
      threads: settings.threads,
      threadsAhead: context.threads,
      signal,
      progress,
      listener,
    };
    return outcomeOf(await backUpTo(target, details, read), problems, data);
  } finally {
    data.store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** For looking at: neither does this run write it, nor does its key read what is in it. A service of before lets no backup do that. */
async function openLog({ claimed: { run }, signal }: RunContext, data: DataPath, asset: string): Promise<BaseBackupSource['log']> {
  try {
    return { repository: await RemoteLog.open({ ...data, runId: run.id, fence: run.fence, signal }), asset };
  } catch (error) {
    if (isFault(error, 'RUN_FENCED')) return undefined;
    throw error;
  }
}

function outcomeOf(snapshot: Snapshot, problems: ToldProblems, { client, store }: DataPath): RunOutcome {
  return {
    state: snapshot.problems === 0 ? 'succeeded' : 'warned',
    result: {
      ...backupResult(snapshot),
      ...problems.describe(),
      /** Through the control plane, both ways; all else went straight to the store. */
      serviceBytes: client.bytesSent + client.bytesReceived,
      storeBytes: store.bytesStored,
    },
  };
}

function gaugeOf(
  { bytesDone, scanned, bytesScanned, entriesDone, current }: BackupProgress,
  bytesStored: number,
): ReturnType<Parameters<RunContext['watch']>[0]> {
  return {
    phase: scanned ? 'storing' : 'reading',
    bytesDone,
    ...(scanned ? { bytesTotal: bytesScanned } : {}),
    bytesStored,
    entriesDone,
    ...(current === '' ? {} : { current: displayPath(current).slice(0, 1000) }),
  };
}

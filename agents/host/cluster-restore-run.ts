// A restore of a database that somebody asked for: base and log come through the service, the server recovers on this host and is handed over.

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fault } from '../../src/base/faults.ts';
import { clusterFactsOf } from '../../src/engine/cluster-facts.ts';
import { findEntry } from '../../src/engine/entries-reader.ts';
import { LogView } from '../../src/engine/log-view.ts';
import type { RecoveryPlan } from '../../src/engine/recovery-plan.ts';
import { ClusterRestoreOrder } from '../../src/model/cluster-restore.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import { RemoteLog } from '../../src/remote/remote-log.ts';
import { RemoteReader } from '../../src/remote/remote-reader.ts';
import { DATA_DIRECTORY } from '../postgres/base-entries.ts';
import { keepLog } from '../postgres/held-log.ts';
import { RecoveryProgress } from '../postgres/recovery-progress.ts';
import { type RestoredCluster, restoreCluster } from '../postgres/restore.ts';
import { serverFactsOf, usualPrograms } from '../postgres/server-programs.ts';
import { type DataPath, openDataPath } from './data-path.ts';
import { barrierTo } from './reachable.ts';
import { checkPlace, makeRestoreDirectory } from './restore-place.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome, RunProgress } from './run-messages.ts';

/** Started by the recovering server for each file of log. */
export const PROGRAM: readonly string[] = [fileURLToPath(new URL('../../bin/holdfast', import.meta.url))];

export type RemoteBase = {
  readonly data: DataPath;
  /** Of the base backup that the run names. */
  readonly reader: RemoteReader;
  readonly view: LogView;
  readonly close: () => Promise<void>;
};

/** A base backup and the log of its asset, opened for reading. LOG_GAP when there is no log. */
export async function openRemoteBase(context: RunContext, incarnation: string | undefined): Promise<RemoteBase> {
  const { run, asset } = context.claimed;
  const data = openDataPath(context);
  const where = { ...data, runId: run.id, fence: run.fence, signal: context.signal };
  let reader: RemoteReader | undefined;
  const close = async (): Promise<void> => {
    await reader?.close();
    data.store.close();
  };
  try {
    reader = await RemoteReader.open(where);
    const log = await RemoteLog.open(where);
    const view = await LogView.open(log, log.keyring.assetId(asset!.name), incarnation, { signal: context.signal });
    if (view === undefined) throw new Fault('LOG_GAP', `There is no log of "${asset!.name}"`);
    return { data, reader, view, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Where a copy that is only looked at lies: a place that the server's user can reach. `asked`: a directory, or anything else. */
export async function sandboxPlace({ settings, home }: RunContext, { reader }: RemoteBase, asked: unknown): Promise<string> {
  if (typeof asked === 'string' && asked !== 'scratch') return makeRestoreDirectory(asked, settings.allowRestore);
  const owner = await findEntry(reader.snapshot.root.reference, reader.readNode, DATA_DIRECTORY);
  const isReachable = (place: string): boolean => owner === undefined || barrierTo(join(place, 'copy'), owner) === undefined;
  return [home.restores, tmpdir()].find(isReachable) ?? tmpdir();
}

export async function clusterRestoreRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, signal } = context;
  const order = readMessage(ClusterRestoreOrder, { ...claimed.run.parameters }, 'The order of the restore');
  const { target, tablespaces = {} } = order;
  // Before anything is asked for or read.
  for (const place of [target, ...Object.values(tablespaces)]) checkPlace(place, settings.allowRestore);
  const began = performance.now();
  const remote = await openRemoteBase(context, order.incarnation);
  const progress = new RecoveryProgress();
  context.watch(() => gaugeOf(progress));
  try {
    const { reader, view } = remote;
    const entry = await findEntry(reader.snapshot.root.reference, reader.readNode, DATA_DIRECTORY);
    const barrier = entry === undefined ? undefined : barrierTo(target, entry);
    if (barrier !== undefined)
      throw new Fault('TARGET_DENIED', `The restored server runs as the user ${entry!.uid}, who may not enter "${barrier}"`, {
        hint: 'Restore to a directory that this user can reach, and allow it with "holdfast agent --allow-restore DIR".',
      });
    const cluster = clusterFactsOf(view, [reader.snapshot]);
    const plan = { kind: 'plan', stopAt: undefined, ...order.plan } as RecoveryPlan;
    const restored = await restoreCluster({
      repository: reader,
      cluster,
      plan,
      program: PROGRAM,
      helper: {},
      threads: settings.threads,
      settings: {},
      signal,
      dataDirectory: makeRestoreDirectory(target, settings.allowRestore),
      delta: order.delta === true,
      tablespaces,
      programs: usualPrograms(serverFactsOf(reader.snapshot), settings.serverPrograms),
      action: order.handOver === 'paused' ? 'pause' : 'promote',
      progress,
      onStep: () => {},
    });
    if (order.handOver === 'paused')
      await keepLog(restored.sandbox, { cluster, plan }, serverFactsOf(reader.snapshot), restored.owner);
    await restored.finish();
    if (order.handOver === 'stopped') {
      await restored.server.stop();
      rmSync(restored.sandbox, { recursive: true, force: true });
    } else restored.server.leave();
    return outcomeOf(order, remote, restored, progress, Math.round(performance.now() - began));
  } finally {
    await remote.close();
  }
}

function outcomeOf(
  order: ClusterRestoreOrder,
  { data }: RemoteBase,
  restored: RestoredCluster,
  progress: RecoveryProgress,
  durationMs: number,
): RunOutcome {
  const { achieved, position, timeline, server, baseMs, logMs, logFiles, collations } = restored;
  const { host, port, user } = server.address;
  return {
    state: collations.length === 0 ? 'succeeded' : 'warned',
    result: {
      snapshot: order.snapshot,
      target: order.target,
      requested: order.requested,
      achieved:
        achieved === undefined ? null : { time: textOfMicros(achieved.time), lsn: formatLsn(achieved.position), xid: achieved.id },
      replayedTo: formatLsn(position),
      timeline,
      handOver: order.handOver,
      ...(order.handOver === 'stopped' ? {} : { server: { socketDirectory: host, port, user, processId: server.pid } }),
      bytes: progress.bytesDone,
      bytesFetched: progress.bytesFetched,
      bytesKept: progress.bytesKept,
      logFiles,
      baseMs: Math.round(baseMs),
      logMs: Math.round(logMs),
      durationMs,
      ...(collations.length === 0 ? {} : { collations: collations.slice(0, 20) }),
      serviceBytes: data.client.bytesSent + data.client.bytesReceived,
      storeBytes: data.store.bytesFetched,
    },
  };
}

export function gaugeOf(progress: RecoveryProgress): RunProgress {
  const remainingMs = progress.remainingMs(performance.now());
  return {
    phase: progress.phase,
    bytesDone: Math.round(progress.allBytesDone),
    bytesTotal: Math.max(progress.allBytesTotal, Math.round(progress.allBytesDone)),
    entriesDone: progress.entriesDone,
    ...(remainingMs === undefined ? {} : { current: `about ${Math.ceil(remainingMs / 1000)} s left` }),
  };
}

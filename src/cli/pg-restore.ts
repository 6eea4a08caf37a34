// Brings a cluster back to a place in its log.

import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ServerAddress } from '../../agents/postgres/connection-string.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { shellWord } from '../../agents/postgres/recovery-settings.ts';
import { type RestoredCluster, restoreCluster } from '../../agents/postgres/restore.ts';
import type { ServerFacts } from '../../agents/postgres/server-facts.ts';
import { usualPrograms } from '../../agents/postgres/server-programs.ts';
import { EXIT, Fault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { baseFactsOf } from '../engine/cluster-facts.ts';
import type { RecoveryPlan, RecoveryTarget } from '../engine/recovery-plan.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn } from '../model/lsn.ts';
import { withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import { clusterOf } from './pg-cluster.ts';
import { watchRecovery } from './pg-progress.ts';
import { describe, helperOf, PROGRAM, planFields, planFor, requestedText, targetOf } from './pg-target.ts';
import { pinned } from './pinned.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

const INTERRUPTED_HINT =
  'The directory is not whole, and no server starts in it as if it were. Run the same command again to go on.';

export async function pgRestore(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const target = targetOf(options);
  const isDryRun = options.flag('dry-run');
  const directory = options.text('target');
  if (directory === undefined && !isDryRun) throw usage('Name the new data directory with --target');
  const tablespaces = tablespacesOf(options);
  return withRepository(invocation, async (repository) => {
    const began = performance.now();
    const { asset, cluster } = await clusterOf(invocation, repository);
    const plan = await planFor(invocation, asset, cluster, target);
    if (isDryRun) {
      output.summary('pg restore', { asset, dryRun: true, ...planFields(plan) });
      return 0;
    }
    const { version } = JSON.parse(baseFactsOf(cluster.snapshots.get(plan.base.snapshot)!).server) as ServerFacts;
    const progress = new RecoveryProgress();
    const stop = watchRecovery(output, progress);
    let restored: RestoredCluster;
    try {
      // The pin holds the base and its log: neither retention nor a prune takes them away meanwhile.
      restored = await pinned(invocation, repository, cluster.snapshots.get(plan.base.snapshot)!, () =>
        restoreCluster({
          repository,
          cluster,
          plan,
          dataDirectory: resolve(directory!),
          delta: options.flag('delta'),
          tablespaces,
          programs: options.text('bin-dir') ?? usualPrograms({ version }),
          action: options.flag('pause') ? 'pause' : 'promote',
          program: PROGRAM,
          helper: helperOf(invocation, asset),
          threads: threadsOf(options),
          settings: {},
          signal,
          progress,
          onStep: (step) => output.detail(`restore: ${step}`),
        }),
      );
    } catch (error) {
      throw signal.aborted
        ? new Fault('INTERRUPTED', 'The restore was interrupted', { hint: INTERRUPTED_HINT, cause: error })
        : error;
    } finally {
      stop();
    }
    const isLeft = options.flag('pause') || options.flag('leave-running');
    await restored.finish();
    if (isLeft) restored.server.leave();
    else {
      await restored.server.stop();
      rmSync(restored.sandbox, { recursive: true, force: true });
    }
    report(invocation, asset, target, plan, restored, performance.now() - began, progress, isLeft);
    for (const collation of restored.collations) output.warning(collation, {});
    return restored.collations.length > 0 ? EXIT.warnings : 0;
  });
}

export function tablespacesOf(options: OptionValues): Record<string, string> {
  return Object.fromEntries(
    options.texts('tablespace').map((text) => {
      const match = /^(\d+)=(.+)$/.exec(text);
      if (match === null) throw usage(`--tablespace must be OID=DIR; "${text}" is not`);
      return [match[1]!, resolve(match[2]!)];
    }),
  );
}

/** As it can be typed: names may be of any kind. */
function psqlOf({ host, port, user, database }: ServerAddress): string {
  const word = (text: string): string => (/^[\w./-]+$/.test(text) ? text : shellWord(text));
  return `psql -h ${word(host)} -p ${port} -U ${word(user)} -d ${word(database)}`;
}

function report(
  invocation: Invocation,
  asset: string,
  target: RecoveryTarget,
  plan: RecoveryPlan,
  restored: RestoredCluster,
  durationMs: number,
  { bytesDone, bytesFetched, bytesKept }: RecoveryProgress,
  isLeft: boolean,
): void {
  const { output, options } = invocation;
  const { achieved, position, timeline, server, sandbox, baseMs, logMs, logFiles } = restored;
  const requested = requestedText(target);
  output.line(`${asset} is back in ${options.text('target')}`);
  output.line(`  requested ${requested}`);
  output.line(
    `  achieved  ${achieved === undefined ? `the base backup, ${textOfMicros(plan.base.stoppedAt)}` : describe(achieved)}`,
  );
  output.line(
    `  ${formatBytes(bytesDone)} of base${bytesKept > 0 ? ` (${formatBytes(bytesKept)} were there already)` : ''} in ${formatDuration(baseMs)}, ${logFiles} log files replayed in ${formatDuration(logMs)}; took ${formatDuration(durationMs)}`,
  );
  if (isLeft) output.line(`  It runs: ${psqlOf(server.address)} (process ${server.pid})`);
  else output.line('  It is stopped and ready to be started.');
  output.summary('pg restore', {
    asset,
    requested,
    ...planFields(plan),
    achieved:
      achieved === undefined
        ? null
        : { time: textOfMicros(achieved.time), position: formatLsn(achieved.position), transaction: achieved.id },
    replayedTo: formatLsn(position),
    newTimeline: timeline,
    bytesFetched,
    bytesKept,
    baseMs: Math.round(baseMs),
    logMs: Math.round(logMs),
    durationMs: Math.round(durationMs),
    ...(isLeft ? { socketDirectory: sandbox, port: server.address.port, processId: server.pid } : {}),
  });
}

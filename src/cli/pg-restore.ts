// Brings a cluster back to a place in its log.

import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RestoredCluster, restoreCluster } from '../../agents/postgres/restore.ts';
import type { ServerFacts } from '../../agents/postgres/server-facts.ts';
import { Fault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { baseFactsOf, type ClusterFacts } from '../engine/cluster-facts.ts';
import { planRecovery, type RecoveryPlan, type RecoveryTarget, recoveryWindow } from '../engine/recovery-plan.ts';
import { RestoreProgress } from '../engine/restore-progress.ts';
import { microsOfText, textOfMicros } from '../model/instant-text.ts';
import { formatLsn, parseLsn } from '../model/lsn.ts';
import { cacheDirectoryOf, locationOf, withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import type { Output } from './output.ts';
import { clusterOf } from './pg-cluster.ts';
import { watch } from './progress-line.ts';
import { shortId } from './snapshot-fields.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

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
    const timeline = options.count('timeline') ?? cluster.view.timeline;
    const plan = await planRecovery(cluster.facts, timeline, target);
    if (plan.kind !== 'plan')
      throw new Fault(
        plan.kind === 'gap' ? 'LOG_GAP' : 'RECOVERY_REFUSED',
        `"${asset}" cannot be brought back there: ${plan.reason}. ${await windowText(cluster, timeline)}`,
      );
    tellPlan(output, plan);
    if (isDryRun) {
      output.summary('pg restore', { asset, dryRun: true, ...planFields(plan) });
      return 0;
    }
    const facts = baseFactsOf(cluster.snapshots.get(plan.base.snapshot)!);
    const { version } = JSON.parse(facts.server) as ServerFacts;
    const progress = new RestoreProgress();
    const stop = watch(output, () => ({
      bytesDone: progress.bytesDone,
      bytesTotal: undefined,
      notes: [`${progress.entriesDone} files`],
      fields: { bytesDone: progress.bytesDone, entriesDone: progress.entriesDone },
    }));
    let restored: RestoredCluster;
    try {
      restored = await restoreCluster({
        repository,
        cluster,
        plan,
        dataDirectory: resolve(directory!),
        tablespaces,
        programs: options.text('bin-dir') ?? `/usr/lib/postgresql/${Number.parseInt(version, 10)}/bin`,
        action: options.flag('pause') ? 'pause' : 'promote',
        program: [PROGRAM],
        helper: helperOf(invocation, asset),
        threads: threadsOf(options),
        settings: {},
        signal,
        progress,
        onStep: (step) => output.detail(`restore: ${step}`),
      });
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
    report(invocation, asset, target, plan, restored, performance.now() - began, progress.bytesDone, isLeft);
    return 0;
  });
}

function targetOf(options: OptionValues): RecoveryTarget {
  const given = ['time', 'lsn', 'xid', 'name'].filter((name) => options.text(name) !== undefined);
  if (options.flag('latest')) given.push('latest');
  if (given.length !== 1) throw usage('Give one of --time, --lsn, --xid, --name and --latest');
  const [time, lsn, name] = [options.text('time'), options.text('lsn'), options.text('name')];
  if (time !== undefined) {
    const micros = microsOfText(time);
    if (micros === undefined)
      throw usage(
        `"${time}" is not a moment`,
        'Give RFC 3339 with an offset, e.g. 2026-05-04T10:15:30+08:00: without one nobody knows which moment is meant.',
      );
    return { kind: 'time', time: micros };
  }
  if (lsn !== undefined) {
    const position = parseLsn(lsn);
    if (position === undefined) throw usage(`"${lsn}" is not a place in a log, such as 0/3000060`);
    return { kind: 'position', position };
  }
  if (name !== undefined) return { kind: 'point', name };
  const id = options.count('xid');
  return id === undefined ? { kind: 'latest' } : { kind: 'transaction', id };
}

function tablespacesOf(options: OptionValues): Record<string, string> {
  return Object.fromEntries(
    options.texts('tablespace').map((text) => {
      const match = /^(\d+)=(.+)$/.exec(text);
      if (match === null) throw usage(`--tablespace must be OID=DIR; "${text}" is not`);
      return [match[1]!, resolve(match[2]!)];
    }),
  );
}

/** For a helper that finds nobody at the socket: it opens the repository by itself. */
function helperOf(invocation: Invocation, asset: string): Record<string, unknown> {
  const { options, environment } = invocation;
  const passphraseFile = options.text('passphrase-file') ?? environment.variables.HOLDFAST_PASSPHRASE_FILE;
  return {
    location: locationOf(options, environment),
    asset,
    cacheDirectory: cacheDirectoryOf(invocation),
    ...(passphraseFile === undefined ? {} : { passphraseFile: resolve(passphraseFile) }),
  };
}

async function windowText({ facts }: ClusterFacts, timeline: number): Promise<string> {
  const intervals = await recoveryWindow(facts, timeline);
  if (intervals.length === 0) return 'Nothing can be restored yet.';
  return `What can be restored: ${intervals.map(({ from, to }) => `${textOfMicros(from.time)} to ${textOfMicros(to.time)}`).join('; ')}.`;
}

function tellPlan(output: Output, { base, legs, stopAt }: RecoveryPlan): void {
  const bytes = legs.reduce((sum, { from, to }) => sum + to - from, 0);
  output.notice(
    `Base backup ${shortId(base.snapshot)} and ${formatBytes(bytes)} of log, up to ${stopAt === undefined ? 'where it is consistent' : describe(stopAt)}`,
  );
}

function describe({ kind, id, position, time, text }: NonNullable<RecoveryPlan['stopAt']>): string {
  const what = kind === 'point' ? `the restore point "${text}"` : `the commit of transaction ${id}`;
  return `${what} at ${formatLsn(position)} of ${textOfMicros(time)}`;
}

function planFields({ base, stopAt, timeline, legs }: RecoveryPlan): Record<string, unknown> {
  return {
    base: base.snapshot,
    timeline,
    logBytes: legs.reduce((sum, { from, to }) => sum + to - from, 0),
    stopAt:
      stopAt === undefined
        ? null
        : { position: formatLsn(stopAt.position), time: textOfMicros(stopAt.time), transaction: stopAt.id },
  };
}

function report(
  invocation: Invocation,
  asset: string,
  target: RecoveryTarget,
  plan: RecoveryPlan,
  restored: RestoredCluster,
  durationMs: number,
  bytes: number,
  isLeft: boolean,
): void {
  const { output, options } = invocation;
  const { achieved, position, timeline, server, sandbox, baseMs, logMs, logFiles } = restored;
  const requested =
    target.kind === 'time' ? textOfMicros(target.time) : target.kind === 'position' ? formatLsn(target.position) : target.kind;
  output.line(`${asset} is back in ${options.text('target')}`);
  output.line(`  requested ${requested}`);
  output.line(
    `  achieved  ${achieved === undefined ? `the base backup, ${textOfMicros(plan.base.stoppedAt)}` : describe(achieved)}`,
  );
  output.line(
    `  ${formatBytes(bytes)} of base in ${formatDuration(baseMs)}, ${logFiles} log files replayed in ${formatDuration(logMs)}; took ${formatDuration(durationMs)}`,
  );
  if (isLeft)
    output.line(`  It runs: psql -h ${sandbox} -p ${server.address.port} -U ${server.address.user} (process ${server.pid})`);
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
    baseMs: Math.round(baseMs),
    logMs: Math.round(logMs),
    durationMs: Math.round(durationMs),
    ...(isLeft ? { socketDirectory: sandbox, port: server.address.port, processId: server.pid } : {}),
  });
}

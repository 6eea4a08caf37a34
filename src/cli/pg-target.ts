// The place that a verb is to bring a cluster back to: from options to a plan, and in words.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fault } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import type { ClusterFacts } from '../engine/cluster-facts.ts';
import { planRecovery, type RecoveryPlan, type RecoveryTarget, recoveryWindow } from '../engine/recovery-plan.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn, parseLsn } from '../model/lsn.ts';
import { microsOf } from './moment.ts';
import { cacheDirectoryOf, locationOf } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import type { Output } from './output.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

/** Started by a recovering server for each file of log. */
export const PROGRAM: readonly string[] = [fileURLToPath(new URL('../../bin/holdfast', import.meta.url))];

export function hasTarget(options: OptionValues): boolean {
  return givenTargets(options).length > 0;
}

function givenTargets(options: OptionValues): string[] {
  const given = ['time', 'lsn', 'name'].filter((name) => options.text(name) !== undefined);
  if (options.count('xid') !== undefined) given.push('xid');
  if (options.flag('latest')) given.push('latest');
  return given;
}

export function targetOf(options: OptionValues): RecoveryTarget {
  const given = givenTargets(options);
  if (given.length !== 1) throw usage('Give one of --time, --lsn, --xid, --name and --latest');
  const [time, lsn, name] = [options.text('time'), options.text('lsn'), options.text('name')];
  if (time !== undefined) return { kind: 'time', time: microsOf(time) };
  if (lsn !== undefined) {
    const position = parseLsn(lsn);
    if (position === undefined) throw usage(`"${lsn}" is not a place in a log, such as 0/3000060`);
    return { kind: 'position', position };
  }
  if (name !== undefined) return { kind: 'point', name };
  const id = options.count('xid');
  return id === undefined ? { kind: 'latest' } : { kind: 'transaction', id };
}

/** What was asked for. */
export function requestedText(target: RecoveryTarget): string {
  if (target.kind === 'time') return textOfMicros(target.time);
  return target.kind === 'position' ? formatLsn(target.position) : target.kind;
}

/** RECOVERY_REFUSED and LOG_GAP with what can be restored instead. */
export async function planFor(
  { options, output }: Invocation,
  asset: string,
  cluster: ClusterFacts,
  target: RecoveryTarget,
): Promise<RecoveryPlan> {
  const named = options.count('timeline');
  const timeline = named ?? cluster.view.timeline;
  const plan = await planRecovery(cluster.facts, timeline, target, named !== undefined);
  if (plan.kind !== 'plan')
    throw new Fault(
      plan.kind === 'gap' ? 'LOG_GAP' : 'RECOVERY_REFUSED',
      `"${asset}" cannot be brought back there: ${plan.reason}. ${await windowText(cluster, timeline)}`,
    );
  tellPlan(output, plan);
  return plan;
}

/** For a helper that finds nobody at the socket: it opens the repository by itself. */
export function helperOf(invocation: Invocation, asset: string): Record<string, unknown> {
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

export function describe({ kind, id, position, time, text }: NonNullable<RecoveryPlan['stopAt']>): string {
  const what = kind === 'point' ? `the restore point "${text}"` : `the commit of transaction ${id}`;
  return `${what} at ${formatLsn(position)} of ${textOfMicros(time)}`;
}

export function planFields({ base, stopAt, timeline, legs }: RecoveryPlan): Record<string, unknown> {
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

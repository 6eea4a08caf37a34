// Drops snapshots: those that a retention policy does not keep, or those that are named. Their space comes back with "prune", which may follow
// in the same run.

import { EXIT, Fault, isFault } from '../base/faults.ts';
import { isBase } from '../engine/cluster-facts.ts';
import { judgeBases } from '../engine/cluster-retention.ts';
import type { JudgedBase } from '../engine/log-retention.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { type ForgetGroup, type ForgetPlan, planForget, type RetentionPolicy } from '../policy/retention.ts';
import { forgetSnapshots } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { sessionNamed } from '../repository/snapshots.ts';
import { withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import { pruneAndTrim, pruneLimits } from './prune.ts';
import { selectSnapshot, selectSnapshots } from './select.ts';
import { shortId, snapshotFields } from './snapshot-fields.ts';
import { formatTime, tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

/** Of what follows with --prune. */
const PRUNE_OPTIONS = ['max-unused', 'revoke-after'] as const;
const HOUR_MS = 3_600_000;
const SPANS_MS: Readonly<Record<string, number>> = {
  h: HOUR_MS,
  d: 24 * HOUR_MS,
  w: 7 * 24 * HOUR_MS,
  m: 30 * 24 * HOUR_MS,
  y: 365 * 24 * HOUR_MS,
};

export function forget(invocation: Invocation): Promise<number> {
  const { options, output, args } = invocation;
  const policy = policyOf(options);
  const hasRules = Object.keys(policy).length > 0;
  if (hasRules && args.length > 0) throw usage('Snapshots are forgotten by name or by rules, not by both');
  if (!hasRules && args.length === 0) throw usage('Say which snapshots to keep (--keep-last 7 ...), or name those to forget');
  const dryRun = options.flag('dry-run');
  const limits = options.flag('prune') ? pruneLimits(options) : undefined;
  if (limits === undefined && PRUNE_OPTIONS.some((name) => options.text(name) !== undefined))
    throw usage(`${PRUNE_OPTIONS.map((name) => `--${name}`).join(' and ')} are for "forget --prune"`);
  return withRepository(invocation, async (repository) => {
    const damaged = new Set<string>();
    const plan =
      args.length > 0
        ? await planOfNames(invocation, repository, damaged)
        : await planOfRules(invocation, repository, policy, damaged);
    print(invocation, plan);
    const dropped = plan.groups.flatMap((group) => group.dropped.map(({ snapshot }) => snapshot.id));
    if (args.length > 0) dropped.push(...damaged);
    const kept = plan.groups.reduce((sum, group) => sum + group.kept.length, 0);
    const left = dryRun || dropped.length === 0 ? undefined : await drop(invocation, repository, new Set(dropped));
    output.notice(
      `${dryRun ? 'Would forget' : 'Forgot'} ${dropped.length} snapshots${hasRules ? `, kept ${kept}` : ''}${dropped.length > 0 && (limits === undefined || dryRun) ? '; "holdfast prune" frees their space' : ''}`,
    );
    // What is forgotten in a dry run is still there: what a prune would free then nobody can say.
    const pruned = limits === undefined || dryRun ? undefined : await pruneAndTrim(invocation, repository, limits);
    if (left !== undefined)
      output.warning(`They are forgotten, and something is left of them that a later "prune" deletes: ${left.message}`, {
        code: left.code,
      });
    output.summary('forget', {
      dryRun,
      forgotten: dropped.length,
      kept,
      snapshots: dropped,
      damaged: damaged.size,
      ...(pruned === undefined ? {} : { prune: pruned.summary }),
    });
    if (damaged.size > 0 && hasRules) return EXIT.damage;
    return pruned?.exit || (left === undefined ? 0 : EXIT.warnings);
  });
}

/** Answers why something is left of snapshots that are forgotten: who may change the head may not always delete. */
async function drop({ signal }: Invocation, { heads }: Repository, sessions: ReadonlySet<string>): Promise<Fault | undefined> {
  try {
    await forgetSnapshots(heads, sessions, { signal });
  } catch (error) {
    if (!isFault(error)) throw error;
    const head = await heads.read({ signal }).catch(() => undefined);
    if (head === undefined || head.snapshots.some(({ session }) => sessions.has(session))) throw error;
    return error;
  }
  return undefined;
}

/** What a database cluster needs stays, whatever the rules say: the bases of the window, or at least of the newest moment. */
async function planOfRules(
  { options, output, signal }: Invocation,
  repository: Repository,
  policy: RetentionPolicy,
  damaged: Set<string>,
): Promise<ForgetPlan<Snapshot>> {
  const snapshots = await selectSnapshots(repository, options, signal, ({ session, fault }) => {
    damaged.add(session);
    output.warning(`${fault.message}; it is kept`, { code: fault.code, snapshot: session });
  });
  const now = new Date();
  const { keepWindowMs } = policy;
  const since = keepWindowMs === undefined ? Number.POSITIVE_INFINITY : (now.getTime() - keepWindowMs) * 1000;
  const judged = await judgeAll(repository, snapshots, since, signal);
  const held = ({ id }: Snapshot): string | undefined => {
    const one = judged.get(id);
    return one?.isNeeded === true ? one.reason : undefined;
  };
  return planForget(snapshots, policy, { ...planOptions(options), now, held });
}

async function judgeAll(
  repository: Repository,
  snapshots: readonly Snapshot[],
  since: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, JudgedBase>> {
  const assets = new Set(snapshots.filter(isBase).map(({ asset }) => asset));
  const judged = new Map<string, JudgedBase>();
  for (const asset of assets) for (const [id, one] of await judgeBases(repository, asset, since, signal)) judged.set(id, one);
  return judged;
}

/** Those that cannot be read any more go to `damaged`. */
async function planOfNames(invocation: Invocation, repository: Repository, damaged: Set<string>): Promise<ForgetPlan<Snapshot>> {
  const { args, options, output, signal } = invocation;
  const named = new Map<string, Snapshot>();
  for (const name of args) {
    try {
      const snapshot = await selectSnapshot(repository, name, invocation);
      named.set(snapshot.id, snapshot);
    } catch (error) {
      if (!isFault(error, 'SNAPSHOT_DAMAGED') || name.startsWith('latest')) throw error;
      const session = sessionNamed(repository, await repository.heads.read({ signal }), name);
      damaged.add(session);
      output.record('forgotten', { reason: 'it was named', id: session, damaged: error.message });
      output.line(`  forget  ${shortId(session)}  damaged: ${error.message}`);
    }
  }
  if (!options.flag('allow-empty')) await mustLeaveWindow(repository, [...named.values()], signal);
  const groups = new Map<string, Snapshot[]>();
  for (const snapshot of named.values()) groups.set(snapshot.asset, [...(groups.get(snapshot.asset) ?? []), snapshot]);
  return {
    groups: [...groups].map(([group, snapshots]) => ({
      group,
      kept: [],
      dropped: snapshots.map((snapshot) => ({ snapshot, reason: 'it was named' })),
    })),
  };
}

/** RETENTION_DROPS_ALL when the newest moment of a cluster could not be restored any more. */
async function mustLeaveWindow(repository: Repository, named: readonly Snapshot[], signal: AbortSignal): Promise<void> {
  const judged = await judgeAll(repository, named, Number.POSITIVE_INFINITY, signal);
  for (const { id, asset } of named) {
    const one = judged.get(id);
    if (one?.isNeeded !== true) continue;
    throw new Fault(
      'RETENTION_DROPS_ALL',
      `The recovery window of "${asset}" needs the base backup ${shortId(id)}: ${one.reason}`,
      {
        hint: 'Wait for the next base backup, or say that you mean it with --allow-empty.',
      },
    );
  }
}

function policyOf(options: OptionValues): RetentionPolicy {
  const counts = [
    ['keepLast', 'keep-last'],
    ['keepHourly', 'keep-hourly'],
    ['keepDaily', 'keep-daily'],
    ['keepWeekly', 'keep-weekly'],
    ['keepMonthly', 'keep-monthly'],
    ['keepYearly', 'keep-yearly'],
  ] as const;
  const policy: Record<string, unknown> = {};
  for (const [field, option] of counts) {
    const count = options.count(option);
    if (count !== undefined) policy[field] = count;
  }
  const within = options.text('keep-within');
  if (within !== undefined) policy.keepWithinMs = parseSpan(within);
  const window = options.text('keep-window');
  if (window !== undefined) policy.keepWindowMs = parseSpan(window, '--keep-window');
  const tags = options.texts('keep-tag').map((text) => text.split(',').map((tag) => tag.trim()));
  if (tags.length > 0) policy.keepTags = tags;
  return policy as RetentionPolicy;
}

/** "7d", "1y6m", "36h": hours, days, weeks, months of 30 and years of 365 days. */
export function parseSpan(text: string, option = '--keep-within'): number {
  let ms = 0;
  let rest = text.trim();
  for (let match = /^(\d{1,6})\s*([hdwmy])\s*/i.exec(rest); match !== null; match = /^(\d{1,6})\s*([hdwmy])\s*/i.exec(rest)) {
    ms += Number(match[1]) * SPANS_MS[match[2]!.toLowerCase()]!;
    rest = rest.slice(match[0].length);
  }
  if (rest !== '' || ms === 0) throw usage(`${option} must be a time such as 36h, 14d or 1y6m; "${text}" is not`);
  return ms;
}

function planOptions(options: OptionValues): { readonly timeZone: string; readonly allowEmptyGroups: boolean } {
  const timeZone = options.text('time-zone') ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  return { timeZone, allowEmptyGroups: options.flag('allow-empty') };
}

function print({ output }: Invocation, plan: ForgetPlan<Snapshot>): void {
  for (const group of plan.groups) {
    for (const { snapshot, reasons } of group.kept) output.record('kept', { reasons, ...snapshotFields(snapshot) });
    for (const { snapshot, reason } of group.dropped) output.record('forgotten', { reason, ...snapshotFields(snapshot) });
    output.line(`${group.group}:`);
    for (const line of tableLines(
      [{ title: '' }, { title: 'id' }, { title: 'time' }, { title: 'tags' }, { title: 'why' }],
      rowsOf(group),
    ))
      output.line(`  ${line}`);
  }
}

function rowsOf({ kept, dropped }: ForgetGroup<Snapshot>): string[][] {
  const row = (what: string, { id, startedAt, tags }: Snapshot, why: string): string[] => [
    what,
    shortId(id),
    formatTime(startedAt),
    tags.map(displayPath).join(','),
    why,
  ];
  return [
    ...kept.map(({ snapshot, reasons }) => row('keep', snapshot, reasons.join('; '))),
    ...dropped.map(({ snapshot, reason }) => row('forget', snapshot, reason)),
  ];
}

// Which snapshots to keep: a pure plan, group by group. Nothing is forgotten here; `--dry-run` prints what this answers.
//
// The rules, each for itself; a snapshot stays when one of them keeps it:
// - last N: the newest N.
// - hourly, daily, weekly, monthly, yearly N: of each of the newest N hours (days, ISO weeks, months, years) that hold a snapshot at all,
//   the newest one. Empty ones do not count: after a holiday nothing is dropped that would have stayed without it. Where they begin is a
//   matter of the time zone.
// - within T: whatever is at most T older than the newest snapshot of the group. Not than now: when backups stop, nothing is dropped
//   by the mere passing of time.
// - window T: every state of the last T: whatever began since, and the newest before. This one looks at the clock.
// - tags: whatever has all tags of one of the lists.
// "Newest" is by the start; of snapshots that started together, by the id. What began after now was made under a clock that was ahead: it stays and
// counts for nothing. It would be the newest until its time has come, and push out every backup that is made until then.
//
// A policy without a rule is refused, and so is one that would drop every snapshot of a group: both are slips far more often than wishes.

import { Fault } from '../base/faults.ts';
import { type Calendar, calendarOf } from './calendar.ts';

export type RetentionPolicy = {
  readonly keepLast?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepWithinMs?: number;
  readonly keepWindowMs?: number;
  readonly keepTags?: readonly (readonly string[])[];
};

/** What the plan looks at; a `Snapshot` of the model is one. */
export type RetentionSnapshot = {
  readonly id: string;
  readonly asset: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly tags: readonly string[];
};

export type ForgetOptions<S extends RetentionSnapshot> = {
  /** IANA name; decides where an hour, day, week, month and year begin. Default UTC. */
  readonly timeZone?: string;
  /** Snapshots that share it are judged together. Default: the asset. */
  readonly groupOf?: (snapshot: S) => string;
  /** A policy that keeps nothing of a group is refused unless this is true. */
  readonly allowEmptyGroups?: boolean;
  /** Sets apart what began later. Required by `keepWindowMs`. */
  readonly now?: Date;
  /** Why a snapshot stays whatever the rules say; undefined: nothing but the rules keeps it. */
  readonly held?: (snapshot: S) => string | undefined;
};

export type KeptSnapshot<S> = {
  readonly snapshot: S;
  /** At least one; for people, e.g. "the newest of the day 2026-03-29". */
  readonly reasons: readonly string[];
};
export type DroppedSnapshot<S> = { readonly snapshot: S; readonly reason: string };

export type ForgetGroup<S> = {
  readonly group: string;
  /** Newest first, both. */
  readonly kept: readonly KeptSnapshot<S>[];
  readonly dropped: readonly DroppedSnapshot<S>[];
};
/** Groups in the order of their names. */
export type ForgetPlan<S> = { readonly groups: readonly ForgetGroup<S>[] };

const COUNTS = ['keepLast', 'keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepYearly'] as const;
const PERIODS = [
  ['keepHourly', 'hour'],
  ['keepDaily', 'day'],
  ['keepWeekly', 'week'],
  ['keepMonthly', 'month'],
  ['keepYearly', 'year'],
] as const satisfies readonly (readonly [keyof RetentionPolicy, keyof Calendar])[];

/** RETENTION_EMPTY when the policy has no rule; RETENTION_DROPS_ALL when nothing of a group would be kept; USAGE for a number or time
 *  zone that is none. */
export function planForget<S extends RetentionSnapshot>(
  snapshots: readonly S[],
  policy: RetentionPolicy,
  options: ForgetOptions<S> = {},
): ForgetPlan<S> {
  checkPolicy(policy);
  const { timeZone = 'UTC', groupOf = ({ asset }) => asset, allowEmptyGroups = false } = options;
  const calendar = openCalendar(timeZone);
  const groups = new Map<string, S[]>();
  for (const snapshot of snapshots) {
    const group = groupOf(snapshot);
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [snapshot]);
    else members.push(snapshot);
  }
  const names = [...groups.keys()].sort();
  const plan = names.map((group) => planGroup(group, groups.get(group)!, policy, calendar, options));
  const emptied = plan.find(
    ({ kept, dropped }) => dropped.length > 0 && kept.every(({ snapshot }) => isAhead(snapshot.startedAt, options.now)),
  );
  if (emptied !== undefined && !allowEmptyGroups) {
    throw new Fault(
      'RETENTION_DROPS_ALL',
      `The policy keeps none of the ${emptied.dropped.length} snapshots of "${emptied.group}"`,
    );
  }
  return { groups: plan };
}

function checkPolicy(policy: RetentionPolicy): void {
  for (const name of COUNTS) {
    const count = policy[name];
    if (count !== undefined && (!Number.isSafeInteger(count) || count < 0))
      throw new Fault('USAGE', `${count} is not a number of snapshots to keep`);
  }
  const { keepWithinMs = 0, keepWindowMs = 0, keepTags = [] } = policy;
  for (const ms of [keepWithinMs, keepWindowMs])
    if (!Number.isFinite(ms) || ms < 0) throw new Fault('USAGE', `${ms} is not a span of time`);
  if (keepTags.some((tags) => tags.length === 0)) throw new Fault('USAGE', 'A list of tags to keep is empty');
  const isEmpty = COUNTS.every((name) => (policy[name] ?? 0) === 0) && keepWithinMs + keepWindowMs === 0 && keepTags.length === 0;
  if (isEmpty) throw new Fault('RETENTION_EMPTY', 'The policy says nothing about what to keep');
}

function openCalendar(timeZone: string): Calendar {
  try {
    return calendarOf(timeZone);
  } catch (cause) {
    throw new Fault('USAGE', `"${timeZone}" is not a time zone`, { cause, hint: 'Give an IANA name, e.g. Europe/Berlin.' });
  }
}

type Judged<S> = { readonly snapshot: S; readonly at: Date; readonly reasons: string[] };

function planGroup<S extends RetentionSnapshot>(
  group: string,
  members: readonly S[],
  policy: RetentionPolicy,
  calendar: Calendar,
  { now, held }: Pick<ForgetOptions<S>, 'now' | 'held'>,
): ForgetGroup<S> {
  const all = members.map((snapshot): Judged<S> => ({ snapshot, at: momentOf(snapshot), reasons: [] }));
  all.sort((a, b) => b.at.getTime() - a.at.getTime() || (a.snapshot.id < b.snapshot.id ? 1 : -1));
  const judged: Judged<S>[] = [];
  for (const one of all) {
    if (isAhead(one.snapshot.startedAt, now)) one.reasons.push('it began after now: a clock was ahead there, or is behind here');
    else judged.push(one);
  }
  judged.slice(0, policy.keepLast ?? 0).forEach(({ reasons }, n) => {
    reasons.push(n === 0 ? 'the newest' : `among the newest ${policy.keepLast}`);
  });
  for (const [rule, period] of PERIODS) keepPeriods(judged, policy[rule] ?? 0, period, calendar[period]);
  keepWithin(judged, policy.keepWithinMs ?? 0);
  if (policy.keepWindowMs !== undefined) keepWindow(judged, now!.getTime() - policy.keepWindowMs);
  for (const tags of policy.keepTags ?? []) {
    for (const { snapshot, reasons } of all) {
      if (tags.every((tag) => snapshot.tags.includes(tag))) reasons.push(`tagged ${tags.join(', ')}`);
    }
  }
  for (const { snapshot, reasons } of all) {
    const reason = held?.(snapshot);
    if (reason !== undefined) reasons.push(reason);
  }
  const kept = all.filter(({ reasons }) => reasons.length > 0).map(({ snapshot, reasons }) => ({ snapshot, reasons }));
  const dropped = all
    .filter(({ reasons }) => reasons.length === 0)
    .map(({ snapshot }) => ({ snapshot, reason: 'no rule keeps it' }));
  return { group, kept, dropped };
}

export function isAhead(startedAt: string, now: Date | undefined): boolean {
  return now !== undefined && Date.parse(startedAt) > now.getTime();
}

function momentOf({ id, startedAt }: RetentionSnapshot): Date {
  const at = new Date(startedAt);
  // What cannot be placed in time must not be dropped by a rule about time.
  if (Number.isNaN(at.getTime()))
    throw new Fault('FORMAT_DAMAGED', `The snapshot ${id} began at "${startedAt}", which is no moment`);
  return at;
}

/** Newest first: the first of each period is the one that stays. */
function keepPeriods<S>(judged: readonly Judged<S>[], count: number, period: string, nameOf: (at: Date) => string): void {
  let latest: string | undefined;
  let left = count;
  for (const { at, reasons } of judged) {
    if (left === 0) return;
    const name = nameOf(at);
    if (name === latest) continue;
    latest = name;
    left--;
    reasons.push(`the newest of the ${period} ${name}`);
  }
}

function keepWithin<S>(judged: readonly Judged<S>[], withinMs: number): void {
  const newest = judged[0];
  if (newest === undefined || withinMs === 0) return;
  for (const { at, reasons } of judged) {
    if (newest.at.getTime() - at.getTime() <= withinMs) reasons.push('within the time to keep');
  }
}

/** Newest first. */
function keepWindow<S>(judged: readonly Judged<S>[], since: number): void {
  for (const { at, reasons } of judged) {
    reasons.push(at.getTime() > since ? 'within the window' : 'the window begins with it');
    if (at.getTime() <= since) return;
  }
}

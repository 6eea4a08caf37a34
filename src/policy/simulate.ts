// What a policy does over any span, if every run succeeds: what runs when, and what is kept at the end of it.
//
// Only the end is planned. That is the same as forgetting after each backup: a snapshot that a rule keeps at the end was kept by it all the
// time before (it was the newest of its day, or month, or of all), and what is dropped at the end would be dropped then at the latest.

import type { RunKind } from '../model/run-kind.ts';
import { type DueTime, dueBetween } from './due-times.ts';
import { tasksOf } from './policy-tasks.ts';
import type { EffectivePolicy } from './policy-terms.ts';
import { planForget, type RetentionPolicy } from './retention.ts';

export const SIMULATED_RUNS_MAX = 20_000;

export type SimulatedTask = {
  readonly name: string;
  readonly kind: RunKind;
  readonly runs: readonly DueTime[];
  /** There are more: only the first 20,000 were looked at, and nothing after them is known. */
  readonly isCut: boolean;
};

export type SimulatedPoint = {
  readonly at: Date;
  /** Why it is kept at the end of the span; empty: it was forgotten. */
  readonly reasons: readonly string[];
};

export type Simulation = {
  readonly from: Date;
  readonly to: Date;
  readonly tasks: readonly SimulatedTask[];
  /** Oldest first. */
  readonly points: readonly SimulatedPoint[];
  readonly promisedWindowMs?: number;
  /** How far back the oldest kept point lies at the end. */
  readonly reachMs: number;
};

/** Runs that are due in [from, to). `seed`: the asset's id. */
export function simulatePolicy(policy: EffectivePolicy, from: Date, to: Date, seed = ''): Simulation {
  const tasks = tasksOf(policy).map(({ name, kind, schedules }): SimulatedTask => {
    const runs = dueBetween(schedules, new Date(from.getTime() - 1), new Date(to.getTime() - 1), SIMULATED_RUNS_MAX + 1, seed);
    return { name, kind, runs: runs.slice(0, SIMULATED_RUNS_MAX), isCut: runs.length > SIMULATED_RUNS_MAX };
  });
  const backups = tasks.find(({ kind }) => kind === 'backup')?.runs ?? [];
  const points = keptAt(
    policy,
    backups.map(({ notBefore }) => notBefore).filter((at) => at < to),
  );
  const oldest = points.find(({ reasons }) => reasons.length > 0);
  return {
    from,
    to,
    tasks,
    points,
    ...(policy.recoveryWindowMs === undefined ? {} : { promisedWindowMs: policy.recoveryWindowMs }),
    reachMs: oldest === undefined ? 0 : to.getTime() - oldest.at.getTime(),
  };
}

function keptAt({ retention }: EffectivePolicy, times: readonly Date[]): SimulatedPoint[] {
  const { timeZone, legalHold, ...rules } = retention;
  if (legalHold) return times.map((at) => ({ at, reasons: ['a legal hold'] }));
  if (times.length === 0) return [];
  if (!hasRule(rules)) return times.map((at) => ({ at, reasons: ['nothing says what to forget'] }));
  const snapshots = times.map((at, i) => ({
    id: String(i).padStart(8, '0'),
    asset: '',
    startedAt: at.toISOString(),
    tags: [] as string[],
  }));
  const plan = planForget(snapshots, rules, { timeZone, allowEmptyGroups: true });
  const reasons = new Map(plan.groups.flatMap(({ kept }) => kept.map((one) => [one.snapshot.id, one.reasons] as const)));
  return snapshots.map(({ id }, i) => ({ at: times[i]!, reasons: reasons.get(id) ?? [] }));
}

/** A retention of zeros says as little as none. */
function hasRule({ keepTags = [], ...numbers }: RetentionPolicy): boolean {
  return keepTags.length > 0 || Object.values(numbers).some((value) => typeof value === 'number' && value > 0);
}

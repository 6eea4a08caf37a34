// What a policy asks the scheduler to do: one task for each kind of work, with its due times.

import type { RunKind } from '../model/run-kind.ts';
import type { BandwidthRule, EffectivePolicy, Period, Schedule } from './policy-terms.ts';
import { isInWindow } from './time-window.ts';
import { zoneClock } from './zone-clock.ts';

export type PolicyTask = {
  /** Distinguishes tasks of one kind: "backup", "verify-sampled" ...: for keys, and for how far the schedule was followed. */
  readonly name: string;
  /** 'backup' and 'restore-test' are of an asset; 'verify' and 'prune' of all that a tenant has stored. */
  readonly kind: RunKind;
  readonly schedules: readonly Schedule[];
  /** For the run: {"mode":"scrub"}, {"mode":"sampled","share":0.05}, {"mode":"full"}, {"target":"scratch"}. */
  readonly parameters: Readonly<Record<string, unknown>>;
};

/** In this order: backup, restore-test, verify-scrub, verify-sampled, verify-full, prune; only what the policy asks for. Forgetting has no due
 *  time of its own: it follows each backup. */
export function tasksOf(policy: EffectivePolicy): readonly PolicyTask[] {
  const { scrub, sampled, full, restoreTest } = policy.verify;
  return [
    ...task('backup', 'backup', policy.schedule, {}),
    ...task('restore-test', 'restore-test', periods(restoreTest), { target: restoreTest?.target }),
    ...task('verify-scrub', 'verify', periods(scrub), { mode: 'scrub' }),
    ...task('verify-sampled', 'verify', periods(sampled), { mode: 'sampled', share: sampled?.share }),
    ...task('verify-full', 'verify', periods(full), { mode: 'full' }),
    ...task('prune', 'prune', periods(policy.prune), {}),
  ];
}

function periods(period: Period | undefined): readonly Schedule[] {
  if (period === undefined) return [];
  const { everyMs, timeZone, window } = period;
  return [{ kind: 'every', everyMs, timeZone, ...(window === undefined ? {} : { window }) }];
}

function task(
  name: string,
  kind: RunKind,
  schedules: readonly Schedule[],
  parameters: PolicyTask['parameters'],
): readonly PolicyTask[] {
  return schedules.length === 0 ? [] : [{ name, kind, schedules, parameters }];
}

/** Bytes a second that apply at a moment; absent: no limit. */
export type Bandwidth = { readonly uploadBytesPerSecond?: number; readonly downloadBytesPerSecond?: number };

/** The smallest of all limits that apply. */
export function bandwidthAt(policy: EffectivePolicy, at: Date): Bandwidth {
  const rules = policy.limits.bandwidth.filter((rule) => applies(rule, at.getTime()));
  const least = (values: readonly (number | undefined)[]): number | undefined =>
    values.reduce((a, b) => (a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)), undefined);
  const upload = least(rules.map((rule) => rule.uploadBytesPerSecond));
  const download = least(rules.map((rule) => rule.downloadBytesPerSecond));
  return {
    ...(upload === undefined ? {} : { uploadBytesPerSecond: upload }),
    ...(download === undefined ? {} : { downloadBytesPerSecond: download }),
  };
}

const DAY_MS = 86_400_000;

function applies({ window, days, timeZone }: BandwidthRule, instant: number): boolean {
  const local = zoneClock(timeZone).localOf(instant);
  const day = Math.floor(local / DAY_MS);
  const minute = (local - day * DAY_MS) / 60_000;
  if (window !== undefined && !isInWindow(window, minute)) return false;
  // After midnight it is still the window of the day before.
  const isFromYesterday = window !== undefined && window.toMinute <= window.fromMinute && minute < window.toMinute;
  const monday0 = (((day - (isFromYesterday ? 1 : 0) + 3) % 7) + 7) % 7;
  return days === undefined || days.includes(monday0);
}

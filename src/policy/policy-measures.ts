// A policy as a flat list of measures, each with the direction in which it promises more. Inheritance, approval and diff all compare these,
// so they cannot disagree on what is weaker.

import { largestGap } from './due-gaps.ts';
import { formatSpan } from './duration.ts';
import type { PolicyStatement } from './policy-statement.ts';
import type { BackupSchedule, TimeWindow } from './policy-terms.ts';
import { formatSize } from './size.ts';

export type Measure = {
  /** As in the document: "objectives.rpo", "copies.east.maxLag". */
  readonly field: string;
  readonly value: number;
  /** For people. */
  readonly text: string;
  readonly better: 'smaller' | 'greater';
  /** False for limits: they bind lower levels, too, and taking one away promises nothing less. */
  readonly isPromise: boolean;
};

/** Of one field: whether `after` promises less than `before`. */
export function isWorse(before: Measure, after: Measure): boolean {
  return before.better === 'smaller' ? after.value > before.value : after.value < before.value;
}

export function measuresOf(policy: PolicyStatement): readonly Measure[] {
  return [
    ...objectiveMeasures(policy),
    ...scheduleMeasures(policy.schedule),
    ...retentionMeasures(policy.retention),
    ...policy.copies.flatMap(({ site, immutabilityMs, maxLagMs }) => [
      ...yes(`copies.${site}`, true),
      ...span(`copies.${site}.immutability`, immutabilityMs, 'greater'),
      ...span(`copies.${site}.maxLag`, maxLagMs, 'smaller'),
    ]),
    ...verifyMeasures(policy.verify),
    ...limit('limits.concurrency.perHost', policy.limits.perHostMax),
    ...limit('limits.concurrency.perSite', policy.limits.perSiteMax),
    ...limit('limits.priority', policy.limits.priority),
  ];
}

function objectiveMeasures({ objectives, recoveryWindowMs }: PolicyStatement): Measure[] {
  return [
    ...span('objectives.rpo', objectives.rpoMs, 'smaller'),
    ...span('objectives.rto', objectives.rtoMs, 'smaller'),
    ...span('objectives.proofAge', objectives.proofAgeMs, 'smaller'),
    ...span('recoveryWindow', recoveryWindowMs, 'greater'),
  ];
}

function scheduleMeasures(schedule: readonly BackupSchedule[]): Measure[] {
  if (schedule.length === 0) return [];
  // By the calendar: a night with 25 hours must not make one schedule rarer than another.
  const gapMs = largestGap(schedule);
  const logs = schedule.flatMap(({ afterLogBytes }) => (afterLogBytes === undefined ? [] : [afterLogBytes]));
  return [
    { field: 'schedule', value: gapMs, text: scheduleText(schedule, gapMs), better: 'smaller', isPromise: true },
    ...(logs.length === 0 ? [] : [sizeMeasure('schedule.afterLog', Math.min(...logs))]),
    ...yes(
      'schedule.continuousLog',
      schedule.some(({ continuousLog = false }) => continuousLog),
    ),
  ];
}

function scheduleText(schedule: readonly BackupSchedule[], gapMs: number): string {
  const entries = schedule.map(
    ({ cron, timeZone, window }) => `"${cron}" ${timeZone}${window === undefined ? '' : ` ${windowText(window)}`}`,
  );
  return `${entries.join(', ')} (at most ${Number.isFinite(gapMs) ? `${formatSpan(gapMs)} apart` : 'once'})`;
}

export function windowText({ fromMinute, toMinute }: TimeWindow): string {
  const clock = (minute: number): string =>
    `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  return `${clock(fromMinute)}-${clock(toMinute)}`;
}

function retentionMeasures(retention: PolicyStatement['retention']): Measure[] {
  return [
    ...count('retention.keepLast', retention.keepLast),
    ...count('retention.hourly', retention.keepHourly),
    ...count('retention.daily', retention.keepDaily),
    ...count('retention.weekly', retention.keepWeekly),
    ...count('retention.monthly', retention.keepMonthly),
    ...count('retention.yearly', retention.keepYearly),
    ...span('retention.within', retention.keepWithinMs, 'greater'),
    ...(retention.keepTags ?? []).flatMap((tags) => yes(`retention.keepTags.${[...tags].sort().join('+')}`, true)),
    ...yes('retention.legalHold', retention.legalHold ?? false),
  ];
}

function verifyMeasures({ scrub, sampled, full, restoreTest }: PolicyStatement['verify']): Measure[] {
  return [
    ...span('verify.scrub.every', scrub?.everyMs, 'smaller'),
    ...span('verify.sampled.every', sampled?.everyMs, 'smaller'),
    ...(sampled === undefined
      ? []
      : [
          {
            field: 'verify.sampled.share',
            value: sampled.share,
            text: `${Number((sampled.share * 100).toFixed(3))}%`,
            better: 'greater' as const,
            isPromise: true,
          },
        ]),
    ...span('verify.full.every', full?.everyMs, 'smaller'),
    ...span('verify.restoreTest.every', restoreTest?.everyMs, 'smaller'),
  ];
}

function span(field: string, value: number | undefined, better: Measure['better']): Measure[] {
  return value === undefined ? [] : [{ field, value, text: formatSpan(value), better, isPromise: true }];
}

function count(field: string, value: number | undefined): Measure[] {
  return value === undefined || value === 0 ? [] : [{ field, value, text: String(value), better: 'greater', isPromise: true }];
}

function sizeMeasure(field: string, value: number): Measure {
  return { field, value, text: formatSize(value), better: 'smaller', isPromise: true };
}

function yes(field: string, isSo: boolean): Measure[] {
  return isSo ? [{ field, value: 1, text: 'yes', better: 'greater', isPromise: true }] : [];
}

/** A ceiling. */
function limit(field: string, value: number | undefined): Measure[] {
  return value === undefined ? [] : [{ field, value, text: String(value), better: 'smaller', isPromise: false }];
}

// Which base and which log bring an asset back to a wanted place, or why none does. Pure, but for a port that looks up marks. Knows no database.
//
// A log is a set of stretches on timelines. A timeline's path leads from the first one over its ancestors to itself. A base is restorable on
// a path when the log goes on without a hole from the base's start to its stop; it reaches as far as the log goes on after that. A wanted
// time is not handed to the database, which may have no transaction to stop at: it is resolved here, to the last commit before the first
// mark, in the order of the log, that is later. So the answer is one place in the log, whatever clocks and zones say, or none: where a clock was
// set back a time is refused that it has passed more than once. Which of two bases is the newer one is told by the log, too, and never by a clock.

import { textOfMicros } from '../model/instant-text.ts';
import type { LogMark } from '../model/log-mark.ts';
import { type ClockRun, type ClockStep, clockRuns } from './clock-runs.ts';
import { besidePath, NO_PLACE, onlyPlace, placesOf } from './find-place.ts';
import { ambiguousTime, placesOfTime } from './find-time.ts';
import { lastOn, type MarkIndex } from './way-marks.ts';

export type RecoveryBase = {
  /** Name of its snapshot. */
  readonly snapshot: string;
  readonly timeline: number;
  readonly start: number;
  readonly stop: number;
  /** The database's clock when it was complete, Unix microseconds: earlier times need an earlier base. */
  readonly stoppedAt: number;
};

/** Log that is stored: whole records from `from` to `to`. */
export type LogStretch = { readonly timeline: number; readonly from: number; readonly to: number };

export type Lineage = {
  readonly timeline: number;
  readonly ancestors: readonly { readonly timeline: number; readonly until: number }[];
};

/** Log that is known to be lost, for messages. */
export type KnownGap = LogStretch & { readonly cause: string };

export type RecoveryFacts = {
  readonly bases: readonly RecoveryBase[];
  readonly stretches: readonly LogStretch[];
  readonly lineages: readonly Lineage[];
  readonly gaps: readonly KnownGap[];
  readonly clockSteps: readonly ClockStep[];
  readonly marks: MarkIndex;
};

export type RecoveryTarget =
  | { readonly kind: 'latest' }
  /** Unix microseconds. */
  | { readonly kind: 'time'; readonly time: number }
  | { readonly kind: 'position'; readonly position: number }
  | { readonly kind: 'transaction'; readonly id: number }
  | { readonly kind: 'point'; readonly name: string };

type MarkTarget = RecoveryTarget & { readonly kind: 'transaction' | 'point' };
type TimeTarget = RecoveryTarget & { readonly kind: 'time' };
type WayTarget = Exclude<RecoveryTarget, MarkTarget | TimeTarget>;

/** A part of the way: log from `from` to `to` on a timeline. */
export type Leg = LogStretch;

export type RecoveryPlan = {
  readonly kind: 'plan';
  readonly base: RecoveryBase;
  readonly legs: readonly Leg[];
  /** The last thing that is in the restored database; undefined: it is as the base was when it was complete. */
  readonly stopAt: LogMark | undefined;
  readonly timeline: number;
};

export type NoPlan =
  | { readonly kind: 'gap'; readonly reason: string; readonly gap: LogStretch }
  | { readonly kind: 'refused'; readonly reason: string };

/** Unbroken log of recovery points, and the times at its ends: Unix microseconds, by the database's clock. Where that was set back, `to` may be before
 *  `from`. */
export type RecoveryInterval = {
  readonly timeline: number;
  readonly bases: readonly string[];
  readonly from: { readonly time: number; readonly position: number };
  /** `mark`: the evidence: the transaction that ended last. Undefined when there was none since the base. */
  readonly to: { readonly time: number; readonly position: number; readonly mark: LogMark | undefined };
};

type Way = { readonly base: RecoveryBase; readonly legs: readonly Leg[]; readonly isWhole: boolean };

/** The timelines that lead to `timeline`, oldest first. Undefined when it is not known where it comes from. */
export function pathTo(
  timeline: number,
  lineages: readonly Lineage[],
): readonly { readonly timeline: number; readonly until: number }[] | undefined {
  const lineage = lineages.find((one) => one.timeline === timeline);
  if (lineage === undefined) return timeline === 1 ? [{ timeline, until: Number.POSITIVE_INFINITY }] : undefined;
  return [...lineage.ancestors, { timeline, until: Number.POSITIVE_INFINITY }];
}

/** How far the log goes on without a hole from a base on. */
export function wayFrom(
  base: RecoveryBase,
  timeline: number,
  { stretches, lineages }: Pick<RecoveryFacts, 'stretches' | 'lineages'>,
): Way | undefined {
  const path = pathTo(timeline, lineages);
  const first = path?.findIndex((one) => one.timeline === base.timeline) ?? -1;
  if (path === undefined || first === -1 || base.stop > path[first]!.until) return undefined;
  const legs: Leg[] = [];
  let position = base.start;
  for (const { timeline: now, until } of path.slice(first)) {
    const to = Math.min(until, endOf(stretches, now, position));
    if (to > position || legs.length === 0) legs.push({ timeline: now, from: position, to });
    position = to;
    if (to < until) break;
  }
  return { base, legs, isWhole: legs[0]!.to >= base.stop };
}

/** End of what is stored without a hole from `position` on; `position` itself when nothing is. */
function endOf(stretches: readonly LogStretch[], timeline: number, position: number): number {
  const own = stretches.filter((one) => one.timeline === timeline).sort((a, b) => a.from - b.from);
  let end = position;
  for (const { from, to } of own) if (from <= end && to > end) end = to;
  return end;
}

/** The intervals of recovery points on the way to `timeline`, oldest first: what is between two of them cannot be restored. */
export async function recoveryWindow(facts: RecoveryFacts, timeline: number): Promise<RecoveryInterval[]> {
  const intervals: RecoveryInterval[] = [];
  const runs = clockRuns(facts.clockSteps, pathTo(timeline, facts.lineages) ?? []);
  for (const way of waysTo(facts, timeline)) {
    const last = way.legs.at(-1)!;
    const before = intervals.at(-1);
    if (before !== undefined && before.timeline === last.timeline && before.to.position === last.to) {
      intervals[intervals.length - 1] = { ...before, bases: [...before.bases, way.base.snapshot] };
      continue;
    }
    const mark = await lastOn(facts.marks, way);
    const { base } = way;
    // After a step back the base's time says nothing about the end.
    const least = runs.some(({ from }) => from > base.stop && from < last.to) && mark !== undefined ? 0 : base.stoppedAt;
    intervals.push({
      timeline: last.timeline,
      bases: [base.snapshot],
      from: { time: base.stoppedAt, position: base.stop },
      to: { time: Math.max(least, mark?.time ?? 0), position: last.to, mark },
    });
  }
  return intervals;
}

/** Oldest base first: on a path positions only grow. Only whole ones. */
function waysTo(facts: RecoveryFacts, timeline: number): Way[] {
  return [...facts.bases]
    .sort((a, b) => a.stop - b.stop)
    .map((base) => wayFrom(base, timeline, facts))
    .filter((way): way is Way => way?.isWhole === true);
}

/** `isNamed`: somebody has named the timeline, so what others have under the same number or position is not meant. */
export async function planRecovery(
  facts: RecoveryFacts,
  timeline: number,
  target: RecoveryTarget,
  isNamed = false,
): Promise<RecoveryPlan | NoPlan> {
  const path = pathTo(timeline, facts.lineages);
  if (path === undefined)
    return { kind: 'refused', reason: `it is not known where timeline ${timeline} comes from: its history is not stored` };
  const ways = waysTo(facts, timeline).reverse();
  if (ways.length === 0) return { kind: 'refused', reason: await withoutBase(facts, timeline) };
  const left = isNamed ? [] : besidePath(facts.stretches, path);
  if (target.kind === 'point' || target.kind === 'transaction') return planAtMark(facts.marks, ways, left, target);
  const other = target.kind === 'position' && left.find(({ from, to }) => from <= target.position && target.position < to);
  if (other)
    return {
      kind: 'refused',
      reason: `the position is on timeline ${other.timeline}, too, which was left: name a timeline, or a time`,
    };
  if (target.kind === 'time') return planAtTime(facts, ways, clockRuns(facts.clockSteps, path), target);
  for (const way of ways) {
    const plan = await planOnWay(facts.marks, way, target);
    if (plan !== undefined) return plan;
  }
  return noPlan(facts, ways.reverse(), target);
}

async function planAtMark(
  marks: MarkIndex,
  ways: readonly Way[],
  left: readonly LogStretch[],
  target: MarkTarget,
): Promise<RecoveryPlan | NoPlan> {
  const is = (mark: LogMark): boolean =>
    target.kind === 'point' ? mark.kind === 'point' && mark.text === target.name : mark.kind === 'commit' && mark.id === target.id;
  const what = target.kind === 'transaction' ? `the commit of transaction ${target.id}` : `a restore point "${target.name}"`;
  const places = await placesOf(ways, left, marks, is);
  if (places.length === 0 && target.kind === 'transaction')
    return {
      kind: 'refused',
      reason: `${NO_PLACE}: ${what}. One that was rolled back, or is a part of another one (after a savepoint), has none`,
    };
  const place = onlyPlace(places, what);
  return typeof place === 'string' ? { kind: 'refused', reason: place } : stoppingAt(place.way, place.mark);
}

async function planAtTime(
  facts: RecoveryFacts,
  ways: readonly Way[],
  runs: readonly ClockRun[],
  target: TimeTarget,
): Promise<RecoveryPlan | NoPlan> {
  const places = await placesOfTime(facts.marks, ways, runs, target.time);
  if (places.length > 1) return { kind: 'refused', reason: ambiguousTime(target.time, places) };
  const [place] = places;
  return place === undefined ? noPlan(facts, [...ways].reverse(), target) : stoppingAt(place.way, place.stopAt);
}

/** Undefined when the target does not lie on this way. */
async function planOnWay(marks: MarkIndex, way: Way, target: WayTarget): Promise<RecoveryPlan | undefined> {
  if (target.kind === 'latest') return stoppingAt(way, await lastOn(marks, way, { kind: 'commit' }));
  const { position } = target;
  if (position < way.base.stop || position >= way.legs.at(-1)!.to) return undefined;
  return stoppingAt(way, await lastOn(marks, way, { kind: 'commit', begunAt: position }));
}

function stoppingAt(way: Way, stopAt: LogMark | undefined): RecoveryPlan {
  const { base } = way;
  const to = stopAt?.end ?? base.stop;
  const legs = way.legs.filter((leg) => leg.from < to).map((leg) => ({ ...leg, to: Math.min(leg.to, to) }));
  return { kind: 'plan', base, legs, stopAt, timeline: legs.at(-1)!.timeline };
}

async function noPlan(facts: RecoveryFacts, ways: readonly Way[], target: WayTarget | TimeTarget): Promise<NoPlan> {
  const last = ways.at(-1)!;
  if (target.kind === 'time') {
    const first = ways[0]!.base;
    if (target.time < first.stoppedAt) {
      const complete = `the first base backup was complete (${textOfMicros(first.stoppedAt)})`;
      return { kind: 'refused', reason: `${textOfMicros(target.time)} is before ${complete}` };
    }
    // The newest way whose base is older: its log ended before the wanted time.
    const way = [...ways].reverse().find(({ base }) => base.stoppedAt <= target.time) ?? last;
    const end = await lastOn(facts.marks, way);
    const reached = textOfMicros(Math.max(end?.time ?? 0, way.base.stoppedAt));
    const next = ways.find(({ base }) => base.stoppedAt > target.time);
    if (next === undefined)
      return { kind: 'refused', reason: `${textOfMicros(target.time)} is after the last recovery point (${reached})` };
    return gapAfter(
      facts,
      way,
      `${textOfMicros(target.time)} lies in a gap of the log: after ${reached}, and before ${textOfMicros(next.base.stoppedAt)}`,
    );
  }
  if (target.kind === 'latest') return { kind: 'refused', reason: 'there is nothing to go back to' };
  const way = [...ways].reverse().find(({ base }) => base.stop <= target.position);
  if (way === undefined) return { kind: 'refused', reason: 'the position is before the first base backup was complete' };
  if (way !== last) return gapAfter(facts, way, 'the position lies in a gap of the log');
  return { kind: 'refused', reason: 'the position is after the end of the log that is stored' };
}

function gapAfter(facts: RecoveryFacts, way: Way, reason: string): NoPlan {
  const { timeline, to } = way.legs.at(-1)!;
  const known = facts.gaps.find((gap) => gap.timeline === timeline && gap.from <= to && gap.to > to);
  const gap = known ?? { timeline, from: to, to: nextStart(facts.stretches, timeline, to) };
  return { kind: 'gap', reason: known === undefined ? reason : `${reason}; ${known.cause}`, gap };
}

function nextStart(stretches: readonly LogStretch[], timeline: number, position: number): number {
  const starts = stretches.filter((one) => one.timeline === timeline && one.from > position).map(({ from }) => from);
  return starts.length === 0 ? position : Math.min(...starts);
}

async function withoutBase(facts: RecoveryFacts, timeline: number): Promise<string> {
  const own = facts.bases.map((base) => wayFrom(base, timeline, facts)).filter((way) => way !== undefined);
  if (facts.bases.length === 0) return 'there is no base backup';
  if (own.length === 0) return `no base backup leads to timeline ${timeline}`;
  return 'the log that belongs to the base backups is not stored yet, or is lost';
}

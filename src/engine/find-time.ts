// Where a time is in a log: after the last commit before the first mark, in the order of the log, that is later. Where the clock was set back, each
// run of it (clock-runs.ts) is looked at by itself, and of several places none is chosen. Pure, but for the port that looks up marks.

import { textOfMicros } from '../model/instant-text.ts';
import type { LogMark } from '../model/log-mark.ts';
import { formatLsn } from '../model/lsn.ts';
import { type ClockRun, within } from './clock-runs.ts';
import { firstLaterOn, lastOn, type MarkedWay, type MarkIndex } from './way-marks.ts';

type DatedWay = MarkedWay & { readonly base: { readonly stop: number; readonly stoppedAt: number } };

/** `stopAt`: undefined: as the base was when it was complete. */
export type TimePlace<W> = { readonly way: W; readonly stopAt: LogMark | undefined };

/** One for each run in which the time lies, but for those that have all the same commits. `ways`: newest base first. */
export async function placesOfTime<W extends DatedWay>(
  marks: MarkIndex,
  ways: readonly W[],
  runs: readonly ClockRun[],
  time: number,
): Promise<TimePlace<W>[]> {
  const places = new Map<number, TimePlace<W>>();
  for (const run of runs) {
    if (time < run.since || time > run.until) continue;
    const place = await firstOf(ways, (way) => placeInRun(marks, way, run, time));
    if (place !== undefined) places.set(place.stopAt?.position ?? place.way.base.stop, place);
  }
  return [...places.values()];
}

async function firstOf<W, T>(ways: readonly W[], find: (way: W) => Promise<T | undefined>): Promise<T | undefined> {
  for (const way of ways) {
    const found = await find(way);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Undefined when this way does not lead to the time in this run. */
async function placeInRun<W extends DatedWay>(
  marks: MarkIndex,
  way: W,
  run: ClockRun,
  time: number,
): Promise<TimePlace<W> | undefined> {
  const { base } = way;
  const isBaseInRun = base.stop >= run.from;
  if (base.stop >= run.to || (isBaseInRun && time < base.stoppedAt)) return undefined;
  const part = { base, legs: within(run, way.legs) };
  const later = await firstLaterOn(marks, part, time);
  const isPassed = later !== undefined || way.legs.at(-1)!.to > run.to || (await isReached(marks, part, time, isBaseInRun));
  if (!isPassed) return undefined;
  return { way, stopAt: await lastOn(marks, way, { kind: 'commit', before: later?.position ?? run.to }) };
}

/** A time after the last mark is proven by nothing. */
async function isReached(marks: MarkIndex, part: DatedWay, time: number, isBaseInRun: boolean): Promise<boolean> {
  const last = await lastOn(marks, part);
  if (last === undefined) return isBaseInRun && time === part.base.stoppedAt;
  return time <= Math.max(last.time, isBaseInRun ? part.base.stoppedAt : 0);
}

/** Why none of several places is chosen. */
export function ambiguousTime(time: number, places: readonly TimePlace<DatedWay>[]): string {
  const list = places.map(({ way, stopAt }) =>
    stopAt === undefined
      ? `${formatLsn(way.base.stop)}, where a base backup was complete`
      : `${formatLsn(stopAt.position)}, with a last commit of ${textOfMicros(stopAt.time)}`,
  );
  const what = "the database's clock was set back and passed it more than once";
  return `${textOfMicros(time)} is not one place, since ${what}; the position of the one that is meant has to be named: ${list.join('; ')}`;
}

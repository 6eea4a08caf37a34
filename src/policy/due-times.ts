// When something is due: arithmetic on local calendars, never a walk from minute to minute. The rules are in README.md.
//
// A cron expression gives days, a day gives local times, a local time gives no, one or two instants, the window moves an instant to its opening.
// Each of these keeps the order, except where clocks are put back over midnight: there the times of one day lie among those of the next, so
// two neighbouring days are merged before anything is answered.

import { Fault } from '../base/faults.ts';
import { type Cron, parseCron } from './cron.ts';
import { minutesOfDay, nextMatchingDay } from './cron-match.ts';
import type { Schedule, TimeWindow } from './policy-terms.ts';
import { stableNumber } from './stable-hash.ts';
import { closesAfter, openFrom } from './time-window.ts';
import { type ZoneClock, zoneClock } from './zone-clock.ts';

export type DueTime = {
  /** The moment itself: what a run's idempotency key is made of. Does not depend on jitter. */
  readonly due: Date;
  /** Not to be begun before: `due` and the jitter of the asset. */
  readonly notBefore: Date;
  /** Not to be begun at or after: from startWithin and the window; absent: whenever. */
  readonly startBy?: Date;
  /** Which of the schedules, by its place in the list. */
  readonly entry: number;
};

/** One run for everything that was missed. */
export type CaughtUp = DueTime & {
  /** How many more due times it stands for; counted up to 1,000. */
  readonly missed: number;
};

type Schedules = Schedule | readonly Schedule[];

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A window moves a due time by less than a day, a gap of the clock by a day at the most (Samoa, 2011). */
const MOVED_MS_MAX = 3 * DAY_MS;
const MISSED_MAX = 1000;

/** The first due time after `after` (exclusive). Undefined: never again. `seed` (the asset's id) decides jitter and the phase of periods.
 *  Throws POLICY_INVALID for a cron expression or a time zone that is none. */
export function nextDue(schedules: Schedules, after: Date, seed = ''): DueTime | undefined {
  for (const due of duesAfter(schedules, after.getTime(), seed)) return due;
  return undefined;
}

/** Due times in (from, to], oldest first, at most `limit`. */
export function dueBetween(schedules: Schedules, from: Date, to: Date, limit: number, seed = ''): readonly DueTime[] {
  const found: DueTime[] = [];
  if (limit < 1) return found;
  for (const one of duesAfter(schedules, from.getTime(), seed)) {
    if (one.due.getTime() > to.getTime()) break;
    found.push(one);
    if (found.length >= limit) break;
  }
  return found;
}

/** The one run that stands for all due times in (doneUntil, now]: the latest of them. Undefined: nothing is due. The run's `notBefore` lies
 *  in the next opening of the window when the one of the due time has passed. */
export function catchUp(schedules: Schedules, doneUntil: Date, now: Date, seed = ''): CaughtUp | undefined {
  const missed = dueBetween(schedules, doneUntil, now, MISSED_MAX + 1, seed);
  if (missed.length === 0) return undefined;
  const latest = missed.length <= MISSED_MAX ? missed.at(-1)! : lastDue(schedules, now, seed)!;
  const caughtUp = { ...latest, missed: missed.length - 1 };
  if (latest.startBy === undefined || latest.startBy > now) return caughtUp;
  // Too late for its own moment, and not to be lost for that: as soon as it may run again.
  const schedule = listOf(schedules)[latest.entry]!;
  return { ...caughtUp, ...startOf(schedule, openingOf(schedule, now.getTime()), 0) };
}

/** The last due time at or before `at`; undefined when there was none for a generation. */
export function lastDue(schedules: Schedules, at: Date, seed = ''): DueTime | undefined {
  for (let days = 2; days < 42 * 366; days *= 6) {
    let last: DueTime | undefined;
    for (const one of duesAfter(schedules, at.getTime() - days * DAY_MS, seed)) {
      if (one.due > at) break;
      last = one;
    }
    if (last !== undefined) return last;
  }
  return undefined;
}

function listOf(schedules: Schedules): readonly Schedule[] {
  return 'kind' in schedules ? [schedules] : schedules;
}

/** All of them, merged; of two that are due at once the first in the list. */
function* duesAfter(schedules: Schedules, after: number, seed: string): Generator<DueTime> {
  const list = listOf(schedules);
  const streams = list.map((schedule) => momentsAfter(schedule, after, seed));
  const heads = streams.map((stream) => headOf(stream.next()));
  for (;;) {
    let entry = -1;
    heads.forEach((head, i) => {
      if (head !== undefined && (entry < 0 || head < heads[entry]!)) entry = i;
    });
    if (entry < 0) return;
    const due = heads[entry]!;
    heads.forEach((head, i) => {
      if (head === due) heads[i] = headOf(streams[i]!.next());
    });
    const schedule = list[entry]!;
    yield { due: new Date(due), ...startOf(schedule, due, jitterOf(schedule, seed, entry)), entry };
  }
}

function headOf(result: IteratorResult<number, unknown>): number | undefined {
  return result.done === true ? undefined : result.value;
}

/** Ascending, each once, all after `after`. */
function* momentsAfter(schedule: Schedule, after: number, seed: string): Generator<number> {
  const clock = clockOf(schedule);
  const raw =
    schedule.kind === 'cron'
      ? cronMoments(schedule.cron, clock, after, schedule.window !== undefined)
      : periodMoments(schedule.everyMs, after, seed);
  let last = after;
  for (const moment of raw) {
    const moved = schedule.window === undefined ? moment : openFrom(schedule.window, clock, moment);
    if (moved <= last) continue;
    last = moved;
    yield moved;
  }
}

function* periodMoments(everyMs: number, after: number, seed: string): Generator<number> {
  if (!(everyMs >= MINUTE_MS)) throw new Fault('POLICY_INVALID', `A period of ${everyMs} ms is shorter than a minute`);
  const phase = stableNumber(`phase ${seed}`, everyMs);
  const first = Math.floor((after - MOVED_MS_MAX - phase) / everyMs) * everyMs + phase;
  for (let moment = first; ; moment += everyMs) yield moment;
}

function* cronMoments(text: string, clock: ZoneClock, after: number, isMoved: boolean): Generator<number> {
  const cron = cronOf(text);
  const minutes = minutesOfDay(cron);
  const earliest = clock.steadyOffset(after - MOVED_MS_MAX, after) === undefined || isMoved ? after - MOVED_MS_MAX : after;
  let waiting: number[] = [];
  let from = Math.floor(clock.localOf(earliest) / DAY_MS);
  for (let day = nextMatchingDay(cron, from); day !== undefined; day = nextMatchingDay(cron, from)) {
    from = day + 1;
    const steady = clock.steadyOffset((day - 1) * DAY_MS, (day + 2) * DAY_MS);
    if (steady !== undefined) {
      // The plain case: no clock is changed near this day, so it lies between its neighbours.
      yield* waiting;
      waiting = [];
      for (const minute of minutes) yield day * DAY_MS + minute * MINUTE_MS - steady;
      continue;
    }
    const moments = momentsOfDay(day, minutes, cron, clock);
    // What was waiting for a day that may lie among it can go, up to its own last moment.
    const settled = Math.max(...waiting);
    waiting = [...waiting, ...moments].sort((a, b) => a - b);
    yield* waiting.filter((moment) => moment <= settled);
    waiting = waiting.filter((moment) => moment > settled);
  }
  yield* waiting;
}

function momentsOfDay(day: number, minutes: readonly number[], { isEveryHour }: Cron, clock: ZoneClock): number[] {
  return minutes.flatMap((minute) => {
    const { at, afterGap } = clock.instantsOf(day * DAY_MS + minute * MINUTE_MS);
    if (afterGap !== undefined) return [afterGap];
    return isEveryHour ? [...at] : at.slice(0, 1);
  });
}

function jitterOf(schedule: Schedule, seed: string, entry: number): number {
  const jitterMs = schedule.kind === 'cron' ? (schedule.jitterMs ?? 0) : openingSpread(schedule.window);
  // Without an asset there is nothing to spread.
  return seed === '' ? 0 : stableNumber(`jitter ${entry} ${seed}`, Math.floor(jitterMs / 1000)) * 1000;
}

/** Periods are spread by their phases; but whatever a window holds back comes together at its opening, and is spread over half of it. */
function openingSpread(window: TimeWindow | undefined): number {
  if (window === undefined) return 0;
  const minutes = (window.toMinute - window.fromMinute + 1440) % 1440;
  return (minutes * MINUTE_MS) / 2;
}

function startOf(schedule: Schedule, due: number, jitter: number): Pick<DueTime, 'notBefore' | 'startBy'> {
  const { window, startWithinMs } = schedule;
  const closes = window === undefined ? undefined : closesAfter(window, clockOf(schedule), due);
  const begin = due + (closes === undefined ? jitter : jitter % (closes - due));
  const limits = [...(closes === undefined ? [] : [closes]), ...(startWithinMs === undefined ? [] : [begin + startWithinMs])];
  return { notBefore: new Date(begin), ...(limits.length === 0 ? {} : { startBy: new Date(Math.min(...limits)) }) };
}

function openingOf(schedule: Schedule, instant: number): number {
  return schedule.window === undefined ? instant : openFrom(schedule.window, clockOf(schedule), instant);
}

function cronOf(text: string): Cron {
  const parsed = parseCron(text);
  if (parsed.kind === 'fault') throw new Fault('POLICY_INVALID', `The schedule cannot be understood: ${parsed.message}`);
  return parsed.cron;
}

function clockOf({ timeZone }: Schedule): ZoneClock {
  try {
    return zoneClock(timeZone);
  } catch (cause) {
    throw new Fault('POLICY_INVALID', `"${timeZone}" is not a time zone`, {
      cause,
      hint: 'Give an IANA name, e.g. Asia/Shanghai.',
    });
  }
}

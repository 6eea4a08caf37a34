// The hours of a day in which runs may begin: [from, to) in local time, over midnight when `to` is not after `from`.

import type { TimeWindow } from './policy-terms.ts';
import type { ZoneClock } from './zone-clock.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** `minute`: of the local day; parts of a minute count. */
export function isInWindow({ fromMinute, toMinute }: TimeWindow, minute: number): boolean {
  return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}

export function isOpenAt(window: TimeWindow, clock: ZoneClock, instant: number): boolean {
  return isInWindow(window, minuteOfDay(clock.localOf(instant)));
}

/** The instant itself when the window is open, or when it opens next. An opening in a gap of the clock is the first moment after the gap. */
export function openFrom(window: TimeWindow, clock: ZoneClock, instant: number): number {
  return isOpenAt(window, clock, instant) ? instant : firstAt(window.fromMinute, clock, instant);
}

/** When it closes after an instant at which it is open; undefined when it is not open (a gap of the clock has swallowed it). */
export function closesAfter(window: TimeWindow, clock: ZoneClock, instant: number): number | undefined {
  return isOpenAt(window, clock, instant) ? firstAt(window.toMinute, clock, instant) : undefined;
}

/** The first instant after `instant` whose local time of day is `minute`. */
function firstAt(minute: number, clock: ZoneClock, instant: number): number {
  const local = clock.localOf(instant);
  const today = local - (((local % DAY_MS) + DAY_MS) % DAY_MS);
  for (let day = today; ; day += DAY_MS) {
    const { at, afterGap } = clock.instantsOf(day + minute * MINUTE_MS);
    const first = [...at, ...(afterGap === undefined ? [] : [afterGap])].find((one) => one > instant);
    if (first !== undefined) return first;
  }
}

function minuteOfDay(local: number): number {
  return (((local % DAY_MS) + DAY_MS) % DAY_MS) / MINUTE_MS;
}

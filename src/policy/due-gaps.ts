// The longest time that passes between two due times of a schedule: what it can promise at best.
//
// Which minutes of a day are due depends only on which entries match it, and which matched the day before with times that their window moves
// over midnight. So each such combination is looked at once, as a bitmap of minutes, however often the schedule comes.

import { civilDay, lastDayOf, weekDayOf } from './civil-day.ts';
import { type Cron, parseCron } from './cron.ts';
import { matchesDay, minutesOfDay } from './cron-match.ts';
import type { BackupSchedule, TimeWindow } from './policy-terms.ts';
import { isInWindow } from './time-window.ts';
import { zoneClock } from './zone-clock.ts';

const DAY_MINUTES = 1440;
const MINUTE_MS = 60_000;
const DAY_MS = DAY_MINUTES * MINUTE_MS;
/** From here on there is a 29 February within 400 days. */
const FIRST_DAY = Date.UTC(2027, 2, 1) / DAY_MS;
/** A year and a month; and for what is rarer than that, until the second leap year. */
const DAYS = [400, 3660] as const;

type Entry = { readonly cron: Cron; readonly today: readonly number[]; readonly tomorrow: readonly number[] };
type DayShape = { readonly first: number; readonly last: number; readonly innerGap: number };

/** Milliseconds by the calendar, as if all clocks were UTC; Infinity when it is due less than twice in ten years. The schedule is a valid one. */
export function largestGap(schedule: readonly BackupSchedule[]): number {
  const entries = schedule.map(entryOf);
  for (const days of DAYS) {
    const gap = largestGapOf(entries, days);
    if (gap !== undefined) return gap * MINUTE_MS;
  }
  return Number.POSITIVE_INFINITY;
}

/** Milliseconds that really pass: the night in which clocks are put back is longer than the calendar says. */
export function largestRealGap(schedule: readonly BackupSchedule[]): number {
  const gap = largestGap(schedule);
  const changes = schedule.flatMap(({ timeZone }) =>
    zoneClock(timeZone).changesBetween(FIRST_DAY * DAY_MS, (FIRST_DAY + DAYS[0]) * DAY_MS),
  );
  const back = Math.max(0, ...changes.map(({ before, after }) => before - after));
  // Such a schedule is due in each of the hours that come twice.
  const isCovered = gap <= back && schedule.every((entry) => entryOf(entry).cron.isEveryHour);
  return isCovered ? gap : gap + back;
}

function entryOf({ cron: text, window }: BackupSchedule): Entry {
  const parsed = parseCron(text);
  if (parsed.kind === 'fault') throw new Error(`Invariant broken: "${text}" was not checked`);
  const minutes = minutesOfDay(parsed.cron);
  if (window === undefined) return { cron: parsed.cron, today: minutes, tomorrow: [] };
  const late = minutes.filter((minute) => !isInWindow(window, minute) && minute >= window.fromMinute);
  const today = minutes.filter((minute) => !late.includes(minute)).map((minute) => movedInto(window, minute));
  return { cron: parsed.cron, today, tomorrow: late.length === 0 ? [] : [window.fromMinute] };
}

function movedInto(window: TimeWindow, minute: number): number {
  return isInWindow(window, minute) ? minute : window.fromMinute;
}

/** Minutes; undefined when there are too few due times to tell. */
function largestGapOf(entries: readonly Entry[], days: number): number | undefined {
  const shapes = new Map<string, DayShape | undefined>();
  let yesterday = entries.map(({ cron }) => isDue(cron, FIRST_DAY - 1));
  let last: number | undefined;
  let largest: number | undefined;
  for (let day = 0; day < days; day++) {
    const today = entries.map(({ cron }) => isDue(cron, FIRST_DAY + day));
    const key = `${today}|${yesterday}`;
    if (!shapes.has(key)) shapes.set(key, shapeOf(entries, today, yesterday));
    const shape = shapes.get(key);
    yesterday = today;
    if (shape === undefined) continue;
    if (last !== undefined) largest = Math.max(largest ?? 0, day * DAY_MINUTES + shape.first - last, shape.innerGap);
    last = day * DAY_MINUTES + shape.last;
  }
  // One that stops for more of the year than it was looked at has not shown its gap.
  const rest = last === undefined ? Number.POSITIVE_INFINITY : days * DAY_MINUTES - last;
  return largest === undefined || rest > largest ? undefined : largest;
}

function isDue(cron: Cron, day: number): boolean {
  const { year, month, day: d } = civilDay(day);
  return (cron.months & (1 << month)) !== 0 && matchesDay(cron, d, d === lastDayOf(year, month), weekDayOf(day));
}

function shapeOf(entries: readonly Entry[], today: readonly boolean[], yesterday: readonly boolean[]): DayShape | undefined {
  const due = new Uint8Array(DAY_MINUTES);
  entries.forEach((entry, i) => {
    if (today[i]) for (const minute of entry.today) due[minute] = 1;
    if (yesterday[i]) for (const minute of entry.tomorrow) due[minute] = 1;
  });
  const first = due.indexOf(1);
  if (first < 0) return undefined;
  let last = first;
  let innerGap = 0;
  for (let minute = first + 1; minute < DAY_MINUTES; minute++) {
    if (due[minute] === 0) continue;
    innerGap = Math.max(innerGap, minute - last);
    last = minute;
  }
  return { first, last, innerGap };
}

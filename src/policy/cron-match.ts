// Which days and times of day a cron expression means; time zones are the business of due-times.ts.

import { civilDay, dayNumber, lastDayOf, weekDayOf } from './civil-day.ts';
import type { Cron } from './cron.ts';

/** Two 29 Februaries are eight years apart at the most, and one that must be a certain day of the week 40. */
const DAYS_AHEAD_MAX = 41 * 366;

/** The first matching day from `from` on, as a day number; undefined when there is none for a generation. */
export function nextMatchingDay(cron: Cron, from: number): number | undefined {
  const end = from + DAYS_AHEAD_MAX;
  for (let number = from; number < end; ) {
    const { year, month, day } = civilDay(number);
    const last = lastDayOf(year, month);
    if ((cron.months & (1 << month)) !== 0) {
      for (let d = day; d <= last; d++) if (matchesDay(cron, d, d === last, weekDayOf(number + d - day))) return number + d - day;
    }
    number = dayNumber(year, month, last) + 1;
  }
  return undefined;
}

export function matchesDay(cron: Cron, day: number, isLast: boolean, weekDay: number): boolean {
  const byMonth = (cron.monthDays & (1 << day)) !== 0 || (cron.hasLastDay && isLast);
  const byWeek = (cron.weekDays & (1 << weekDay)) !== 0;
  return cron.isEitherDay ? byMonth || byWeek : byMonth && byWeek;
}

/** Minutes since midnight, ascending. */
export function minutesOfDay(cron: Cron): number[] {
  return cron.hours.flatMap((hour) => cron.minutes.map((minute) => hour * 60 + minute));
}

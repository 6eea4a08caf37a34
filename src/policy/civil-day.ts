// Days of the calendar as whole numbers: day 0 is 1970-01-01. No time zone comes near.

export type CivilDay = { readonly year: number; readonly month: number; readonly day: number };

const DAY_MS = 86_400_000;

export function dayNumber(year: number, month: number, day: number): number {
  return Math.round(Date.UTC(year, month - 1, day) / DAY_MS);
}

export function civilDay(number: number): CivilDay {
  const date = new Date(number * DAY_MS);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

export function lastDayOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** 0 = Sunday. */
export function weekDayOf(number: number): number {
  return (((number + 4) % 7) + 7) % 7;
}

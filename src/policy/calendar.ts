// Hours, days, ISO weeks, months and years of a time zone, as names: two moments with one name lie in one bucket.
//
// An hour is named by its offset from UTC too: when clocks are put back, 02:30 comes twice, and those are two hours.

export type Calendar = {
  readonly hour: (at: Date) => string;
  readonly day: (at: Date) => string;
  readonly week: (at: Date) => string;
  readonly month: (at: Date) => string;
  readonly year: (at: Date) => string;
};

type Local = {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly offset: string;
};

const DAY_MS = 86_400_000;

/** Throws a RangeError for a name that is no time zone. */
export function calendarOf(timeZone: string): Calendar {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'iso8601',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    timeZoneName: 'longOffset',
  });
  const local = (at: Date): Local => {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    return {
      year: Number(parts.year),
      month: Number(parts.month),
      day: Number(parts.day),
      hour: Number(parts.hour),
      offset: parts.timeZoneName ?? '',
    };
  };
  const two = (n: number): string => String(n).padStart(2, '0');
  const dayName = ({ year, month, day }: Local): string => `${year}-${two(month)}-${two(day)}`;
  return {
    hour: (at) => {
      const moment = local(at);
      return `${dayName(moment)} ${two(moment.hour)}h ${moment.offset}`;
    },
    day: (at) => dayName(local(at)),
    week: (at) => isoWeek(local(at)),
    month: (at) => {
      const { year, month } = local(at);
      return `${year}-${two(month)}`;
    },
    year: (at) => String(local(at).year),
  };
}

/** ISO 8601: weeks begin on Monday and belong to the year of their Thursday. */
function isoWeek({ year, month, day }: Local): string {
  const midnight = Date.UTC(year, month - 1, day);
  const weekday = (new Date(midnight).getUTCDay() + 6) % 7;
  const thursday = new Date(midnight + (3 - weekday) * DAY_MS);
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.floor((thursday.getTime() - first) / (7 * DAY_MS)) + 1;
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`;
}

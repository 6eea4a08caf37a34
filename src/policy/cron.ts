// Cron expressions: five fields (minute, hour, day of the month, month, day of the week), or @hourly, @daily, @weekly, @monthly, @yearly.
//
// A field is a list of: *, a number or name, a range a-b, each of them with a step /n. Days of the month know L, the last one. What can
// never be (30 February) and what can hardly be meant (a step that is longer than its field) is refused here, where somebody is reading.

export type Cron = {
  /** Ascending. */
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** Bit n: day n of the month. */
  readonly monthDays: number;
  readonly hasLastDay: boolean;
  /** Bit n: month n, 1 = January. */
  readonly months: number;
  /** Bit n: day n of the week, 0 = Sunday. */
  readonly weekDays: number;
  /** Both day fields are restricted: a day that matches either of them matches. */
  readonly isEitherDay: boolean;
  /** The hour field begins with "*": the passing of hours is meant. */
  readonly isEveryHour: boolean;
};

export type ParsedCron = { readonly kind: 'cron'; readonly cron: Cron } | { readonly kind: 'fault'; readonly message: string };

type Field = {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
  /** Of the first name. */
  readonly firstName?: number;
};

const FIELDS: readonly [Field, Field, Field, Field, Field] = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of the month', min: 1, max: 31 },
  {
    name: 'month',
    min: 1,
    max: 12,
    names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
    firstName: 1,
  },
  { name: 'day of the week', min: 0, max: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'], firstName: 0 },
];

const NICKNAMES: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
};
const LONGEST = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const CHARS_MAX = 200;

class CronFault extends Error {}

/** Never throws. */
export function parseCron(text: string): ParsedCron {
  try {
    return { kind: 'cron', cron: parse(text) };
  } catch (error) {
    if (error instanceof CronFault) return { kind: 'fault', message: error.message };
    throw error;
  }
}

function parse(text: string): Cron {
  if (text.length > CHARS_MAX) throw new CronFault(`a cron expression has at most ${CHARS_MAX} characters`);
  const lower = text.trim().toLowerCase();
  const words = (NICKNAMES[lower] ?? lower).split(/\s+/);
  if (lower.startsWith('@') && NICKNAMES[lower] === undefined)
    throw new CronFault(`"${text}" is none of ${Object.keys(NICKNAMES).join(', ')}`);
  if (words.length !== 5)
    throw new CronFault(
      `"${text}" has ${lower === '' ? 0 : words.length} fields; five are needed: minute, hour, day of the month, month, day of the week`,
    );
  const [minute, hour, monthDay, month, weekDay] = words as [string, string, string, string, string];
  const months = maskOf(valuesOf(month, FIELDS[3]));
  const dayParts = monthDay.split(',');
  const hasLastDay = dayParts.includes('l');
  const monthDays = maskOf(valuesOf(dayParts.filter((part) => part !== 'l').join(','), FIELDS[2], hasLastDay));
  const isEitherDay = !monthDay.startsWith('*') && !weekDay.startsWith('*');
  if (!isEitherDay && !hasLastDay && !LONGEST.some((longest, m) => isDayOf(monthDays, months, longest, m)))
    throw new CronFault(`"${text}" never comes: none of its months has such a day`);
  return {
    minutes: valuesOf(minute, FIELDS[0]),
    hours: valuesOf(hour, FIELDS[1]),
    monthDays,
    hasLastDay,
    months,
    weekDays: maskOf(valuesOf(weekDay, FIELDS[4]).map((day) => day % 7)),
    isEitherDay,
    isEveryHour: hour.startsWith('*'),
  };
}

function isDayOf(monthDays: number, months: number, longest: number, month: number): boolean {
  return (months & (1 << month)) !== 0 && (monthDays & (2 ** (longest + 1) - 1)) !== 0;
}

/** Ascending, each once. */
function valuesOf(text: string, field: Field, mayBeEmpty = false): number[] {
  if (text === '' && mayBeEmpty) return [];
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [first, last, step] = rangeOf(part, field);
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function rangeOf(part: string, field: Field): readonly [first: number, last: number, step: number] {
  const match = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,4}))?$/.exec(part);
  if (match === null || (match[1] === '*' && match[2] !== undefined))
    throw new CronFault(`"${part}" is no ${field.name}: expected *, a value, a range a-b, or one of these with a step /n`);
  const [, from, to, stepText] = match;
  const step = stepText === undefined ? 1 : Number(stepText);
  const top = field.max === 7 ? 6 : field.max;
  if (step < 1 || step > top - field.min + 1)
    throw new CronFault(`the step of "${part}" must be from 1 to ${top - field.min + 1} in the field of the ${field.name}`);
  if (from === '*') return [field.min, top, step];
  const first = fieldValue(from!, field);
  if (to === undefined) return [first, stepText === undefined ? first : top, step];
  let last = fieldValue(to, field);
  // The week may end with its Sunday: "fri-sun".
  if (field.max === 7 && last === 0 && first > 0) last = 7;
  if (last < first) throw new CronFault(`the range "${part}" goes backwards; write it as two, with a comma`);
  return [first, last, step];
}

function fieldValue(text: string, { name, min, max, names = [], firstName = 0 }: Field): number {
  const index = names.indexOf(text);
  const value = index >= 0 ? index + firstName : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw new CronFault(`"${text}" is no ${name}: expected ${min} to ${max}${names.length > 0 ? ` or ${names.join(', ')}` : ''}`);
  return value;
}

function maskOf(values: readonly number[]): number {
  // Day 31 is the sign bit: as long as only `&` and a comparison with zero look at it, that does not matter.
  return values.reduce((mask, value) => mask | (1 << value), 0);
}

// Lengths of time as policies write them: "15m", "36h", "1d12h", "30d". Units s, m(inutes), h, d, w and y; a day is 24 hours, a week 7 days
// and a year 365 days whatever the calendar says. There is no unit for months: write "30d" or "1y".

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const UNITS = [
  ['y', 365 * DAY_MS],
  ['w', 7 * DAY_MS],
  ['d', DAY_MS],
  ['h', HOUR_MS],
  ['m', MINUTE_MS],
  ['s', SECOND_MS],
] as const;

/** Units from the longest to the shortest, each at most once. */
export const DURATION_PATTERN = '^(?=\\d)(?:\\d{1,4}y)?(?:\\d{1,5}w)?(?:\\d{1,6}d)?(?:\\d{1,7}h)?(?:\\d{1,8}m)?(?:\\d{1,9}s)?$';

const DURATION = new RegExp(DURATION_PATTERN);

/** Milliseconds; undefined when it is no duration. "0s" is one. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([ywdhms])/g)) ms += Number(count) * UNITS.find(([name]) => name === unit)![1];
  return ms;
}

/** 5_400_000 -> "1h30m"; parts of a second are dropped. Weeks and years are told in days. */
export function formatSpan(durationMs: number): string {
  let left = Math.max(0, Math.floor(durationMs / SECOND_MS)) * SECOND_MS;
  let text = '';
  for (const [unit, ms] of UNITS.slice(2)) {
    const count = Math.floor(left / ms);
    left -= count * ms;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === '' ? '0s' : text;
}

/** For people: the two greatest units, "3d4h"; whatever is less than a minute in seconds. */
export function roughSpan(durationMs: number): string {
  const exact = formatSpan(durationMs).match(/\d+[dhms]/g) ?? [];
  return exact.slice(0, 2).join('');
}

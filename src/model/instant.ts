// Moments in the service are texts that sort: ISO 8601 in UTC with milliseconds, "2026-11-21T08:00:00.000Z".

import { Type } from '../base/type.ts';

export type Instant = string;

/** What is no day, such as February 30, would be taken for another one. */
const DAY_OF_YEAR = '(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|[12]\\d))';

export const Instant = Type.String({
  pattern: `^\\d{4}-${DAY_OF_YEAR}T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z$`,
  description: 'ISO 8601 in UTC with milliseconds',
  examples: ['2026-11-21T08:00:00.000Z'],
});

export function instantOf(at: Date): Instant {
  return at.toISOString();
}

export function laterBy(instant: Instant, durationMs: number): Instant {
  return new Date(Date.parse(instant) + durationMs).toISOString();
}

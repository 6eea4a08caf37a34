// Moments in the service are texts that sort: ISO 8601 in UTC with milliseconds, "2026-11-21T08:00:00.000Z".

import { Type } from '../base/type.ts';

export type Instant = string;

export const Instant = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$',
  description: 'ISO 8601 in UTC with milliseconds',
  examples: ['2026-11-21T08:00:00.000Z'],
});

export function instantOf(at: Date): Instant {
  return at.toISOString();
}

export function laterBy(instant: Instant, durationMs: number): Instant {
  return new Date(Date.parse(instant) + durationMs).toISOString();
}

// The longest time that passes between two due times of a schedule: what it can promise at best.

import { dueBetween } from './due-times.ts';
import { DAY_MS } from './duration.ts';
import type { Schedule } from './policy-terms.ts';

/** Any fixed year will do; this one begins on a Thursday and its day of the leap is in reach of ten years. */
const FROM = Date.UTC(2026, 0, 1);
const DUE_MAX = 5000;
const ENOUGH = 20;

/** Milliseconds; Infinity when it is due less than twice in ten years. */
export function largestGap(schedules: readonly Schedule[]): number {
  if (schedules.length === 0) return Number.POSITIVE_INFINITY;
  for (const days of [400, 3660]) {
    const due = dueBetween(schedules, new Date(FROM), new Date(FROM + days * DAY_MS), DUE_MAX).map((one) => one.due.getTime());
    if (due.length >= ENOUGH || (days > 400 && due.length >= 2)) return largest(due);
  }
  return Number.POSITIVE_INFINITY;
}

function largest(due: readonly number[]): number {
  let most = 0;
  for (let i = 1; i < due.length; i++) most = Math.max(most, due[i]! - due[i - 1]!);
  return most;
}

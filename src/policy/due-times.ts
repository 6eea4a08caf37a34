// When something is due. STUB: signatures first; the rules are in README.md.

import type { Schedule } from './policy-terms.ts';

export type DueTime = {
  /** The moment itself: what a run's idempotency key is made of. Does not depend on jitter. */
  readonly due: Date;
  /** Not to be begun before: `due` and the jitter of the asset. */
  readonly notBefore: Date;
  /** Not to be begun after (exclusive): from startWithin and the window; absent: whenever. */
  readonly startBy?: Date;
  /** Which of the schedules, by its place in the list. */
  readonly entry: number;
};

/** The first due time after `after` (exclusive). Undefined: never again. `seed` (the asset's id) decides jitter and the phase of periods. */
export function nextDue(_schedules: Schedule | readonly Schedule[], _after: Date, _seed?: string): DueTime | undefined {
  throw new Error('not built yet');
}

/** Due times in (from, to], oldest first, at most `limit`. */
export function dueBetween(
  _schedules: Schedule | readonly Schedule[],
  _from: Date,
  _to: Date,
  _limit: number,
  _seed?: string,
): readonly DueTime[] {
  throw new Error('not built yet');
}

/** The one run that stands for all due times in (doneUntil, now]: the latest of them, and how many more were missed. Undefined: nothing is due. */
export function catchUp(
  _schedules: Schedule | readonly Schedule[],
  _doneUntil: Date,
  _now: Date,
  _seed?: string,
): (DueTime & { readonly missed: number }) | undefined {
  throw new Error('not built yet');
}

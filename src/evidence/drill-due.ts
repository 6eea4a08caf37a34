// Whether a plan has to be rehearsed again: what counts is signed evidence of a drill that has succeeded, by a key that somebody vouches for, no
// older than the plan asks for. Drills that failed, were void or never finished are told, and count for nothing.

import type { PlanDocument } from '../plan/plan-document.ts';
import { parseDuration } from '../policy/duration.ts';

export type PastDrill = {
  readonly drill: string;
  /** RFC 3339. */
  readonly at: string;
  /** succeeded, failed, void; "running", "not finished"; "refused": its pack is not what was signed, or by whom nobody knows. */
  readonly outcome: string;
  /** Whether the plan was the very one. */
  readonly isSamePlan: boolean;
};

export type DrillDue = {
  readonly isDue: boolean;
  readonly why: string;
  readonly last: PastDrill | undefined;
  readonly lastSucceeded: PastDrill | undefined;
  /** RFC 3339; null when the plan says nothing of how often. */
  readonly dueAt: string | null;
};

export function drillDue({ drill }: PlanDocument, past: readonly PastDrill[], now: Date): DrillDue {
  const last = past.at(-1);
  const lastSucceeded = past.findLast(({ outcome }) => outcome === 'succeeded');
  const every = drill?.every;
  if (every === undefined)
    return { isDue: false, why: 'the plan does not say how often it is rehearsed', last, lastSucceeded, dueAt: null };
  if (lastSucceeded === undefined)
    return { isDue: true, why: 'no drill of it has succeeded yet', last, lastSucceeded, dueAt: now.toISOString() };
  const dueAt = new Date(Date.parse(lastSucceeded.at) + parseDuration(every)!);
  const isDue = dueAt.getTime() <= now.getTime();
  const why = isDue ? `the last one that succeeded is older than ${every}` : `the last one is not older than ${every}`;
  return { isDue, why, last, lastSucceeded, dueAt: dueAt.toISOString() };
}

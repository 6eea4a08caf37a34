// Whether and when a failed attempt is followed by another: what the table of faults says about the fault, later and later, up to a cap.

import { FAULTS, type FaultCode } from '../base/faults.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import type { RunFault } from '../model/run.ts';

const FIRST_MS = 60_000;
const FACTOR = 3;
const MS_MAX = 3_600_000;

/** Never to be tried again by a person who changes nothing, and yet perhaps over in a moment, for a run that has attempts left: a bug; an
 *  index object that a prune took away between the look at the head and its reading. */
const OF_A_MOMENT: ReadonlySet<string> = new Set(['INTERNAL', 'STORE_NOT_FOUND']);

/** Undefined: another attempt would fail in the same way. A code that the table does not have is of another version: it is tried again. */
export function retryAt(fault: Pick<RunFault, 'code'>, attempt: number, now: Date): Instant | undefined {
  const entry = FAULTS[fault.code as FaultCode] as (typeof FAULTS)[FaultCode] | undefined;
  if (entry !== undefined && entry.retry === 'never' && !OF_A_MOMENT.has(fault.code)) return undefined;
  return instantOf(new Date(now.getTime() + Math.min(MS_MAX, FIRST_MS * FACTOR ** Math.max(0, attempt - 1))));
}

/** A lease that ran out says nothing about why: the next attempt comes soon, and how often a run may lose its holder is limited. */
export function retryAfterLostLease(now: Date): Instant {
  return instantOf(new Date(now.getTime() + FIRST_MS / 2));
}

// Who went away when a run lost its holder. The service opens its catalogue when it starts, so a run that began before that has lost the service too,
// whether its lease ran out meanwhile, or its agent could not reach anybody, or died with it: nothing of that is known against the run.

import { FAULTS } from '../../base/faults.ts';
import type { Instant } from '../../model/instant.ts';
import { LOST_MAX, LOST_WITH_SERVICE_MAX, type Loss, type Run, type RunFault } from '../../model/run.ts';

/** Of a run that is under way; `said`: as far as those know who were there. */
export function lossOf({ startedAt }: Run, openedAt: Instant, said: Loss): Loss {
  return startedAt !== undefined && startedAt < openedAt ? 'service' : said;
}

/** The columns. */
export function lossesAfter(
  { lost, lostWithService }: Run,
  loss: Loss | undefined,
): { readonly lost: number | null; readonly lostWithService: number | null } {
  return {
    lost: loss === undefined ? (lost ?? null) : (lost ?? 0) + 1,
    lostWithService: loss === 'service' ? (lostWithService ?? 0) + 1 : (lostWithService ?? null),
  };
}

/** Of a run that is about to lose its holder once more than may be. */
export function lostTooOften(loss: Loss, { message }: Pick<RunFault, 'message'>): RunFault {
  const code = 'RUN_LOST_TOO_OFTEN';
  const count = loss === 'service' ? `the service ${LOST_WITH_SERVICE_MAX} times` : `its holder ${LOST_MAX} times`;
  return { code, message: `It lost ${count}, the last time so: ${message.slice(0, 3000)}`, hint: FAULTS[code].hint };
}

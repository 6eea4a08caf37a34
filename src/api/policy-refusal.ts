// How a policy that cannot be taken is refused: with the field of its text, and what is wrong with it.

import { isFault } from '../base/faults.ts';
import type { PolicyProblem } from '../policy/effective-policy.ts';
import { FieldFault, fieldFault } from './problem.ts';

export function refuseContradictions(problems: readonly PolicyProblem[]): void {
  if (problems.length > 0)
    throw new FieldFault(
      problems.slice(0, 20).map(({ field, message }) => ({ field: `body/text/${field.replaceAll('.', '/')}`, message })),
    );
}

/** A policy that extends what is not there would promise less than it says. */
export async function baseFound<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isFault(error, 'POLICY_NOT_FOUND', 'POLICY_INVALID')) throw fieldFault('body/text/extends', `is wrong: ${error.message}`);
    throw error;
  }
}

// What holds between the members of a group that were brought back, by what was measured of each: never more than was done.
//
// "whole": nothing of any member was lost, as in a planned switch. "barrier": every member stopped at the same named restore point, and none of
// their logs has a commit between its own point and the last of them, so there was an instant at which all of them were so. "epsilon": the
// instants of their last work lie no further apart than the plan allows. A group that declares nothing has its spread told all the same.

import type { PlanGroup } from '../plan/plan-document.ts';
import { parseDuration } from '../policy/duration.ts';
import type { Measurement, Scalar } from './measurement.ts';

/** A measurement of the kind "recovered", or what will be one. */
export type Recovered = Pick<Measurement, 'of' | 'value'>;

/** Undefined for a group of one: nothing can hold between its members. `recovered`: of all groups. */
export function consistencyOf<R extends Recovered>(
  { name, members, consistency: declared = 'none', epsilon }: PlanGroup,
  recovered: readonly R[],
): { readonly from: readonly R[]; readonly value: Readonly<Record<string, Scalar>> } | undefined {
  if (members.length < 2) return undefined;
  const last = members.map(({ asset }) => recovered.findLast(({ of }) => of === asset));
  const from = last.filter((one) => one !== undefined);
  const isAll = (has: (value: Recovered['value']) => boolean): boolean => last.every((one) => one !== undefined && has(one.value));
  const isWhole = isAll(({ isWhole }) => isWhole === true);
  const spreadMs = isWhole ? 0 : spreadOf(last);
  const point = last[0]?.value.point ?? null;
  const isBarrier = point !== null && isAll(({ point: other, isQuiet }) => other === point && isQuiet === true);
  const epsilonMs = epsilon === undefined ? null : parseDuration(epsilon)!;
  const isWithin = epsilonMs !== null && spreadMs !== null && spreadMs <= epsilonMs;
  const reached = isWhole ? 'whole' : isBarrier ? 'barrier' : isWithin ? 'epsilon' : 'none';
  const isKept = isWhole || declared === 'none' || (declared === 'barrier' ? isBarrier : isWithin);
  const value = { group: name, declared, epsilonMs, members: members.length, spreadMs, point: isBarrier ? point : null, reached };
  return { from, value: { ...value, isKept } };
}

/** Null: of one of them nobody knows. */
function spreadOf(recovered: readonly (Recovered | undefined)[]): number | null {
  const at = recovered.map((one) => (typeof one?.value.at === 'string' ? Date.parse(one.value.at) : Number.NaN));
  return at.some(Number.isNaN) ? null : Math.max(...at) - Math.min(...at);
}

// What a change of a plan means, field by field; parts of lists are told by their names, so that moving them is no change of all of them.

import { parseDuration } from '../policy/duration.ts';
import type { PlanDocument } from './plan-document.ts';

export type PlanDifference = {
  /** "groups.database.members.pg/portal.startLimit" */
  readonly field: string;
  readonly before?: string;
  readonly after?: string;
  /** weaker: less is promised, proven or asked of people; two people must approve it. */
  readonly effect: 'weaker' | 'other';
};

/** In the order of the fields of the new plan, then what is gone. Empty: both mean the same. */
export function planDiff(before: PlanDocument, after: PlanDocument): readonly PlanDifference[] {
  const [was, is] = [fields(before), fields(after)];
  return [...new Set([...is.keys(), ...was.keys()])].flatMap((field): PlanDifference[] => {
    const [old, now] = [was.get(field), is.get(field)];
    if (old === now) return [];
    return [
      {
        field,
        ...(old === undefined ? {} : { before: old }),
        ...(now === undefined ? {} : { after: now }),
        effect: isWeaker(field, old, now) ? 'weaker' : 'other',
      },
    ];
  });
}

function isWeaker(field: string, before: string | undefined, after: string | undefined): boolean {
  const isFewer = before !== undefined && (after === undefined || Number(after) < Number(before));
  if (/^objectives\./.test(field) || /^drill\.every$/.test(field)) return lengthOf(after) > lengthOf(before);
  if (/^approvals\.|\.approvers$/.test(field)) return isFewer;
  if (/^(?:smokeTests|drill\.probes)\b|\.gate$|^lease\.margin$/.test(field))
    return field === 'lease.margin' ? lengthOf(after) < lengthOf(before) : after === undefined;
  if (field === 'fencing.readBack' || field === 'fencing.powerOff') return after === undefined;
  return field === 'lease.onLeaseLoss' && after === 'continue';
}

/** What is absent is never reached. */
const lengthOf = (text: string | undefined): number =>
  text === undefined ? Number.POSITIVE_INFINITY : (parseDuration(text) ?? Number.POSITIVE_INFINITY);

function fields(plan: PlanDocument): Map<string, string> {
  const found = new Map<string, string>();
  const look = (value: unknown, field: string): void => {
    if (Array.isArray(value)) {
      const names = value.map(nameOf);
      if (names.every((name) => name !== undefined)) {
        for (const [i, part] of value.entries()) look(part, `${field}.${names[i]}`);
        found.set(`${field} (order)`, names.join(', '));
      } else found.set(field, JSON.stringify(value));
    } else if (typeof value === 'object' && value !== null)
      for (const [key, part] of Object.entries(value)) look(part, field === '' ? key : `${field}.${key}`);
    else found.set(field, String(value));
  };
  look(plan, '');
  return found;
}

function nameOf(part: unknown): string | undefined {
  if (typeof part !== 'object' || part === null) return undefined;
  const { name, asset } = part as { readonly name?: string; readonly asset?: string };
  return name ?? asset;
}

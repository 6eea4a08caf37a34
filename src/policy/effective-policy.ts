// Inheritance over the levels city > district > tenant > asset. STUB: signatures first.

import type { PolicyDocument } from './policy-document.ts';
import type { EffectivePolicy } from './policy-terms.ts';

export const POLICY_LEVELS = ['city', 'district', 'tenant', 'asset'] as const;
export type LevelName = (typeof POLICY_LEVELS)[number];

export type PolicyLevel = {
  /** 'base': what a document extends; it stands above the document. */
  readonly level: LevelName | 'base';
  /** For people: whose it is, e.g. the district's name. */
  readonly scope?: string;
  readonly document: PolicyDocument;
};

/** A lower level says less than a higher one requires. */
export type PolicyProblem = {
  /** "objectives.rpo" */
  readonly field: string;
  readonly higher: { readonly level: string; readonly value: string };
  readonly lower: { readonly level: string; readonly value: string };
  /** One sentence for people. */
  readonly message: string;
};

export type Effective = {
  /** Where levels contradict each other the stricter one counts: it is safe to act upon even with problems. */
  readonly policy: EffectivePolicy;
  readonly problems: readonly PolicyProblem[];
};

/** `levels`: highest first; any may be absent, none at all gives a policy that promises nothing. Throws POLICY_INVALID for a document whose
 *  values mean nothing (a cron expression, a time zone). */
export function effectivePolicy(_levels: readonly PolicyLevel[]): Effective {
  throw new Error('not built yet');
}

/** What a change from `before` to `after` takes away: what two people must approve. Empty: nothing. */
export function weakenings(_before: EffectivePolicy, _after: EffectivePolicy): readonly PolicyProblem[] {
  throw new Error('not built yet');
}

export function isWeaker(before: EffectivePolicy, after: EffectivePolicy): boolean {
  return weakenings(before, after).length > 0;
}

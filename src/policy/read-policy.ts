// YAML -> a policy document, or what is wrong with it and where. STUB: signatures first.

import type { PolicyDocument } from './policy-document.ts';

export const POLICY_TEXT_BYTES_MAX = 64 * 1024;

/** `line` and `column` count from 1. */
export type TextProblem = {
  readonly line: number;
  readonly column: number;
  /** "objectives.rpo"; '' for the whole text. */
  readonly field: string;
  /** What is wrong, what was expected, and the nearest key when one is unknown. */
  readonly message: string;
};

export type ReadPolicy =
  | {
      readonly kind: 'policy';
      readonly document: PolicyDocument /** Promises that cannot be kept so. */;
      readonly warnings: readonly TextProblem[];
    }
  | { readonly kind: 'problems'; readonly problems: readonly TextProblem[] };

/** Never throws for what the text says. */
export function readPolicy(_text: string): ReadPolicy {
  throw new Error('not built yet');
}

/** Throws POLICY_INVALID with all problems in its message. */
export function parsePolicy(_text: string, _name = 'the policy'): PolicyDocument {
  throw new Error('not built yet');
}

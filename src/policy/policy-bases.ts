// `extends`: a policy stands on another one by its name, as a lower level stands on a higher one, and likewise may only tighten it.

import { Fault } from '../base/faults.ts';
import type { PolicyLevel } from './effective-policy.ts';
import type { PolicyDocument } from './policy-document.ts';

const DEPTH_MAX = 8;

/** The level with everything that its document extends before it. `find`: a policy by its name. Throws POLICY_NOT_FOUND, or POLICY_INVALID
 *  for a circle. */
export function withBases(level: PolicyLevel, find: (name: string) => PolicyDocument | undefined): readonly PolicyLevel[] {
  const levels = [level];
  for (let { document } = level; document.extends !== undefined; ) {
    const base = find(document.extends);
    if (base === undefined)
      throw new Fault('POLICY_NOT_FOUND', `The policy "${document.name}" extends "${document.extends}", which does not exist`);
    if (levels.some((one) => one.document.name === base.name))
      throw new Fault('POLICY_INVALID', `The policy "${level.document.name}" extends itself, by way of "${document.name}"`);
    if (levels.length >= DEPTH_MAX)
      throw new Fault('POLICY_INVALID', `The policy "${level.document.name}" stands on more than ${DEPTH_MAX - 1} others`);
    levels.unshift({ level: 'base', document: base });
    document = base;
  }
  return levels;
}

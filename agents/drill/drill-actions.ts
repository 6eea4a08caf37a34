// The order in which a drill does what planRun says: waves one after the other, groups of a wave at once, actions of a group in order.

import type { PlanAction } from '../../src/plan/plan-run.ts';

/** Batches one after the other; the lists of a batch at once. */
export function batchesOf(actions: readonly PlanAction[]): readonly (readonly (readonly PlanAction[])[])[] {
  const batches: { readonly key: string; readonly groups: Map<string, PlanAction[]> }[] = [];
  for (const action of actions) {
    const key = action.group === undefined ? action.id : `${action.state} ${action.wave}`;
    let batch = batches.at(-1);
    if (batch?.key !== key) batches.push((batch = { key, groups: new Map() }));
    const name = action.group ?? '';
    batch.groups.set(name, [...(batch.groups.get(name) ?? []), action]);
  }
  return batches.map(({ groups }) => [...groups.values()]);
}

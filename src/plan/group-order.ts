// In which order groups come up: waves, each of groups that only need what earlier waves have brought up. Within a wave they go at once.

import type { PlanGroup } from './plan-document.ts';

export type GroupOrder =
  | { readonly kind: 'waves'; readonly waves: readonly (readonly PlanGroup[])[] }
  /** Each needs the next one, the last the first. */
  | { readonly kind: 'cycle'; readonly names: readonly string[] };

/** Names in `after` that no group has are left out of account. */
export function groupOrder(groups: readonly PlanGroup[]): GroupOrder {
  const known = new Set(groups.map(({ name }) => name));
  const done = new Set<string>();
  const waves: PlanGroup[][] = [];
  for (let left = [...groups]; left.length > 0; ) {
    const wave = left.filter(({ after = [] }) => after.every((name) => done.has(name) || !known.has(name)));
    if (wave.length === 0) return { kind: 'cycle', names: cycleOf(left) };
    waves.push(wave);
    for (const { name } of wave) done.add(name);
    left = left.filter(({ name }) => !done.has(name));
  }
  return { kind: 'waves', waves };
}

/** Each of these waits for another one of these, so following them comes back somewhere. */
function cycleOf(left: readonly PlanGroup[]): string[] {
  const names: string[] = [];
  let at = left[0]!;
  while (!names.includes(at.name)) {
    names.push(at.name);
    at = left.find(({ name }) => at.after?.includes(name) === true)!;
  }
  return names.slice(names.indexOf(at.name));
}

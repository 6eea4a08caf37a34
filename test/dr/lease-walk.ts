// The long form: random walks through the model with bounds that nobody could explore. The seed of a walk is the bug report.

import { seededRandom } from '../support/seeded-random.ts';
import { leaseModel, type Mutant } from './lease-model.ts';
import type { Scenario } from './lease-world.ts';

const STEPS_MAX = 2_500;
/** How often a step that was drawn is drawn again: else time would run out, and all that is rare be over, before anything has happened. */
const RELUCTANCE: readonly (readonly [RegExp, number])[] = [
  [/^(?:crashes|withholds|gives back|begins its demotion|adds a candidate)$/, 0.95],
  [/^(?:passes|stops its server|reads the register)$/, 0.8],
];

export type Walked = {
  readonly walks: number;
  readonly steps: number;
  /** How often each kind of step was taken: a walk that fails over nowhere shows nothing. */
  readonly taken: Readonly<Record<string, number>>;
  readonly violation: { readonly seed: number; readonly what: string; readonly trace: readonly string[] } | undefined;
};

/** The larger of the bounds that a row of bytes holds. */
function scenarioOf(random: () => number): Scenario {
  const rate = (): number => (random() < 0.5 ? 1 : 2);
  const nodes = random() < 0.5 ? 2 : 3;
  const rates = Array.from({ length: nodes }, rate);
  const budgets = { renewals: 40, promises: 40, crashes: 6, lives: 12, withholds: 8, undos: 3, demotions: 4, relets: 1 };
  return { nodes, rates, swaps: 2, ticks: 80, ...budgets, changes: nodes === 3 && random() < 0.5 ? 1 : 0 };
}

export function walk(walks: number, firstSeed: number, mutant?: Mutant): Walked {
  const taken: Record<string, number> = {};
  let steps = 0;
  for (let seed = firstSeed; seed < firstSeed + walks; seed++) {
    const random = seededRandom(seed);
    const model = leaseModel(scenarioOf(random), mutant);
    const trace: string[] = [];
    let row = model.initial;
    for (let i = 0; i < STEPS_MAX; i++) {
      const nexts: { readonly step: string; readonly what: string; readonly row: Uint8Array }[] = [];
      model.successors(row, (who, what, next) => nexts.push({ step: `${who} ${what}`, what, row: next.slice() }));
      if (nexts.length === 0) break;
      const next = nexts[Math.floor(random() * nexts.length)]!;
      if (RELUCTANCE.some(([kind, share]) => kind.test(next.what) && random() < share)) continue;
      row = next.row;
      trace.push(next.step);
      const kind = next.what.replace(/ [abc]$/, '');
      taken[kind] = (taken[kind] ?? 0) + 1;
      steps++;
      const what = model.violation(row);
      if (what !== undefined) return { walks, steps, taken, violation: { seed, what, trace } };
    }
  }
  return { walks, steps, taken, violation: undefined };
}

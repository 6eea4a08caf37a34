// Explores one scenario of the model and prints what it found as one line of JSON:
//
//   bin/node test/repository/protocol-explore.ts "a backup, two prunes, a forget, a lost answer"
//
// A process of its own: the states of a large scenario take a gigabyte, and the test runner's module loader would halve the speed.

import { explore, StateSet } from './protocol-explorer.ts';
import { atRest, cleanUp, dead, protocolModel } from './protocol-model.ts';
import { CLEANED, SCENARIOS, type ScenarioName, STATES_MAX } from './protocol-scenarios.ts';
import { World } from './protocol-world.ts';

export type ExplorationReport = {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly violation?: { readonly what: string; readonly trace: readonly string[] };
  /** What a prune that runs alone afterwards makes of each store in which everybody may die. */
  readonly stores?: Readonly<Record<string, number>>;
  /** The same for states in which nobody is in the middle of anything. */
  readonly storesAtRest?: Readonly<Record<string, number>>;
};

function report(name: ScenarioName): ExplorationReport {
  const scenario = SCENARIOS[name];
  const { states, transitions, depth, violation, forEach } = explore(protocolModel(scenario), STATES_MAX);
  if (violation !== undefined) return { states, transitions, depth, violation };
  if (!CLEANED.includes(name)) return { states, transitions, depth };
  const world = new World(scenario, undefined);
  const seen = new StateSet(world.width);
  const stores: Record<string, number> = {};
  const storesAtRest: Record<string, number> = {};
  forEach((state) => {
    if (atRest(world, state)) count(storesAtRest, cleanUp(world, state));
    if (seen.add(dead(world, state))) count(stores, cleanUp(world, state));
  });
  return { states, transitions, depth, stores, storesAtRest };
}

function count(outcomes: Record<string, number>, outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

const name = process.argv[2] ?? '';
if (name in SCENARIOS) console.log(JSON.stringify(report(name as ScenarioName)));
else {
  console.error(`Name one of:\n${Object.keys(SCENARIOS).join('\n')}`);
  process.exitCode = 2;
}

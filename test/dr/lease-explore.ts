// Explores scenarios of the model of lease and promise in a process of its own, as protocol-explore.ts does, and prints a line of JSON:
//
//   bin/node test/dr/lease-explore.ts "a planned switch"
//   bin/node test/dr/lease-explore.ts --walks 1000 --seed 1

import { explore } from '../repository/protocol-explorer.ts';
import { leaseModel } from './lease-model.ts';
import { HEALTHY, SCENARIOS } from './lease-scenarios.ts';
import { walk } from './lease-walk.ts';

const STATES_MAX = 1_500_000;
const [name = '', count, , seed = '1'] = process.argv.slice(2);
const scenario = { ...SCENARIOS, ...HEALTHY }[name];
if (name === '--walks') console.log(JSON.stringify(walk(Number(count), Number(seed))));
else if (scenario !== undefined) {
  const { states, transitions, depth, violation } = explore(leaseModel(scenario), STATES_MAX);
  console.log(JSON.stringify({ states, transitions, depth, violation }));
} else {
  console.error(`Name one of:\n${Object.keys({ ...SCENARIOS, ...HEALTHY }).join('\n')}`);
  process.exitCode = 2;
}

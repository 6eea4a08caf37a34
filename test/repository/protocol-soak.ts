// The simulation of the protocol in its long form:
//
//   bin/node test/repository/protocol-soak.ts --seeds 100000 [--from 1]
//   bin/node test/repository/protocol-soak.ts --seed 1974          (one run, every request of it)
//
// Exits 1 when a property was broken, and names the seeds, at most ten.

import { parseArgs } from 'node:util';
import { simulate } from './protocol-simulation.ts';

const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' } } });
const BROKEN_MAX = 10;
const broken: number[] = [];
const total: Record<string, number> = { runs: 0 };
const first = Number(values.seed ?? values.from ?? 1);
const count = values.seed === undefined ? Number(values.seeds ?? 10_000) : 1;
const details = values.seed === undefined ? {} : { onLog: (line: string) => console.log(line) };
for (let seed = first; seed < first + count; seed++) {
  try {
    const result = await simulate({ seed, ...details });
    for (const [name, n] of Object.entries({ runs: 1, ...result })) total[name] = (total[name] ?? 0) + n;
  } catch (error) {
    broken.push(seed);
    console.error(`seed ${seed}: ${error}`);
    if (broken.length >= BROKEN_MAX) break;
  }
}
console.log(JSON.stringify({ ...total, broken }));
process.exitCode = broken.length === 0 ? 0 : 1;

// A process that decodes the cases of some seeds: `node fuzz-child.ts <file> <first seed> <seeds> [part of a target's name]`. Its heap
// is small (the parent says how small), so a decoder that can be made to allocate much ends it. What it is at stands in the file, in case
// it dies. Prints one JSON object.

import { openSync, writeSync } from 'node:fs';
import { type Case, makeCases, runCase, sweepCases } from './fuzz.ts';
import { TARGETS, type Target } from './fuzz-targets.ts';

const SEEDS_PER_SWEEP = 100;
const [file, first, seeds, only = ''] = process.argv.slice(2) as [string, string, string, string?];
const at = openSync(file, 'w');
const tallies: Record<string, { taken: number; refused: number; slowestMs: number }> = {};
let failure: { readonly target: string; readonly seed: number; readonly error: string } | undefined;

for (const target of TARGETS.filter(({ name }) => name.includes(only))) {
  const tally = { taken: 0, refused: 0, slowestMs: 0 };
  tallies[target.name] = tally;
  for (let seed = Number(first); seed < Number(first) + Number(seeds) && failure === undefined; seed++) {
    writeSync(at, `${target.name} ${seed}\n`.padEnd(64), 0);
    for (const one of casesOf(target, seed)) {
      const before = performance.now();
      const outcome = runCase(target, one);
      tally.slowestMs = Math.max(tally.slowestMs, performance.now() - before);
      if (outcome.kind === 'failed') failure ??= { target: target.name, seed, error: outcome.error };
      else tally[outcome.kind]++;
    }
  }
}

process.stdout.write(JSON.stringify({ tallies, failure, peakBytes: process.resourceUsage().maxRSS * 1024 }));

function* casesOf(target: Target, seed: number): Generator<Case> {
  yield* makeCases(target, seed);
  // Worth hundreds of seeds, and takes as long. Where numbers stand in the clear.
  if (target.kind === 'binary' && target.hasNumbers === true && seed % SEEDS_PER_SWEEP === 1) yield* sweepCases(target, seed);
}

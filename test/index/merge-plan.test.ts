import { expect, test } from 'vitest';
import { planMerge, RUNS_MAX } from '../../src/index/merge-plan.ts';
import { Seeded } from './material.ts';

function mergeAll(runs: number[]): { readonly runs: number[]; readonly written: number } {
  let written = 0;
  for (let n = planMerge(runs); n > 0; n = planMerge(runs)) {
    const merged = runs.splice(runs.length - n).reduce((sum, one) => sum + one, 0);
    runs.push(merged);
    written += merged;
  }
  return { runs, written };
}

test('whatever is added, few runs are left, and a record is rewritten a few times only', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Seeded(seed);
    const runs: number[] = [];
    let added = 0;
    let written = 0;
    while (added < 400e6) {
      const records = 1 + random.below(10 ** (1 + random.below(8)));
      added += records;
      runs.push(records);
      written += mergeAll(runs).written;
      expect(runs.length).toBeLessThanOrEqual(RUNS_MAX);
      expect(runs.reduce((sum, one) => sum + one, 0)).toBe(added);
    }
    expect(written / added).toBeLessThan(20);
  }
});

test('equal runs one after the other are merged in a logarithmic number of writes', () => {
  const runs: number[] = [];
  let written = 0;
  for (let n = 0; n < 1000; n++) {
    runs.push(100_000);
    written += mergeAll(runs).written;
  }
  expect(runs.length).toBeLessThanOrEqual(RUNS_MAX);
  expect(written / 100e6).toBeLessThan(12);
});

test('one run, none, and runs each far larger than the newer ones are left alone', () => {
  expect(planMerge([])).toBe(0);
  expect(planMerge([5])).toBe(0);
  expect(planMerge([100_000_000, 1_000_000, 70_000, 10])).toBe(0);
});

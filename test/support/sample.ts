// Tests that try every one of many alike take a seeded few of them in CI and all with HOLDFAST_TEST_LONG=1.

import { seededRandom } from './seeded-random.ts';

const IS_LONG = process.env.HOLDFAST_TEST_LONG === '1';
const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);
/** One of so many is tried. */
export const SAMPLED_OF = IS_LONG ? 1 : 3;

/** Of numbers from 1 on; which ones is seeded. */
export function isSampled(number: number): boolean {
  return (number + SEED) % SAMPLED_OF === 0;
}

/** In their order. */
export function sampleOf<T>(all: readonly T[], count: number): readonly T[] {
  if (IS_LONG || all.length <= count) return all;
  const random = seededRandom(SEED);
  const left = all.map((_, at) => at);
  const taken = Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0]!);
  return taken.sort((a, b) => a - b).map((at) => all[at]!);
}

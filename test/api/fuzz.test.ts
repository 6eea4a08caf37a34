import { randomInt } from 'node:crypto';
import { expect, it } from 'vitest';
import { fuzz } from './fuzzer.ts';

const KINDS = ['200', '201', '202', '400', '401', '403', '404', '409', '412', '413', '415', '428'];
/** One of a few hundred seeds draws no request that is too large. */
const ROUNDS_MAX = 4;

it('random and malformed requests get no 500, what is documented, and nothing of another tenant', async () => {
  const seed = randomInt(2 ** 32 - ROUNDS_MAX);
  // It reaches all kinds of answers, or it tests nothing.
  let missing: readonly string[] = KINDS;
  for (let round = 0; round < ROUNDS_MAX && missing.length > 0; round++) {
    const { failures, statuses } = await fuzz(seed + round, 1500);
    expect(failures, `seed ${seed + round}`).toEqual([]);
    missing = missing.filter((status) => statuses[status] === undefined);
  }
  expect(missing, `seed ${seed}`).toEqual([]);
});

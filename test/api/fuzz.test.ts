import { randomInt } from 'node:crypto';
import { expect, it } from 'vitest';
import { fuzz } from './fuzzer.ts';

it('random and malformed requests get no 500, what is documented, and nothing of another tenant', async () => {
  const seed = randomInt(2 ** 32 - 1);
  const { failures, statuses } = await fuzz(seed, 1500);
  expect(failures, `seed ${seed}`).toEqual([]);
  // It reaches all kinds of answers, or it tests nothing.
  for (const status of ['200', '201', '202', '400', '401', '403', '404', '409', '412', '413', '415', '428'])
    expect(statuses[status] ?? 0, `${status} (seed ${seed})`).toBeGreaterThan(0);
});

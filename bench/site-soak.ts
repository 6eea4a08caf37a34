// Two sites and a witness, cut off, paused, killed and set wrong in many rounds, each held against a ledger of every acknowledged commit.
//
//   bin/node bench/site-soak.ts [--rounds 30] [--seed S] [--only "cut off/paused"] [--pause SECONDS]
//
// It is test/e2e/site-rounds.test.ts with more of everything; a line a round:
//
//   seed | round | scenario | what happened | s from declaration to first write | s without writes | acknowledged | lost | told as lost
//
// Clocks that jump are those of our own programs (their Date, test/support/stepped-clock.ts), by up to 26 hours; monotonic clocks of the sites began at
// other times. What stands still does so for 15 s, or as long as is said. A seed that fails is the bug report. It needs a machine that is not busy
// with something else, or leases end by right. Needs root, iproute2, etcd, PostgreSQL and Ceph RGW.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    seed: { type: 'string' },
    only: { type: 'string' },
    pause: { type: 'string' },
  },
});
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
const checkout = join(import.meta.dirname, '..');
console.log(`seed ${seed}, ${values.rounds} rounds`);
const vitest = join(checkout, 'node_modules/vitest/vitest.mjs');
const { status } = spawnSync(join(checkout, 'bin/node'), [vitest, 'run', 'test/e2e/site-rounds.test.ts'], {
  cwd: checkout,
  env: {
    ...process.env,
    CI: '',
    HOLDFAST_SITES_ROUNDS: values.rounds,
    HOLDFAST_SITES_SEED: seed,
    ...(values.only === undefined ? {} : { HOLDFAST_SITES_ONLY: values.only }),
    ...(values.pause === undefined ? {} : { HOLDFAST_SITES_PAUSE_MS: String(Number(values.pause) * 1000) }),
  },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;

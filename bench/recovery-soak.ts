// Restores to many random instants of a long, eventful window, each held against a ledger with a clock of its own.
//
//   bin/node bench/recovery-soak.ts [--instants 200] [--seed S]
//
// It is test/postgres/oracle.test.ts with more of everything, at the lowest priority. A seed that fails is the bug report.

import { spawnSync } from 'node:child_process';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const LOWEST_PRIORITY = 19;

const { values } = parseArgs({ options: { instants: { type: 'string', default: '200' }, seed: { type: 'string' } } });
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
const checkout = join(import.meta.dirname, '..');
console.log(`seed ${seed}, ${values.instants} instants`);
setPriority(LOWEST_PRIORITY);
const vitest = join(checkout, 'node_modules/vitest/vitest.mjs');
const { status } = spawnSync(join(checkout, 'bin/node'), [vitest, 'run', 'test/postgres/oracle.test.ts'], {
  cwd: checkout,
  env: { ...process.env, HOLDFAST_ORACLE_INSTANTS: values.instants, HOLDFAST_ORACLE_SEED: seed },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;

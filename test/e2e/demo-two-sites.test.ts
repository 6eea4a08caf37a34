// Two sites, a client that writes all the time, a drill, a lost site, a failover and the way back, as a newcomer would run it.

import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { postgresPrograms } from '../support/postgres.ts';

const checkout = resolve(import.meta.dirname, '../..');
const TIMEOUT_MS = 900_000;

test.skipIf(postgresPrograms() === undefined)(
  'the demo of two sites drills, fails over and comes back; a planned switch loses nothing that the client was told',
  () => {
    const env = { ...process.env, HOLDFAST_SETUP: 'done' };
    const { status, stdout, stderr } = spawnSync(join(checkout, 'ops/demo-two-sites'), { cwd: '/', env, encoding: 'utf8' });
    expect(status, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(/The drill \S+ has succeeded/);
    expect(stdout).toMatch(/fencing: isProven true, proof expiry/);
    expect(stdout).toMatch(
      /The client writes at site b\nWithout writes for \d+ s; \d+ of \d+ acknowledged orders were lost with site a/,
    );
    expect(stdout).toMatch(/pg\/portal is a standby at a/);
    expect(stdout).toMatch(
      /Loss of pg\/portal: none.*\n[\s\S]*The client writes at site a\nAll orders that were acknowledged at site b are there/,
    );
  },
  TIMEOUT_MS,
);

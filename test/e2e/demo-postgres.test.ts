// The README's first command, as a newcomer would run it.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { postgresPrograms } from '../support/postgres.ts';

const checkout = resolve(import.meta.dirname, '../..');

test('the first command that the README names is the demo of a database that comes back', () => {
  const [, first] = /```sh[^\n]*\n(\S+)/.exec(readFileSync(join(checkout, 'README.md'), 'utf8'))!;
  expect(first).toBe('ops/demo-postgres');
});

test.skipIf(postgresPrograms() === undefined)(
  'the demo brings the dropped table back, and says what was asked for, what was reached, and what it cost',
  () => {
    const env = { ...process.env, HOLDFAST_SETUP: 'done' };
    const { status, stdout, stderr } = spawnSync(join(checkout, 'ops/demo-postgres'), { cwd: '/', env, encoding: 'utf8' });
    expect(status, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(/10000 \| 20.* \| order 2000/);
    const instant = String.raw`20\d\d-\d\d-\d\dT[\d:.]+Z`;
    const measured = stdout.slice(stdout.indexOf('== Measured'));
    expect(measured).toMatch(
      new RegExp(
        `requested +${instant}\nachieved +${instant}\nrows +10000 of 10000\nrecovery point +.* -?[\\d.]+ s older .*\nrecovery time +[\\d.]+`,
      ),
    );
  },
);

// The short form of bench/service/kill-soak.ts: the service is killed a few times in the middle of its runs.

import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const CHECKOUT = resolve(import.meta.dirname, '../..');

it('a service that is killed again and again loses no run, makes none twice, and keeps what it acknowledged', {
  timeout: 600_000,
}, async () => {
  const args = [join(CHECKOUT, 'bench/service/kill-soak.ts'), '--kills', '4'];
  const child = spawn(join(CHECKOUT, 'bin/node'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (piece) => (said += piece));
  child.stderr.on('data', (piece) => (said += piece));
  const status = await new Promise((ended) => child.on('close', ended));
  expect({ status, said: status === 0 ? '' : said }).toEqual({ status: 0, said: '' });
  const figures = JSON.parse(said.trim().split('\n').at(-1)!) as { kills: number; runs: number; acknowledged: number };
  expect(figures.kills).toBe(4);
  expect(figures.runs).toBeGreaterThanOrEqual(figures.acknowledged);
});

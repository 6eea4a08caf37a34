// The README's commands about a database, as a newcomer would type them, against a real one.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';

const programs = postgresPrograms();

test.skipIf(programs === undefined)(
  'every command of the README that is marked "run postgres" succeeds, in order, with the service that the README starts',
  async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    mkdirSync(join(scratch, 'documents'));
    const blocks = [...readFileSync(join(CHECKOUT, 'README.md'), 'utf8').matchAll(/```sh run(.*)\n([\s\S]*?)```/g)]
      .filter(([, marked, body]) => marked === ' postgres' || body!.includes('holdfast serve'))
      .map(([, , body]) => body!);
    expect(blocks).toHaveLength(2);
    // Beside the test of the other commands, and with the version that is tested.
    const script = blocks
      .join('\n')
      .replaceAll(':18480', ':18481')
      .replace('--allow-restore', `--bin-dir ${programs} --allow-restore`);
    const { status, text } = await run(`set -e\ntrap 'kill %1 && wait %1' EXIT\n${script}`, { ...process.env, SCRATCH: scratch });
    expect(status, text).toBe(0);
    // What was restored is a data directory that a server starts in.
    expect(readFileSync(join(scratch, 'restores/orders/PG_VERSION'), 'utf8')).toMatch(/^\d+\n$/);
  },
  180_000,
);

function run(script: string, env: NodeJS.ProcessEnv): Promise<{ readonly status: number | null; readonly text: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', script], { cwd: CHECKOUT, env });
    onTestFinished(() => void child.kill('SIGKILL'));
    let text = '';
    child.stdout.on('data', (piece) => (text += piece));
    child.stderr.on('data', (piece) => (text += piece));
    child.once('close', (status) => resolve({ status, text }));
  });
}

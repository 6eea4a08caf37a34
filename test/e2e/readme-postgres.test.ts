// The README's commands about a database, as a newcomer would type them, against a real one.

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { enrolAgentIn, startAgentIn } from '../support/postgres-agent.ts';
import { Served } from '../support/served.ts';

const programs = postgresPrograms();

test.skipIf(programs === undefined)(
  'every command of the README that is marked "run postgres" succeeds, in order',
  async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    const service = await Served.start(join(scratch, 'service'), { args: ['--no-local-agent'] });
    await enrolAgentIn(service, scratch);
    startAgentIn(service, scratch);
    writeFileSync(join(scratch, 'token'), service.token, { mode: 0o600 });
    const blocks = [...readFileSync(join(CHECKOUT, 'README.md'), 'utf8').matchAll(/```sh run postgres\n([\s\S]*?)```/g)];
    expect(blocks).toHaveLength(1);
    const own = { SCRATCH: scratch, HOLDFAST_SERVICE: service.url, HOLDFAST_TOKEN_FILE: join(scratch, 'token') };
    const { status, text } = await run(`set -e\n${blocks.map(([, body]) => body).join('\n')}`, { ...process.env, ...own });
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

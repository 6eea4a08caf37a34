// Failovers as operators do them: two real site daemons with real servers, a client that writes all the time through the plan's route, and
// nothing but the command line.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { environmentOf, planFile, type RoutedClient, readyToFail, runBeside } from '../support/failing-over.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 180_000;
const programs = postgresPrograms();

type Answer = { readonly status: number | null; readonly summary: Record<string, unknown>; readonly text: string };

describe.runIf(programs !== undefined)('A failover from the command line', () => {
  let sites: TwoSites;
  let client: RoutedClient | undefined;

  /** Beside this process, whose client goes on meanwhile. */
  async function holdfast(...args: readonly string[]): Promise<Answer> {
    const { status, stdout, stderr } = await runBeside([PROGRAM, ...args, '--json'], environmentOf(sites));
    const records = stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { status, summary: records.find(({ kind }) => kind === 'summary') ?? {}, text: `${stdout}${stderr}` };
  }

  async function missing(acknowledged: RoutedClient['acknowledged']): Promise<string[]> {
    const kept = new Set((await sites.sql('b', 'SELECT word FROM kept')).map(([word]) => word));
    return acknowledged.map(({ word }) => word).filter((word) => !kept.has(word));
  }

  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs! });
    client = await readyToFail(sites);
  }, TIMEOUT_MS);

  afterEach(async ({ task }) => {
    await client?.stop();
    if (task.result?.state === 'fail')
      for (const site of ['a', 'b'] as const) console.log(site, sites.daemon(site)?.output, await sites.status(site).catch(String));
    await sites.end();
  }, TIMEOUT_MS);

  it(
    'that is planned loses no row that was acknowledged, and its evidence verifies offline',
    async () => {
      const at = ['--config', sites.file('b')];
      const declared = await holdfast(
        'failover',
        'declare',
        ...at,
        '--plan',
        planFile(sites),
        '--kind',
        'planned',
        '--reason',
        'works',
        '--by',
        'wei',
      );
      expect(declared.status, declared.text).toBe(0);
      const done = await holdfast('failover', 'run', 'portal', ...at);
      expect(done.summary, done.text).toMatchObject({ state: 'normal', from: 'a', to: 'b' });
      const before = client!.acknowledged.length;
      await until('the client writes again', () => client!.acknowledged.length > before + 5);
      await client!.stop();
      expect(await missing(client!.acknowledged)).toEqual([]);
      const { file } = done.summary['evidence'] as { file: string };
      const verified = await holdfast('evidence', 'verify', file, '--key', join(sites.configs.b.state, 'site-key.pub'));
      expect(verified.status, verified.text).toBe(0);
      expect(verified.text).toContain('"outcome":"succeeded"');
      for (const language of ['en', 'zh']) expect(existsSync(file.replace(/json$/, `${language}.html`))).toBe(true);
    },
    TIMEOUT_MS,
  );

  it(
    'that is unplanned, whose orchestrator is killed again and again, loses no row of before the heartbeat that it tells of',
    async () => {
      const at = ['--config', sites.file('b')];
      sites.daemon('a').signal('SIGKILL');
      const words = ['--plan', planFile(sites), '--kind', 'unplanned', '--reason', 'site a is silent', '--by', 'wei'];
      expect((await holdfast('failover', 'declare', ...at, ...words)).status).toBe(2);
      const declared = await holdfast('failover', 'declare', ...at, ...words, '--approve', 'lin');
      expect(declared.status, declared.text).toBe(0);
      const journal = new JournalRegister(sites.registry, 'portal');
      const seen = new Set<string>();
      for (;;) {
        const { state } = (await journal.read()).journal;
        if (state === 're-protecting' || state === 'normal') break;
        const child = spawn(PROGRAM, ['failover', 'run', 'portal', ...at], { env: environmentOf(sites), stdio: 'ignore' });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        // As soon as it has gone on; test/orchestrator kills one in every state.
        await until('it goes on', async () => {
          const { journal: now } = await journal.read();
          return now.state !== state || child.exitCode !== null;
        });
        seen.add((await journal.read()).journal.state);
        child.kill('SIGKILL');
        await ended;
      }
      expect(seen.size).toBeGreaterThanOrEqual(3);
      const done = await holdfast('failover', 'run', 'portal', ...at);
      expect(done.summary, done.text).toMatchObject({ state: 'normal' });
      const { entries } = (await journal.read()).journal;
      expect(entries.map(({ state }) => state)).toEqual(FAILOVER_STATES);
      const before = client!.acknowledged.length;
      await until('the client writes again', () => client!.acknowledged.length > before + 5);
      await client!.stop();
      const loss = (done.summary['losses'] as Record<string, { newest: string; ms: number }>)[ASSET]!;
      const newestMs = Date.parse(loss.newest);
      expect(await missing(client!.acknowledged.filter(({ atMs }) => atMs < newestMs))).toEqual([]);
      const { file } = done.summary['evidence'] as { file: string };
      const verified = await holdfast('evidence', 'verify', file, '--key', join(sites.configs.b.state, 'site-key.pub'));
      expect(verified.status, verified.text).toBe(0);
      expect(verified.text).toContain('"proof":"expiry"');
      expect(sites.isStopped('a')).toBe(true);
    },
    TIMEOUT_MS,
  );
});

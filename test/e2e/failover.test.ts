// Failovers as operators do them: two real site daemons with real servers, a client that writes all the time through the plan's route, and
// nothing but the command line.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import { FAILOVER_STATES } from '../../src/model/failover-state.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, type SiteName, TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 180_000;
const programs = postgresPrograms();

type Answer = { readonly status: number | null; readonly summary: Record<string, unknown>; readonly text: string };

/** A client whose route is a hook: it writes to whatever site it is led to, and knows every write that was acknowledged. */
class Client {
  /** With the time of the acknowledgement. */
  readonly acknowledged: { readonly word: string; readonly atMs: number }[] = [];
  readonly #over = new AbortController();
  readonly #sites: TwoSites;
  readonly #running: Promise<void>;

  constructor(sites: TwoSites) {
    this.#sites = sites;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#over.signal.aborted; n++) {
      const site = readFileSync(join(this.#sites.scratch, 'active'), 'utf8').trim() as SiteName;
      if (await this.#sites.writes(site, `w${n}`)) this.acknowledged.push({ word: `w${n}`, atMs: Date.now() });
      await sleep(20);
    }
  }
}

describe.runIf(programs !== undefined)('A failover from the command line', () => {
  let sites: TwoSites;
  let client: Client | undefined;
  const plan = (): string => join(sites.scratch, 'plan.yaml');

  const environment = (): Record<string, string> => ({
    PATH: process.env['PATH']!,
    HOME: sites.scratch,
    HOLDFAST_CACHE_DIR: join(sites.scratch, 'cache'),
  });

  /** Beside this process, whose client goes on meanwhile. */
  async function holdfast(...args: readonly string[]): Promise<Answer> {
    const { status, stdout, stderr } = await ran([...args, '--json'], environment());
    const records = stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { status, summary: records.find(({ kind }) => kind === 'summary') ?? {}, text: `${stdout}${stderr}` };
  }

  async function missing(acknowledged: Client['acknowledged']): Promise<string[]> {
    const kept = new Set((await sites.sql('b', 'SELECT word FROM kept')).map(([word]) => word));
    return acknowledged.map(({ word }) => word).filter((word) => !kept.has(word));
  }

  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs! });
    const route = join(sites.scratch, 'lead');
    writeFileSync(
      route,
      `#!/bin/sh\necho "$HOLDFAST_SITE" > ${sites.scratch}/active.new && mv ${sites.scratch}/active.new ${sites.scratch}/active\n`,
    );
    chmodSync(route, 0o755);
    writeFileSync(join(sites.scratch, 'active'), 'a\n');
    writeFileSync(plan(), planText(sites));
    await sites.run();
    client = new Client(sites);
    await until('the client writes', () => client!.acknowledged.length > 5);
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
        plan(),
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
    'that is unplanned, whose orchestrator is killed in every state, loses no row of before the heartbeat that it tells of',
    async () => {
      const at = ['--config', sites.file('b')];
      sites.daemon('a').signal('SIGKILL');
      const words = ['--plan', plan(), '--kind', 'unplanned', '--reason', 'site a is silent', '--by', 'wei'];
      expect((await holdfast('failover', 'declare', ...at, ...words)).status).toBe(2);
      const declared = await holdfast('failover', 'declare', ...at, ...words, '--approve', 'lin');
      expect(declared.status, declared.text).toBe(0);
      const journal = new JournalRegister(sites.registry, 'portal');
      const seen = new Set<string>();
      for (;;) {
        const { state } = (await journal.read()).journal;
        if (state === 're-protecting' || state === 'normal') break;
        const child = spawn(PROGRAM, ['failover', 'run', 'portal', ...at], { env: environment(), stdio: 'ignore' });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        // As soon as it has done something in a state that none was killed in yet.
        await until('it goes on', async () => {
          const { journal: now } = await journal.read();
          return now.state !== state || child.exitCode !== null;
        });
        seen.add((await journal.read()).journal.state);
        child.kill('SIGKILL');
        await ended;
      }
      expect(seen.size).toBeGreaterThanOrEqual(5);
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

function ran(
  words: readonly string[],
  env: Record<string, string>,
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(PROGRAM, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        said[name] += text;
      });
    child.once('close', (status) => resolve({ status, ...said }));
  });
}

function planText(sites: TwoSites): string {
  return `
name: portal
version: 1
sites: { source: a, target: b, witness: c }
objectives: { rpo: 30s, rto: 10m }
approvals: { planned: 1, unplanned: 2, breakGlass: 2 }
lease: { ttl: 2s, margin: 2s, onLeaseLoss: stop }
fencing: { proofs: [demotion, expiry], limit: 1m }
groups:
  - name: database
    members:
      - { asset: ${ASSET}, kind: postgres, replayLimit: 1m, startLimit: 1m }
routes:
  - { name: clients, group: database, kind: hook, command: [${sites.scratch}/lead], limit: 10s }
smokeTests:
  - { name: looks, command: [/bin/true], limit: 10s }
`;
}

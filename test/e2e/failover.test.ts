// Failovers as operators do them: two real site daemons with real servers, a client that writes all the time through the plan's route, and
// nothing but the command line.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, type SiteName, TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 180_000;
const programs = postgresPrograms();

type Answer = { readonly status: number | null; readonly summary: Record<string, unknown>; readonly text: string };

/** A client whose route is a hook: it writes to whatever site it is led to, and knows every write that was acknowledged. */
class Client {
  readonly acknowledged: string[] = [];
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
      if (await this.#sites.writes(site, `w${n}`)) this.acknowledged.push(`w${n}`);
      await sleep(20);
    }
  }
}

describe.runIf(programs !== undefined)('A failover from the command line', () => {
  let sites: TwoSites;
  let client: Client | undefined;
  const plan = (): string => join(sites.scratch, 'plan.yaml');

  /** Beside this process, whose client goes on meanwhile. */
  async function holdfast(...args: readonly string[]): Promise<Answer> {
    const env = { PATH: process.env['PATH']!, HOME: sites.scratch, HOLDFAST_CACHE_DIR: join(sites.scratch, 'cache') };
    const { status, stdout, stderr } = await ran([...args, '--json'], env);
    const records = stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { status, summary: records.find(({ kind }) => kind === 'summary') ?? {}, text: `${stdout}${stderr}` };
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
    sites.start('a');
    sites.start('b');
    await until('A takes writes', () => sites.writes('a', 'first'));
    await until('a base is stored at A', async () => (await sites.status('a')).base ?? undefined);
    await until('B has a whole copy', async () => (await sites.status('b')).replica?.state === 'following');
    await until('B replays', async () => (await sites.status('b')).server.state === 'standby');
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
      const kept = new Set((await sites.sql('b', 'SELECT word FROM kept')).map(([word]) => word));
      expect(client!.acknowledged.filter((word) => !kept.has(word))).toEqual([]);
      const { file } = done.summary['evidence'] as { file: string };
      const verified = await holdfast('evidence', 'verify', file, '--key', join(sites.configs.b.state, 'site-key.pub'));
      expect(verified.status, verified.text).toBe(0);
      expect(verified.text).toContain('"outcome":"succeeded"');
      for (const language of ['en', 'zh']) expect(existsSync(file.replace(/json$/, `${language}.html`))).toBe(true);
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

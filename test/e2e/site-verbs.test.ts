// What an operator looks with before anything happens: whether a plan could be carried out, and how a standby is.

import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesIn } from '../../agents/gate/server-processes.ts';
import { withheld } from '../../src/dr/writer-record.ts';
import { linesOf } from '../cli/holdfast.ts';
import { environmentOf, planFile, runBeside, writePlan } from '../support/failing-over.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, INCARNATION, type SiteName, TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 240_000;
const programs = postgresPrograms();

type Check = { readonly what: string; readonly isReady: boolean; readonly text: string };

describe.runIf(programs !== undefined)('At two sites that run', () => {
  let sites: TwoSites;
  beforeAll(async () => {
    sites = await TwoSites.create({ programs: programs! });
    writePlan(sites);
    await sites.run();
  }, TIMEOUT_MS);
  afterAll(() => sites?.end(), TIMEOUT_MS);

  async function holdfast(...words: readonly string[]) {
    const { status, stdout, stderr } = await runBeside([PROGRAM, ...words, '--json'], environmentOf(sites));
    const lines = linesOf(stdout);
    return { status, lines, last: lines.at(-1)!, text: `${stdout}${stderr}` };
  }

  const readiness = (...more: readonly string[]) =>
    holdfast('failover', 'readiness', '--config', sites.file('a'), '--plan', planFile(sites), ...more);
  const notReady = (lines: readonly unknown[]): string[] =>
    (lines as (Check & { readonly kind: string })[]).flatMap(({ kind, what, isReady }) =>
      kind === 'check' && !isReady ? [what] : [],
    );

  function standby(verb: 'make' | 'status', ...more: readonly string[]) {
    const { location, passphraseFile } = sites.configs.b.databases[0]!.repository;
    const place = ['--repo', location, '--passphrase-file', passphraseFile, '--target', sites.data('b')];
    return holdfast('standby', verb, ...place, ...more);
  }

  it(
    'a plan is ready, or what has drifted is named: a runbook of before, and a standby that is gone until it is made again',
    async () => {
      const ready = await until('the plan is ready', async () => {
        const answer = await readiness();
        return answer.status === 0 && answer;
      });
      expect(ready.last).toMatchObject({ isReady: true, drifted: 0 });
      const found = ready.lines.map(({ what }) => what);
      expect(found).toEqual(expect.arrayContaining(['plan', 'failover', 'proof', ...of(ASSET), `command ${sites.scratch}/lead`]));
      expect((await readiness('--digest', String(ready.last['digest']).slice(0, 16))).status).toBe(0);
      const older = await readiness('--digest', '0123456789abcdef');
      expect({ status: older.status, drifted: notReady(older.lines) }).toEqual({ status: 3, drifted: ['plan'] });

      const healthy = await until('the standby says that it is healthy', async () => {
        const answer = await standby('status', sites.configs.b.databases[0]!.connection);
        return answer.status === 0 && answer;
      });
      expect(healthy.last).toMatchObject({ asset: ASSET, condition: 'healthy', timeline: 1, gap: null, sealed: null });

      // One person is not two; nothing was declared.
      const words = ['--plan', planFile(sites), '--kind', 'unplanned', '--reason', 'a is silent', '--by', 'wei'];
      const alone = await holdfast('failover', 'declare', '--config', sites.file('b'), ...words);
      expect(alone.last).toMatchObject({ kind: 'error', code: 'FAILOVER_NOT_APPROVED' });

      await sites.daemon('b').kill();
      await until('the server at b is gone', () => {
        for (const pid of processesIn(sites.data('b'))) process.kill(pid, 'SIGKILL');
        return sites.isStopped('b');
      });
      const gone = await readiness();
      expect({ status: gone.status, drifted: notReady(gone.lines) }).toEqual({ status: 3, drifted: [`site b for ${ASSET}`] });
      expect(await standby('status', sites.configs.b.databases[0]!.connection)).toMatchObject({
        status: 4,
        last: { condition: 'broken' },
      });

      const make = ['--asset', ASSET, '--bin-dir', programs!];
      expect((await standby('make', ...make)).last).toMatchObject({ kind: 'error' });
      const made = await standby('make', ...make, '--delta');
      expect(made.last, made.text).toMatchObject({ asset: ASSET, timeline: 1 });
      expect(Number(made.last['bytesKept'])).toBeGreaterThan(Number(made.last['bytesFetched']));
      await until('a takes writes', () => sites.writes('a', 'while b was gone'));
      sites.start('b');
      await until('b has followed', async () =>
        (await sites.sql('b', 'SELECT word FROM kept')).flat().includes('while b was gone'),
      );

      // As a site remembers a failover, when the register was lost since and made anew.
      const sealOf = (site: SiteName): string => join(sites.configs[site].state, 'seals', `${INCARNATION}.json`);
      const seal = sealOf('b');
      const of9 = { epoch: 9, failover: 'f9' };
      const sealed = { ...of9, end: { timeline: 1, lsn: '0/1' }, lastTransactionAt: null };
      await restarted('b', () => writeFileSync(seal, JSON.stringify({ revoked: of9, sealed, storedTo: null })));
      const ahead = await until('it is told', async () => {
        const { lines } = await readiness();
        return (lines as readonly unknown[] as Check[]).find(
          ({ what, text }) => what === `standby of ${ASSET}` && text.includes('epoch 9'),
        );
      });
      expect(ahead).toMatchObject({ isReady: false, text: expect.stringContaining('the register says 1') });
      await restarted('b', () => rmSync(seal));
      // Entered anew it begins behind what its site has sealed.
      const anew = readFileSync(sites.file('a'), 'utf8').replace(
        /registry: .*/,
        `registry: { embedded: ${sites.scratch}/anew.db }`,
      );
      writeFileSync(other('a'), anew);
      writeFileSync(sealOf('a'), JSON.stringify({ revoked: of9, sealed, storedTo: null }));
      const adopt = () => holdfast('site', 'adopt', '--config', other('a'), '--asset', ASSET);
      for (const answer of [await adopt(), await adopt()]) expect(answer.last, answer.text).toMatchObject({ epoch: 10 });
      rmSync(sealOf('a'));
      await until('b is well', async () => (await readiness()).status === 0);
    },
    TIMEOUT_MS,
  );

  it(
    'another lease than the registered one begins no daemon, and is changed only where nobody writes by the old one',
    async () => {
      await until('a takes writes', () => sites.writes('a', 'under the old lease'));
      const { terms: old } = (await sites.register.read()).record;
      for (const site of ['a', 'b'] as const) {
        const text = readFileSync(sites.file(site), 'utf8');
        writeFileSync(other(site), text.replace(/lease: .*$/m, 'lease: { ttl: 4s, margin: 5s }'));
      }
      const lease = (site: SiteName) => holdfast('site', 'lease', '--config', other(site), '--asset', ASSET);

      const adopted = await holdfast('site', 'adopt', '--config', other('a'), '--asset', ASSET);
      expect(adopted.last).toMatchObject({ kind: 'error', code: 'SITE_LEASE' });
      // While its gate is there, or anybody works where its server did.
      expect((await lease('a')).last).toMatchObject({ kind: 'error', code: 'GATE_BUSY' });
      await sites.daemon('a').kill();
      await until('the watchdog has stopped it', () => sites.isStopped('a'));
      const left = spawn('sleep', ['infinity'], { cwd: sites.data('a') });
      expect((await lease('a')).last).toMatchObject({ kind: 'error', code: 'GATE_BUSY' });
      left.kill('SIGKILL');
      await until('nobody works there', () => sites.isStopped('a'));
      const begun = await holdfast('site', 'run', '--config', other('a'));
      expect(begun.last).toMatchObject({ kind: 'error', code: 'SITE_LEASE' });
      expect((await sites.register.read()).record.terms).toEqual(old);

      sites.daemon('b').signal('SIGTERM');
      await sites.daemon('b').ended;
      expect((await lease('b')).last).toMatchObject({ kind: 'error', code: 'SITE_REFUSED' });

      const changed = await lease('a');
      expect(changed.last, changed.text).toMatchObject({ kind: 'summary', terms: { ttlMs: 4_000, marginMs: 5_000 } });
      const stale = await holdfast('site', 'run', '--config', sites.file('b'));
      expect(stale.last).toMatchObject({ kind: 'error', code: 'SITE_LEASE' });
      for (const site of ['a', 'b'] as const) {
        writeFileSync(sites.file(site), readFileSync(other(site)));
        sites.start(site);
      }
      await until('a takes writes', () => sites.writes('a', 'under the new lease'));
      await until('b follows', async () => (await sites.status('b')).standby?.isHealthy);
      const { gate } = await sites.status('a');
      expect(gate.terms).toMatchObject({ ttlMs: 4_000, marginMs: 5_000 });
      expect(gate.writableForMs).toBeLessThanOrEqual(4_000);

      // A failover that has begun is judged by the terms that it has seen.
      const withheldNow = await sites.register.change((record) => withheld(record, 'f1'));
      expect(withheldNow).not.toHaveProperty('refused');
      await sites.daemon('a').kill();
      await until('the watchdog has stopped it', () => sites.isStopped('a'));
      expect((await lease('a')).last).toMatchObject({ kind: 'error', code: 'SITE_REFUSED' });
    },
    TIMEOUT_MS,
  );

  async function restarted(site: SiteName, meanwhile: () => void): Promise<void> {
    sites.daemon(site).signal('SIGTERM');
    await sites.daemon(site).ended;
    meanwhile();
    sites.start(site);
  }

  const other = (site: SiteName): string => join(sites.scratch, `${site}-other.yaml`);
});

/** What is looked at of a database. */
function of(asset: string): string[] {
  return ['writer', 'primary', 'standby', 'replica'].map((what) => `${what} of ${asset}`);
}

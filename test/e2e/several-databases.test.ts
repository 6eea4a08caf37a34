// A plan of two databases, one after the other, and files on top of them, typed as an operator types it: a drill, a site that is switched off, a
// failover whose registry goes away in the middle, and the way home. Real daemons, servers and a real quorum; the command line in processes of its own.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { processesIn } from '../../agents/gate/server-processes.ts';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import type { Pack } from '../../src/evidence/pack.ts';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { parseVerifyKey } from '../../src/trust/audit-key.ts';
import { endSites } from '../support/end-sites.ts';
import { needEtcd, TestEtcd } from '../support/etcd.ts';
import { environmentOf, planFile, runBeside, writePlan } from '../support/failing-over.ts';
import { makeOwned, postgresPrograms } from '../support/postgres.ts';
import { ASSET, FILES, LEDGER, type SiteName, SiteProcess, TwoSites, until } from '../support/two-sites.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const TIMEOUT_MS = 300_000;
const GATE = 'database.before.ask';
const programs = postgresPrograms();
const isThere = programs !== undefined && needEtcd();

describe.runIf(isThere)('A plan of two databases and files', () => {
  let etcd: TestEtcd;
  let sites: TwoSites;

  beforeEach(async () => {
    etcd = await TestEtcd.start();
    sites = await TwoSites.create({ programs: programs!, etcd: () => etcd.endpoints, ledger: true, files: true });
    writePlan(sites);
    const plan = readFileSync(planFile(sites), 'utf8');
    const before = `  - name: ledger\n    members: [{ asset: ${LEDGER}, kind: postgres, replayLimit: 1m, startLimit: 1m }]\n  - name: database\n    after: [ledger]\n    before: [{ name: ask, gate: Go on?, limit: 5m, only: [unplanned] }]\n`;
    const files = `  - name: application\n    after: [database]\n    members: [{ asset: ${FILES}, kind: files, replayLimit: 1m, startLimit: 1m }]\nroutes:\n`;
    const text = plan.replace('  - name: database\n', before).replace('routes:\n', files);
    writeFileSync(planFile(sites), `${text}drill: { limit: 10m, probes: ["192.0.2.1:5432"] }\n`);
    mkdirSync(fileAt('a', ''));
    writeFileSync(fileAt('a', 'form'), 'a form');
    await sites.run();
  }, TIMEOUT_MS);

  afterEach(async ({ task }) => {
    await endSites(sites, task);
    await etcd.stop();
  }, TIMEOUT_MS);

  const fileAt = (site: SiteName, name: string): string => join(sites.scratch, `${site}-files`, name);

  async function holdfast(...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runBeside([PROGRAM, ...words], environmentOf(sites));
    expect(status, `${words.join(' ')}: ${stdout}${stderr}`).toBe(0);
    return stdout;
  }

  function verified(file: string, key: string): Pack {
    const trusted = [parseVerifyKey(readFileSync(key, 'utf8'))!];
    const { problems, pack, isTrusted } = verifyEvidence({ text: readFileSync(file), trusted, attachment: () => undefined });
    expect({ problems: problems.filter(({ what }) => what !== 'attachment'), isTrusted }).toEqual({
      problems: [],
      isTrusted: true,
    });
    return pack!;
  }

  const claimOf = ({ body }: Pack, wanted: string) => body.claims.claims.find(({ id }) => id === wanted)!.value;
  const wordsAt = async (site: SiteName, asset: string): Promise<unknown[]> =>
    (await sites.sql(site, 'SELECT word FROM kept ORDER BY id', asset)).flat();

  it(
    'is rehearsed, fails over in its order when a site is switched off, outlives its registry, and comes home without a loss',
    async () => {
      const [{ location, passphraseFile }] = sites.configs.a.databases.map(({ repository }) => repository) as [
        { location: string; passphraseFile: string },
      ];
      await holdfast('backup', fileAt('a', ''), '--asset', FILES, '--repo', location, '--passphrase-file', passphraseFile);
      const call = { signal: AbortSignal.timeout(90_000) };
      await until('B has the backup of the files', () =>
        sites
          .clients()
          .b.point(FILES, { snapshot: null }, call)
          .catch(() => undefined),
      );

      const [drills, keys] = [join(sites.scratch, 'drills'), join(sites.scratch, 'keys')];
      const places = ['--evidence-dir', drills, '--key-dir', keys, '--directory', makeOwned(join(sites.scratch, 'c'))];
      await holdfast('drill', 'run', planFile(sites), '--config', sites.file('b'), '--bin-dir', programs!, ...places);
      const drilled = verified(join(drills, readdirSync(drills)[0]!, 'pack.json'), join(keys, 'evidence-key.pub'));
      expect(claimOf(drilled, 'outcome')).toMatchObject({ outcome: 'succeeded', failed: 0 });
      expect(claimOf(drilled, 'rpo').ms).toEqual(expect.any(Number));

      for (const asset of [ASSET, LEDGER]) {
        await until('A takes writes', () => sites.writes('a', 'before', asset));
        await until('B has replayed it', async () => (await wordsAt('b', asset)).includes('before'));
      }
      for (const { dataDirectory } of sites.configs.a.databases)
        for (const pid of processesIn(dataDirectory)) process.kill(pid, 'SIGKILL');
      await sites.daemon('a').kill();

      const config = ['--config', sites.file('b')];
      const declare = ['failover', 'declare', '--plan', planFile(sites), '--by', 'wei', '--approve', 'lin'];
      await holdfast(...declare, '--kind', 'unplanned', '--reason', 'a is off', ...config);
      const run = new SiteProcess([PROGRAM, 'failover', 'run', 'portal', '--wait', ...config], environmentOf(sites));
      await until('it says what it waits for', () => run.output.includes(`BLOCKED: decide "${GATE}"`));
      expect(run.output).toContain(`holdfast failover decide portal ${GATE} --yes`);
      for (const member of [0, 1, 2]) await etcd.kill(member);
      await until('it says that the registry is away', () => run.output.includes('The registry did not answer'));
      for (const member of [0, 1, 2]) etcd.startMember(member);
      await etcd.ready();
      await holdfast('failover', 'decide', 'portal', GATE, '--yes', '--by', 'lin', ...config);
      expect(await run.ended, run.output).toBe(0);

      const { journal } = await new JournalRegister(sites.registry, 'portal').read();
      const promoted = [`ledger.promote.${LEDGER}`, `database.promote.${ASSET}`, `application.promote.${FILES}`];
      const times = promoted.flatMap((id) => {
        const { startedAt, endedAt, outcome } = journal.actions.find((one) => one.id === id)!;
        expect(outcome).toBe('done');
        return [startedAt, endedAt];
      });
      expect(times).toEqual([...times].sort());
      const [, file] = /^Evidence: (\S+)$/m.exec(run.output)!;
      const evidence = verified(file!, join(sites.configs.b.state, 'site-key.pub'));
      expect(claimOf(evidence, 'outcome')).toMatchObject({ outcome: 'succeeded' });
      expect(claimOf(evidence, 'rpo').ms).toEqual(expect.any(Number));
      const measured = new Set(evidence.body.measurements.map(({ of }) => of));
      expect([...measured]).toEqual(expect.arrayContaining([ASSET, LEDGER, FILES]));
      expect(readFileSync(fileAt('b', 'form'), 'utf8')).toBe('a form');
      writeFileSync(fileAt('b', 'form'), 'a form, filled in at B');
      for (const asset of [ASSET, LEDGER]) expect(await sites.writes('b', 'at B', asset)).toBe(true);

      sites.start('a');
      await until('A answers', () => sites.status('a').catch(() => undefined));
      await holdfast('failover', 'rejoin', 'portal', ...config);
      await holdfast(...declare, '--kind', 'failback', '--reason', 'a has power again', ...config);
      await holdfast('failover', 'run', 'portal', '--wait', ...config);
      // Once more it does nothing, and whoever forgot to declare another one hears that.
      const again = (await holdfast('failover', 'run', 'portal', '--json', ...config)).trimEnd().split('\n');
      expect(JSON.parse(again[0]!)).toMatchObject({ kind: 'warning', message: expect.stringContaining('Nothing is under way') });
      for (const asset of [ASSET, LEDGER]) {
        expect(await wordsAt('a', asset)).toEqual(['first', 'before', 'at B']);
        expect(await sites.writes('a', 'home', asset)).toBe(true);
      }
      expect(readFileSync(fileAt('a', 'form'), 'utf8')).toBe('a form, filled in at B');
    },
    TIMEOUT_MS,
  );
});

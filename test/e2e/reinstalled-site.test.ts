// A site that burnt down is built again from nothing, under its name: another key, no directory, no repository. Typed as the runbook says.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { endSites } from '../support/end-sites.ts';
import { environmentOf, planFile, type Ran, type RoutedClient, readyToFail, runBeside } from '../support/failing-over.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ASSET, type SiteName, TwoSites, until } from '../support/two-sites.ts';

const TIMEOUT_MS = 240_000;
const programs = postgresPrograms();

describe.runIf(programs !== undefined)('A site that is built again from nothing', () => {
  let sites: TwoSites;
  let client: RoutedClient | undefined;
  afterEach(async ({ task }) => {
    await client?.stop();
    await endSites(sites, task);
  }, TIMEOUT_MS);

  function type(site: SiteName, commands: string): Promise<Ran> {
    const { state, databases } = sites.configs[site];
    const { dataDirectory, repository } = databases[0]!;
    const variables = {
      CONFIG: sites.file(site),
      PLAN: planFile(sites),
      NAME: 'portal',
      ME: 'wei',
      SECOND: 'lin',
      REASON: 'site a burns',
      STATE: state,
      REPO: repository.location,
      PASSPHRASE: repository.passphraseFile,
      ASSET,
      DATA: dataDirectory,
      PROGRAMS: programs!,
    };
    return runBeside(['sh', '-euc', commands], { ...environmentOf(sites), ...variables });
  }

  async function done(site: SiteName, commands: string): Promise<string> {
    const { status, stdout, stderr } = await type(site, commands);
    expect(status, `${commands}${stdout}${stderr}`).toBe(0);
    return stdout;
  }

  it(
    'is a standby again and takes over, once its new key is known; an empty directory alone is not taken for that',
    async () => {
      const text = readFileSync(join(CHECKOUT, 'ops/runbooks/unplanned-failover.md'), 'utf8');
      const steps = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands!);
      const [declare, carryOut, , rejoin, init, make, again] = steps as [string, string, string, string, string, string, string];
      sites = await TwoSites.create({ programs: programs! });
      client = await readyToFail(sites);
      sites.daemon('a').signal('SIGKILL');
      await done('b', declare);
      await done('b', carryOut);
      const { acknowledged } = client;
      const before = acknowledged.length;
      await until('the old server has stopped', () => sites.isStopped('a'));
      const { state, runtime, databases } = sites.configs.a;
      for (const path of [state, runtime, databases[0]!.dataDirectory, databases[0]!.repository.location])
        rmSync(path, { recursive: true, force: true });
      const known = readFileSync(sites.file('a'));
      rmSync(sites.file('a'));
      const [, key] = /key: ([\w-]{43})/.exec(await done('a', init))!;
      writeFileSync(sites.file('a'), known);
      writeFileSync(sites.file('b'), readFileSync(sites.file('b'), 'utf8').replace(/key: [\w-]{43}/, `key: ${key}`));
      sites.daemon('b').signal('SIGTERM');
      await sites.daemon('b').ended;
      sites.start('b');
      sites.start('a');
      // It might be a disk that is not mounted.
      const refused = await until('A answers', async () => {
        const ran = await type('b', rejoin);
        return ran.stderr.includes('[SITE_UNREACHABLE]') ? undefined : ran;
      });
      expect(refused.stderr).toContain('mount its disk; if that is gone for good, make the standby');
      expect(refused.stderr).toContain('[SITE_REFUSED]');
      await until('its copy has come', async () => (await type('a', make)).status === 0);
      expect(await done('b', again)).toContain(`${ASSET} is a standby at a`);
      const readiness = 'holdfast failover readiness --plan "$PLAN" --config "$CONFIG"';
      await until('it is ready', async () => (await type('b', readiness)).status === 0);
      await done('b', 'holdfast failover declare --plan "$PLAN" --kind failback --reason home --by wei --config "$CONFIG"');
      await done('b', carryOut);
      const atHome = acknowledged.length;
      await until('the client writes at A', () => acknowledged.length > atHome + 5);
      await client.stop();
      const kept = new Set((await sites.sql('a', 'SELECT word FROM kept')).map(([word]) => word));
      expect(acknowledged.slice(before).filter(({ word }) => !kept.has(word))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

// The runbooks of a lost site and of a failover that is blocked, executed as they stand there.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { endSites } from '../support/end-sites.ts';
import { environmentOf, planFile, type RoutedClient, readyToFail, runBeside } from '../support/failing-over.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { type SiteName, TwoSites, until } from '../support/two-sites.ts';

const TIMEOUT_MS = 240_000;
const programs = postgresPrograms();

function stepsOf(name: string): readonly string[] {
  const text = readFileSync(join(CHECKOUT, `ops/runbooks/${name}.md`), 'utf8');
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands!);
}

describe.runIf(programs !== undefined)('The runbook', () => {
  let sites: TwoSites;
  let client: RoutedClient | undefined;

  beforeEach(async () => {
    sites = await TwoSites.create({ programs: programs! });
  }, TIMEOUT_MS);

  afterEach(async ({ task }) => {
    await client?.stop();
    await endSites(sites, task);
  }, TIMEOUT_MS);

  /** As somebody at that site types it. */
  async function type(site: SiteName, commands: string, statuses = [0]): Promise<string> {
    const variables = {
      CONFIG: sites.file(site),
      PLAN: planFile(sites),
      NAME: 'portal',
      ME: 'wei',
      SECOND: 'lin',
      REASON: 'as the runbook says',
      STATE: sites.configs[site].state,
    };
    const { status, stdout, stderr } = await runBeside(['sh', '-euc', commands], { ...environmentOf(sites), ...variables });
    expect(statuses, `${commands}${stdout}${stderr}`).toContain(status);
    return stdout;
  }

  it(
    'of a lost site, with that of a failover that is blocked, leads clients on when two people have broken the glass',
    async () => {
      const [declare, carryOut, lookAt] = stepsOf('unplanned-failover') as [string, string, string];
      const [status, breakGlass, goOn] = stepsOf('blocked-failover') as [string, string, string];
      client = await readyToFail(sites, 'proofs: [demotion, power-off], powerOff: [/bin/false], readBack: [/bin/true], limit: 1m');
      sites.daemon('a').signal('SIGKILL');
      await type('b', declare);
      const carriedOut = type('b', carryOut);
      const journal = new JournalRegister(sites.registry, 'portal');
      await until('it is blocked', async () => (await journal.read()).journal.blockedBy.length > 0);
      expect(await type('b', status, [3])).toContain('BLOCKED: no power-off that was read back by another way');
      await until('the old server has stopped', () => sites.isStopped('a'));
      await type('b', breakGlass);
      expect(await carriedOut).toContain('The glass was broken by wei and lin');
      await type('b', goOn);
      const before = client.acknowledged.length;
      await until('the client writes again', () => client!.acknowledged.length > before + 5);
      expect(await type('b', lookAt)).toContain('proof break-glass');
    },
    TIMEOUT_MS,
  );
});

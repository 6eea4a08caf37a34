// A site is lost with work that nobody else has, the other goes on, and the first comes back.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { endSites } from '../../support/end-sites.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { ASSET, FILES, TwoSites, until } from '../../support/two-sites.ts';

const TIMEOUT_MS = 180_000;
const programs = postgresPrograms();
const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(90_000) });

describe.runIf(programs !== undefined)('A site that was lost', () => {
  let sites: TwoSites;
  afterEach(({ task }) => endSites(sites, task), TIMEOUT_MS);

  it(
    'keeps what only it had, becomes a standby of the other by what differs, and takes over again without a loss',
    async () => {
      sites = await TwoSites.create({ programs: programs!, files: true });
      await sites.run();
      const { a, b } = sites.clients();
      const file = (site: 'a' | 'b', name: string) => join(sites.scratch, `${site}-files`, name);
      mkdirSync(file('a', ''));
      writeFileSync(file('a', 'form'), 'a form');
      const kept = await a.keep(FILES, { failover: 'none' }, call());
      await b.point(FILES, { snapshot: kept.snapshot }, call());
      writeFileSync(file('a', 'only-at-a'), 'not backed up when A was lost');
      const here = { epoch: 1, failover: 'none', snapshot: null };
      await expect(a.bring(FILES, here, call()), 'where it is written').rejects.toMatchObject({ code: 'SITE_REFUSED' });
      const lost = { epoch: 1, failover: 'f1' };
      const { end: sealed } = await b.seal(ASSET, lost, call());
      await until('A takes writes', () => sites.writes('a', 'only at A'));
      await sites.daemon('a').kill();
      await until('the watchdog has stopped its server', () => sites.isStopped('a'));
      await b.catchUp(ASSET, sealed, call());
      const brought = await b.bring(FILES, { ...lost, snapshot: null }, call());
      expect(brought).toMatchObject({ snapshot: kept.snapshot, at: kept.at, entries: 2, setAside: 0 });
      expect(await b.compare(FILES, brought, call())).toEqual({ entries: 2, differing: [] });
      await sites.grant('b', 'f1', sealed, 'expiry');
      await b.promoted(ASSET, { epoch: 2, failover: 'f1' }, call());
      await until('B takes writes', () => sites.writes('b', 'at B'));
      writeFileSync(file('b', 'form'), 'a form, filled in at B');
      expect((await b.compare(FILES, brought, call())).differing).toHaveLength(1);
      await expect(b.bring(FILES, { ...lost, snapshot: null }, call())).rejects.toMatchObject({ code: 'SITE_REFUSED' });
      sites.start('a');
      await until('A knows that it is not the primary', async () => (await sites.status('a')).gate.role === 'closed');
      const back = { epoch: 2, failover: 'f1', sealed };
      // By people at both sites, who do not know of each other: asked for again while the directory is written over.
      const asked = until('A has rejoined', () => a.rejoin(ASSET, back, call()).catch(passing));
      const isBeingMade = () => !existsSync(join(sites.data('a'), 'global/pg_control'));
      await Promise.race([asked, until('it is being made', isBeingMade)]);
      const again = await sites.clients('a').a.rejoin(ASSET, back, call());
      const { divergence, standby } = await asked;
      expect(standby.isHealthy).toBe(true);
      expect(again).toMatchObject({ divergence, standby: { isHealthy: true } });
      expect(existsSync(join(divergence!, 'divergence.json'))).toBe(true);
      expect(readFileSync(join(divergence!, 'transactions.jsonl'), 'utf8')).toContain('"committed"');
      await until('A replays what B writes', async () => (await words('a')).includes('at B'));
      expect(await words('a')).toEqual(await words('b'));
      // And back, planned.
      await b.admit(ASSET, { name: 'a', site: 'a' }, call());
      await until('A is a candidate again', async () => (await sites.status('a')).standby?.isHealthy);
      const last = await b.keep(FILES, { failover: 'f2' }, call());
      await a.point(FILES, { snapshot: last.snapshot }, call());
      const { demotion } = await b.demote(ASSET, { epoch: 2, failover: 'f2' }, call());
      const at = { timeline: demotion.timeline, lsn: demotion.lsn };
      await a.seal(ASSET, { epoch: 2, failover: 'f2', at }, call());
      expect((await a.catchUp(ASSET, at, call())).isChainVerified).toBe(true);
      // What only A had is kept aside, and nothing is written over.
      const home = await a.bring(FILES, { epoch: 2, failover: 'f2', snapshot: last.snapshot }, call());
      expect(home).toMatchObject({ snapshot: last.snapshot, setAside: 2, aside: `${file('a', '')}.before-f2` });
      expect(readdirSync(file('a', ''))).toEqual(['form']);
      expect(readFileSync(file('a', 'form'), 'utf8')).toBe('a form, filled in at B');
      expect(readFileSync(join(home.aside!, 'only-at-a'), 'utf8')).toBe('not backed up when A was lost');
      expect(readFileSync(join(home.aside!, 'form'), 'utf8')).toBe('a form');
      await sites.grant('a', 'f2', at, 'demotion');
      expect(await a.promoted(ASSET, { epoch: 3, failover: 'f2' }, call())).toMatchObject({ epoch: 3, timeline: 3 });
      await until('A takes writes again', () => sites.writes('a', 'home'));
      expect(await words('a')).toEqual(['first', 'at B', 'home']);
      // Orders of failovers of before change nothing, whoever has slept over them.
      const server = sites.serverOf('a');
      const sealedNow = (await sites.status('a')).sealed;
      const stale = [
        a.demote(ASSET, lost, call()),
        a.demote(ASSET, { epoch: 2, failover: 'f2' }, call()),
        a.revoke(ASSET, lost, call()),
        a.seal(ASSET, lost, call()),
        b.revoke(ASSET, { epoch: 2, failover: 'f2' }, call()),
        a.rejoin(ASSET, back, call()),
        // B has held epoch 2 since: what it wrote then is another failover's to export.
        b.rejoin(ASSET, back, call()),
      ];
      for (const order of await Promise.allSettled(stale))
        expect(order).toMatchObject({ status: 'rejected', reason: { code: 'SITE_REFUSED' } });
      await a.unseal(ASSET, lost, call());
      expect((await sites.status('a')).sealed).toEqual(sealedNow);
      expect(await sites.writes('a', 'on')).toBe(true);
      expect(sites.serverOf('a')).toBe(server);
    },
    TIMEOUT_MS,
  );

  async function words(site: 'a' | 'b'): Promise<(string | null)[]> {
    return (await sites.sql(site, 'SELECT word FROM kept ORDER BY id')).map(([word]) => word!);
  }
});

function passing(error: unknown): undefined {
  if ((error as { code?: string }).code !== 'SITE_UNREACHABLE') throw error;
}

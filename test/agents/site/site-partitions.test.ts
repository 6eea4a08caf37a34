// Three hosts and pulled cables. Somebody writes at both sites all the time and knows every answer: a primary
// stops for nothing less than the loss of both the quorum and its peer.

import { afterEach, describe, expect, it } from 'vitest';
import { givenBack, withheld } from '../../../src/dr/writer-record.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { needNamespaces, ThreePlaces } from '../../support/three-places.ts';
import { type SiteName, TwoSites, until } from '../../support/two-sites.ts';
import { Writers } from '../../support/writers.ts';

const TIMEOUT_MS = 400_000;
const programs = postgresPrograms();
const LEASE = { ttl: '4s', margin: '3s' };
/** The lease with its drift, and the margin: whoever writes then does not write by a lease of before. */
const OVER_MS = 4_080 + 3_000;

describe.runIf(programs !== undefined && needNamespaces())('Sites whose cables are pulled', () => {
  let places: ThreePlaces;
  let sites: TwoSites;
  let writers: Writers;

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      for (const site of ['a', 'b'] as const) console.log(site, sites.daemon(site)?.output, await sites.status(site).catch(String));
    await writers?.stop();
    await sites?.end();
    await places?.end();
  }, TIMEOUT_MS);

  async function begin(): Promise<void> {
    places = await ThreePlaces.create();
    sites = await TwoSites.create({
      programs: programs!,
      lease: LEASE,
      etcd: (from) => [places.etcdFrom(from)],
      network: { listen: '0.0.0.0:7410', url: (of, from) => `http://${places.address(of, from)}:7410` },
      within: (site) => places.within(site),
    });
    await sites.run();
    writers = new Writers(sites);
  }

  /** Acknowledged after everything that could be left of a lease from before. */
  async function writesOnAt(site: SiteName): Promise<void> {
    const from = performance.now() + OVER_MS;
    await until(`${site} writes on`, () => writers.acknowledged(site).some(({ askedAt }) => askedAt > from));
  }

  it(
    'write on without the witness, or when they hear each other only, and stop when a failover withholds what they renew',
    async () => {
      await begin();
      const epoch = (await sites.status('a')).gate.epoch;
      places.pull('a', 'w');
      places.pull('b', 'w');
      await writesOnAt('a');
      places.plugIn('a', 'w');
      places.plugIn('b', 'w');
      // One way only: A's renewals never arrive.
      places.mute('a', 'w');
      await writesOnAt('a');
      // Not stopped once, by any of it.
      expect((await sites.status('a')).gate.epoch).toBe(epoch);
      // B hears of a failover, and promises nothing any more.
      const { register } = sites;
      await register.change((record) => withheld(record, 'f1'));
      await until('A is stopped', () => sites.isStopped('a'));
      await register.change((record) => givenBack(record, 'f1'));
      places.unmute('a', 'w');
      const from = performance.now();
      await until('A writes again', () => writers.acknowledged('a').some(({ askedAt }) => askedAt > from));
      expect(writers.acknowledged('b')).toEqual([]);
      expect(await writers.missingAt('a')).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

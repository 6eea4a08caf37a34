import type { TestContext } from 'vitest';
import type { TwoSites } from './two-sites.ts';

/** After a test; of one that failed, what the daemons and servers say is printed first. */
export async function endSites(sites: TwoSites, { result }: TestContext['task']): Promise<void> {
  if (result?.state === 'fail')
    for (const site of ['a', 'b'] as const)
      console.log(site, sites.daemon(site)?.output, await sites.status(site).catch(String), sites.serverLog(site).slice(-2000));
  await sites.end();
}

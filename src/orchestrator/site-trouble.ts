// What keeps a site from what it is asked for, in its own words: a call that waits says nothing until it is done, and a store that is full, say,
// is mended by nobody who does not know of it.

import { isFault } from '../base/faults.ts';
import type { FailoverJournal } from '../dr/failover-journal.ts';
import type { DatabaseStatus } from '../dr/site-control.ts';
import type { OrchestratorPorts } from './ports.ts';

const PATIENCE_MS = 2_000;

/** Of both sites; that the old one does not answer is no news. */
export async function siteTrouble(
  { site }: Pick<OrchestratorPorts, 'site'>,
  { databases, from, to }: FailoverJournal,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const told = [from, to].flatMap((name) =>
    databases.map(async ({ asset }): Promise<readonly string[]> => {
      const limit = AbortSignal.timeout(PATIENCE_MS);
      try {
        const status = await site(name).status(asset, { signal: AbortSignal.any([signal, limit]) });
        return troubleIn(status).map((what) => `${name} has trouble with ${asset}: ${what}`);
      } catch (error) {
        if (signal.aborted || !(limit.aborted || isFault(error))) throw error;
        return name === from ? [] : [`${name} does not answer`];
      }
    }),
  );
  return [...new Set((await Promise.all(told)).flat())];
}

function troubleIn({ gate, capture, replica, standby, problems }: DatabaseStatus): readonly string[] {
  const known = [gate.problem, capture?.problem, replica?.problem, standby?.problem, ...problems];
  return [...new Set(known.flatMap((one) => one ?? []))];
}

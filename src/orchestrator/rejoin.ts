// After a failover the old primary becomes a standby of the new one: what only it had is exported first. Then it is a
// candidate again, and there is a way back.

import { Fault } from '../base/faults.ts';
import type { FailoverJournal } from '../dr/failover-journal.ts';
import type { Rejoined, SiteControl } from '../dr/site-control.ts';
import { FAILOVER_STATES } from '../model/failover-state.ts';
import { ofEach } from './target-actions.ts';

/** FAILOVER_NO_DECISION while the right was not handed on. */
export async function rejoinOld(
  site: (name: string) => SiteControl,
  journal: FailoverJournal,
  signal: AbortSignal,
): Promise<Readonly<Record<string, Rejoined>>> {
  const { id, from, to, state, sealed } = journal;
  if (FAILOVER_STATES.indexOf(state as 'declared') < FAILOVER_STATES.indexOf('promoted'))
    throw new Fault('FAILOVER_NO_DECISION', `The failover ${id} is "${state}": ${from} is not left yet`);
  return ofEach(journal, async ({ asset, epoch }) => {
    const rejoined = await site(from).rejoin(asset, { epoch: epoch + 1, failover: id, sealed: sealed[asset]! }, { signal });
    // Only one that is whole may take over.
    const { member } = await site(from).status(asset, { signal });
    await site(to).admit(asset, { name: member, site: from }, { signal });
    return rejoined;
  });
}

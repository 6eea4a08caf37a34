// After a failover the old primary becomes a standby of the new one: what only it had is exported first. Then there is a way back.

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
  const { id, from, state, sealed } = journal;
  if (FAILOVER_STATES.indexOf(state as 'declared') < FAILOVER_STATES.indexOf('promoted'))
    throw new Fault('FAILOVER_NO_DECISION', `The failover ${id} is "${state}": ${from} is not left yet`);
  return ofEach(journal, ({ asset, epoch }) =>
    site(from).rejoin(asset, { epoch: epoch + 1, failover: id, sealed: sealed[asset]! }, { signal }),
  );
}

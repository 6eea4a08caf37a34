import type { CatalogTables } from '../catalog/catalog.ts';
import type { Failover } from '../model/failover.ts';

/** One that was rejected, or that nobody approved in time, is over. */
export async function settled(tables: Pick<CatalogTables, 'approvals'>, failover: Failover): Promise<Failover> {
  if (failover.state !== 'waiting') return failover;
  const state = (await tables.approvals.get(failover.tenantId, failover.approvalId))?.state;
  return state === 'rejected' || state === 'expired' ? { ...failover, state: 'refused' } : failover;
}

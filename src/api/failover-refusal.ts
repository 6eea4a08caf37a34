import type { CatalogTables } from '../catalog/catalog.ts';
import type { Failover } from '../model/failover.ts';

/** Refused when its approval was rejected, or nobody gave it in time; otherwise as it stands. */
export async function withRefusal(tables: Pick<CatalogTables, 'approvals'>, failover: Failover): Promise<Failover> {
  if (failover.state !== 'waiting') return failover;
  const state = (await tables.approvals.get(failover.tenantId, failover.approvalId))?.state;
  return state === 'rejected' || state === 'expired' ? { ...failover, state: 'refused' } : failover;
}

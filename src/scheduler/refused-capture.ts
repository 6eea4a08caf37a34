// Why the log of a database's server is not taken: it is another server than the one whose log is stored, or one that was set back. What it
// writes can then be had back by nothing, whatever the age of what is stored.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import type { Run } from '../model/run.ts';

const OF_ANOTHER_SERVER: readonly string[] = ['PG_OTHER_CLUSTER', 'LOG_FORKED'];
const ENDED = ['succeeded', 'warned', 'failed', 'canceled'] as const;
/** A capture that has gone on for so long has looked at its server. */
const LOOKED_AFTER_MS = 2 * 60_000;

export async function refusedCapture(
  { runs }: Pick<CatalogTables, 'runs'>,
  { id, tenantId }: Pick<Asset, 'id' | 'tenantId'>,
  now: Date,
): Promise<NonNullable<Run['fault']> | undefined> {
  const last = await lastCapture({ runs }, { id });
  if (last?.state !== 'failed' || last.fault === undefined || !OF_ANOTHER_SERVER.includes(last.fault.code)) return undefined;
  const [running] = (await runs.list(tenantId, { assetId: id, kind: 'capture', states: ['running'] }, { limit: 1 })).items;
  const hasLooked = running?.startedAt !== undefined && now.getTime() - Date.parse(running.startedAt) >= LOOKED_AFTER_MS;
  return hasLooked ? undefined : last.fault;
}

/** The one that ended last. */
export function lastCapture({ runs }: Pick<CatalogTables, 'runs'>, { id }: Pick<Asset, 'id'>): Promise<Run | undefined> {
  return runs.latest(id, 'capture', ENDED);
}

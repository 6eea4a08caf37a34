// What somebody asks for may wait already: for its time, for its turn, or because another has just asked for it. What has not begun will hold
// all that is there now, so it is hastened instead of being done twice. What has begun may lack the latest changes: it is not joined.

import { canonicalJson } from '../base/canonical-json.ts';
import type { CatalogTables, NewRun } from '../catalog/catalog.ts';
import type { Instant } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { Run } from '../model/run.ts';

/** The queued run that does the same, as pressing as the new one would be; undefined: there is none. */
export async function joinRun({ runs }: Pick<CatalogTables, 'runs'>, run: NewRun, at: Instant): Promise<Run | undefined> {
  const { tenantId, assetId, agentId, kind, priority } = run;
  const parameters = canonicalJson(run.parameters);
  const filter = { ...(assetId === undefined ? {} : { assetId }), kind, states: ['queued'] as const };
  for await (const one of eachItem((page) => runs.list(tenantId, filter, page))) {
    if (one.assetId !== assetId || one.agentId !== agentId || canonicalJson(one.parameters) !== parameters) continue;
    const joined = await runs.hasten(tenantId, one.id, at, priority);
    if (joined !== undefined) return joined;
  }
  return undefined;
}

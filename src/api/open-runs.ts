// Runs of a tenant that are not over.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { Instant } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { Run } from '../model/run.ts';

export async function openRuns({ runs }: Pick<CatalogTables, 'runs'>, tenantId: string): Promise<readonly Run[]> {
  const open: Run[] = [];
  for await (const run of eachItem((page) => runs.list(tenantId, { states: ['queued', 'running'] }, page))) open.push(run);
  return open;
}

/** Cancels those that would wait for ever, because who had to carry them out, or what they were for, is no more. */
export async function cancelOpenRuns(
  tables: Pick<CatalogTables, 'runs'>,
  tenantId: string,
  at: Instant,
  isToEnd: (run: Run) => boolean,
): Promise<void> {
  for (const run of await openRuns(tables, tenantId)) if (isToEnd(run)) await tables.runs.cancel(tenantId, run.id, at);
}

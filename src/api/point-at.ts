// Which recovery point an instant means: the newest sound one whose state is not newer. A snapshot holds the state from when it was begun.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';

export type PointAt = { readonly point?: RecoveryPoint; readonly earliest?: RecoveryPoint };

export async function newestAtOrBefore(tables: Pick<CatalogTables, 'recoveryPoints'>, asset: Asset, at: string): Promise<PointAt> {
  let [best, earliest]: [RecoveryPoint | undefined, RecoveryPoint | undefined] = [undefined, undefined];
  for await (const point of pointsOf(tables, asset)) {
    if (!point.isSound) continue;
    if (earliest === undefined || point.startedAt < earliest.startedAt) earliest = point;
    if (point.startedAt <= at && (best === undefined || point.startedAt > best.startedAt)) best = point;
  }
  return { ...(best === undefined ? {} : { point: best }), ...(earliest === undefined ? {} : { earliest }) };
}

/** All of an asset, the newest first. */
export async function* pointsOf(
  { recoveryPoints }: Pick<CatalogTables, 'recoveryPoints'>,
  { tenantId, id }: Pick<Asset, 'tenantId' | 'id'>,
): AsyncGenerator<RecoveryPoint> {
  let after: string | undefined;
  do {
    const page = await recoveryPoints.list(tenantId, id, { limit: PAGE_ITEMS_MAX, ...(after === undefined ? {} : { after }) });
    yield* page.items;
    after = page.next;
  } while (after !== undefined);
}

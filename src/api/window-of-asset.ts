// Gathers what the recovery window of an asset is made from.

import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import { pointsOf } from './point-at.ts';
import { policyInForce } from './policy-change.ts';
import { type RecoveryWindow, recoveryWindow } from './recovery-window.ts';
import type { Call } from './route.ts';

/** As many as one asset ever has under any policy; more are summed up by their newest. */
const POINTS_MAX = 20_000;

export async function readWindow({ catalog, tenant, shippedPolicies, at }: Call, asset: Asset): Promise<RecoveryWindow> {
  const points: RecoveryPoint[] = [];
  for await (const point of pointsOf(catalog, asset)) if (points.push(point) >= POINTS_MAX) break;
  const filter = { assetId: asset.id, kind: 'backup', states: ['failed', 'canceled'] } as const;
  const failures = (await catalog.runs.list(tenant.id, filter, { limit: PAGE_ITEMS_MAX })).items;
  const { policy } = await policyInForce({ tables: catalog, shipped: shippedPolicies }, tenant, asset);
  const { objectives, recoveryWindowMs } = policy;
  return recoveryWindow(
    {
      assetId: asset.id,
      createdAt: asset.createdAt,
      isPaused: asset.state !== 'active',
      points,
      failures,
      ...(objectives.rpoMs === undefined ? {} : { rpoMs: objectives.rpoMs }),
      ...(recoveryWindowMs === undefined ? {} : { windowMs: recoveryWindowMs }),
    },
    at,
  );
}

// Gathers what the recovery window of an asset is made from.

import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import { type LackingCheck, lackingSetting } from '../scheduler/log-notes.ts';
import { refusedCapture } from '../scheduler/refused-capture.ts';
import { logWindow } from './log-window.ts';
import { pointsOf } from './point-at.ts';
import { policyInForce } from './policy-change.ts';
import { type RecoveryWindow, recoveryWindow } from './recovery-window.ts';
import type { Call } from './route.ts';

/** As many as one asset ever has under any policy; more are summed up by their newest. */
const POINTS_MAX = 20_000;

export async function readWindow(call: Call, asset: Asset): Promise<RecoveryWindow> {
  const { catalog, tenant, shippedPolicies, at } = call;
  const points: RecoveryPoint[] = [];
  for await (const point of pointsOf(catalog, asset)) if (points.push(point) >= POINTS_MAX) break;
  const filter = { assetId: asset.id, kind: 'backup', states: ['failed', 'canceled'] } as const;
  const failures = (await catalog.runs.list(tenant.id, filter, { limit: PAGE_ITEMS_MAX })).items;
  const { policy } = await policyInForce({ tables: catalog, shipped: shippedPolicies }, tenant, asset);
  const { objectives, recoveryWindowMs } = policy;
  const facts = {
    assetId: asset.id,
    createdAt: asset.createdAt,
    isPaused: asset.state !== 'active',
    points,
    ...(objectives.rpoMs === undefined ? {} : { rpoMs: objectives.rpoMs }),
    ...(recoveryWindowMs === undefined ? {} : { windowMs: recoveryWindowMs }),
  };
  if (asset.source.kind !== 'postgres') return recoveryWindow({ ...facts, failures }, at);
  const window = await call.logs.of(asset);
  const lacking = JSON.parse((await catalog.settings.get(lackingSetting(asset.id))) ?? '[]') as LackingCheck[];
  const refused = await refusedCapture(catalog, asset, at);
  const trouble = refused === undefined ? await troubleOf(call, asset) : `${refused.message} [${refused.code}]`;
  const isRefused = refused !== undefined;
  return logWindow({ ...facts, window, lacking, isRefused, ...(trouble === undefined ? {} : { trouble }) }, at);
}

/** Of the newest capture, when it is not under way. */
async function troubleOf({ catalog, tenant }: Call, asset: Asset): Promise<string | undefined> {
  const [open] = (await catalog.runs.list(tenant.id, { assetId: asset.id, kind: 'capture' }, { limit: 1 })).items;
  if (open === undefined) return 'capture has not begun';
  if (open.state === 'running') return undefined;
  const last = await catalog.runs.latest(asset.id, 'capture', ['failed']);
  return last?.fault === undefined ? 'no agent captures the log' : `capture ended: ${last.fault.message} [${last.fault.code}]`;
}

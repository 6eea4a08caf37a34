// Dangerous requests: written down whole, decided by a second person, and then executed exactly as they were written down - never as they are
// repeated later.

import { Fault } from '../base/faults.ts';
import type { CatalogTables, StoredPolicy } from '../catalog/catalog.ts';
import type { Approval, ApprovalAction } from '../model/approval.ts';
import type { Asset } from '../model/asset.ts';
import type { ErasureOrder } from '../model/erasure.ts';
import { newId } from '../model/identifier.ts';
import { instantOf, laterBy } from '../model/instant.ts';
import type { StoredPlan } from '../model/plan.ts';
import { APPROVAL_MS } from '../trust/approvals.ts';
import { executeBreakGlass, executeFailover } from './failover-orders.ts';
import { cancelOpenRuns, openRuns } from './open-runs.ts';
import { notFound } from './problem.ts';
import type { Answer, Call } from './route.ts';
import { changed } from './versioned.ts';

/** A store that is away for days ends it no sooner: then it is asked for again, and goes on. */
const ERASE_ATTEMPTS_MAX = 100;

export type ApprovalRequest = {
  readonly action: ApprovalAction;
  readonly request: Readonly<Record<string, unknown>>;
  readonly reason: string;
  /** People who have to approve it; absent: one. */
  readonly needed?: number;
};

/** 202 with the approval that is now waited for. */
export async function requestApproval(call: Call, request: ApprovalRequest): Promise<Answer> {
  const approval = approvalFor(call, request);
  const { action, reason } = request;
  return call.change({ action: 'approval.request', subject: approval.id, details: { action, reason } }, async (tables) => {
    await addApproval(tables, call, approval);
    return { status: 202, body: approval };
  });
}

export function approvalFor({ at, random, tenant, actor }: Call, { action, request, reason, needed }: ApprovalRequest): Approval {
  return {
    id: newId('approval', at, random),
    tenantId: tenant.id,
    action,
    request: { ...request },
    reason,
    requestedBy: actor,
    requestedAt: instantOf(at),
    expiresAt: laterBy(instantOf(at), APPROVAL_MS),
    state: 'pending',
    ...(needed === undefined ? {} : { needed }),
  };
}

/** With the event that tells those who may approve it. */
export async function addApproval(tables: CatalogTables, { principal, at }: Call, approval: Approval): Promise<void> {
  const { id, tenantId, action, reason } = approval;
  await tables.approvals.add(approval);
  await tables.events.add(
    {
      tenantId,
      kind: 'approval.requested',
      severity: 'warning',
      message: `${principal.label} asks for ${action}: ${reason}`,
      action: 'Approve or reject it.',
      details: { approval: id },
    },
    instantOf(at),
  );
}

type Executor = (tables: CatalogTables, approval: Approval, call: Call) => Promise<void>;

const EXECUTORS: Readonly<Partial<Record<ApprovalAction, Executor>>> = {
  'asset.delete': async (tables, { tenantId, request }, call) => {
    const asset = await tables.assets.get(tenantId, String(request['assetId']));
    if (asset === undefined) throw notFound();
    changed(await tables.assets.change({ ...asset, state: 'retired' }));
    // What is there can be restored as before; a capture is ended by who keeps it.
    await cancelOpenRuns(
      tables,
      tenantId,
      instantOf(call.at),
      ({ assetId, kind }) => assetId === asset.id && (kind === 'backup' || kind === 'restore-test'),
    );
  },
  'policy.weaken': async (tables, approval, call) => {
    const { request } = approval;
    if (request['change'] === 'asset') {
      const asset = request['asset'] as Asset;
      changed(await tables.assets.change({ ...asset, version: Number(request['baseVersion']) }));
      return;
    }
    if (request['policy'] !== undefined) {
      const made = request['policy'] as StoredPolicy;
      if ((await tables.policies.add({ ...made, changedAt: instantOf(call.at) })) === 'exists')
        throw new Fault('REQUEST_STALE', 'It was made meanwhile');
      return;
    }
    const policy = await tables.policies.get(String(request['policyId']));
    if (policy === undefined || policy.tenantId !== approval.tenantId) throw notFound();
    if (request['change'] === 'delete-policy') {
      const outcome = await tables.policies.delete(policy.id, Number(request['baseVersion']));
      if (outcome === 'in-use') throw new Fault('REQUEST_CONFLICT', 'Assets name this policy; attach another one to them first');
      if (outcome !== 'deleted') throw new Fault('REQUEST_STALE', 'The policy has changed since');
      return;
    }
    const text = String(request['text']);
    changed(
      await tables.policies.change({
        ...policy,
        text,
        version: Number(request['baseVersion']),
        changedAt: instantOf(call.at),
        changedBy: approval.requestedBy,
      }),
    );
  },
  'plan.weaken': async ({ plans }, { tenantId, request, requestedBy }, call) => {
    const plan = request['plan'] as StoredPlan | undefined;
    const base = Number(request['baseVersion']);
    const outcome =
      plan === undefined
        ? await plans.delete(tenantId, String(request['name']), base)
        : await plans.put({ ...plan, changedAt: instantOf(call.at), changedBy: requestedBy }, base);
    if (outcome === 'missing') throw notFound();
    if (outcome === 'stale' || outcome === 'not-raised') throw new Fault('REQUEST_STALE', 'The plan has changed since');
  },
  'hold.release': async ({ recoveryPoints }, { tenantId, request }) => {
    const point = await recoveryPoints.get(tenantId, String(request['snapshot']));
    if (point === undefined) throw notFound();
    await recoveryPoints.put({ ...point, isHeld: false });
  },
  'snapshot.delete': async (tables, { id, tenantId, request, requestedBy }, call) => {
    const at = instantOf(call.at);
    const snapshot = String(request['snapshot']);
    const point = await tables.recoveryPoints.get(tenantId, snapshot);
    if (point === undefined) throw notFound();
    if (point.isHeld) throw new Fault('REQUEST_CONFLICT', 'It is held; release the hold first');
    await tables.runs.add(
      {
        id: newId('run', call.at, call.random),
        tenantId,
        ...(point.assetId === undefined ? {} : { assetId: point.assetId }),
        kind: 'forget',
        key: `approval:${id}`,
        parameters: { snapshots: [snapshot] },
        priority: 50,
        dueAt: at,
        notBefore: at,
        attemptsMax: 5,
        requestedBy,
      },
      at,
    );
  },
  'tenant.close': async ({ tenants }, { tenantId }) => {
    const tenant = await tenants.get(tenantId);
    if (tenant === undefined) throw notFound();
    changed(await tenants.change({ ...tenant, state: 'closed' }));
  },
  'tenant.erase': queueErasure,
  failover: executeFailover,
  'break-glass': executeBreakGlass,
};

/** What is still to be done for the tenant is not done any more: it is closed. */
async function queueErasure(tables: CatalogTables, approval: Approval, call: Call): Promise<void> {
  const { id, tenantId, request, requestedBy, requestedAt, reason } = approval;
  const at = instantOf(call.at);
  if ((await tables.tenants.get(tenantId))?.state !== 'closed') throw new Fault('REQUEST_STALE', 'The tenant is not closed');
  const erasure = (await openRuns(tables, tenantId)).find(({ kind }) => kind === 'erase');
  if (erasure !== undefined) throw new Fault('REQUEST_CONFLICT', `Its erasure waits already: ${erasure.id}`);
  await cancelOpenRuns(tables, tenantId, at, ({ kind }) => kind !== 'catalog-backup');
  const order: ErasureOrder = {
    approval: id,
    requestedBy,
    requestedAt,
    approvedBy: call.actor,
    approvedAt: at,
    reason,
    handedOver: String(request['handedOver']),
  };
  const notBefore = laterBy(at, call.config.eraseAfterMs);
  const { run } = await tables.runs.add(
    {
      id: newId('run', call.at, call.random),
      tenantId,
      kind: 'erase',
      key: `approval:${id}`,
      parameters: { order },
      priority: 50,
      dueAt: notBefore,
      notBefore,
      attemptsMax: ERASE_ATTEMPTS_MAX,
      requestedBy,
    },
    at,
  );
  await tables.events.add(
    {
      tenantId,
      runId: run.id,
      kind: 'tenant.erasing',
      severity: 'critical',
      message: `The key of the tenant will be destroyed on ${notBefore}, and all that it has stored with it`,
      action: `Until then it can be taken back: "holdfast run cancel ${run.id}".`,
    },
    at,
  );
}

/** Within the transaction of the decision: REQUEST_STALE when what was to be changed has changed since it was asked for. */
export async function executeApproved(tables: CatalogTables, approval: Approval, call: Call): Promise<void> {
  const execute = EXECUTORS[approval.action];
  if (execute === undefined) throw new Fault('REQUEST_CONFLICT', `"${approval.action}" cannot be executed by this version`);
  await execute(tables, approval, call);
}

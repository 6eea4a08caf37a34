// Restores: which recovery point an instant means is decided and said before anything is moved.

import type { Static } from 'typebox';
import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { NewRun } from '../../catalog/catalog.ts';
import type { Asset } from '../../model/asset.ts';
import {
  ClusterExtract,
  type ClusterExtractOrder,
  type ClusterRestoreOrder,
  HandOver,
  RecoveryPlace,
} from '../../model/cluster-restore.ts';
import { Id, newId } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import { formatLsn } from '../../model/lsn.ts';
import { RecoveryPoint } from '../../model/recovery-point.ts';
import { RestoreOrder } from '../../model/restore-order.ts';
import { Run } from '../../model/run.ts';
import { AHEAD_MS_MAX } from '../../policy/judge.ts';
import { clusterOrder, namedExtract, wayOf } from '../cluster-restore.ts';
import { newestAtOrBefore } from '../point-at.ts';
import { fieldFault } from '../problem.ts';
import { type Call, route } from '../route.ts';
import { locationOf } from './runs.ts';

const { target, path, delta, verify, snapshot } = RestoreOrder.properties;
const RestoreRequest = Type.Object(
  {
    assetId: Id,
    snapshot: Type.Optional(snapshot),
    at: Type.Optional(
      Type.String({
        ...Instant,
        description:
          'the newest sound recovery point at or before it (of a database: the last commit before it); without: the newest',
      }),
    ),
    agentId: Type.Optional(Type.String({ ...Id, description: 'to another host (the one that it was backed up on)' })),
    target: Type.Optional(target),
    path,
    delta,
    verify,
    extract: Type.Optional(ClusterExtract),
    point: Type.Optional(RecoveryPlace),
    handOver: Type.Optional(HandOver),
    tablespaces: Type.Optional(
      Type.Record(Type.String({ pattern: '^[0-9]{1,10}$' }), target, {
        description: 'of a database: where the tablespace of this oid goes (beside the target)',
      }),
    ),
    dryRun: Type.Optional(Type.Boolean({ description: 'say what would be restored, and do nothing' })),
  },
  { additionalProperties: false, $id: 'RestoreRequest' },
);
type RestoreRequest = Static<typeof RestoreRequest>;
const Plan = Type.Object(
  {
    requestedAt: Type.Optional(Instant),
    /** The state that one returns to: when the snapshot was begun. */
    achievedAt: Instant,
    /** Work of so many seconds before the requested instant is not in it. */
    lostSeconds: Type.Optional(Type.Number()),
    point: RecoveryPoint,
    agentId: Id,
    target: Type.String({ description: 'path on the host of the agent, or what is made in the server of the asset' }),
    warnings: Type.Array(Type.String()),
    log: Type.Optional(
      Type.Object(
        {
          requested: Type.String({ description: 'the point, in words' }),
          stopAt: Type.Optional(
            Type.String({ description: 'position of the last commit that will be there; absent: the base backup as it is' }),
          ),
          transaction: Type.Optional(Type.Integer()),
          timeline: Type.Integer(),
          bytes: Type.Integer({ description: 'of log that is replayed' }),
        },
        { additionalProperties: false, description: 'of a database' },
      ),
    ),
  },
  { additionalProperties: false, $id: 'RestorePlan' },
);
const PRIORITY = 90;

export const RESTORE_ROUTES = [
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/restores',
    name: 'requestRestore',
    tag: 'restores',
    summary: 'Restore an asset as it was, to a directory or device of an agent',
    action: 'restore.request',
    body: RestoreRequest,
    isIdempotent: true,
    answers: {
      200: { description: 'With dryRun: what would be restored', schema: Plan },
      201: {
        description: 'Queued',
        schema: Type.Object({ plan: Plan, run: Run }, { additionalProperties: false, $id: 'Restore' }),
      },
    },
    handle: async (call) => {
      const { body, tenant, at } = call;
      const asset = await call.catalog.assets.get(tenant.id, body.assetId);
      if (asset === undefined) throw fieldFault('body/assetId', 'names no asset of this tenant');
      const { plan, order } = await planOf(call, asset, body);
      if (body.dryRun === true) return { status: 200, body: plan };
      const run = newRestore(call, asset, plan, order);
      const details = { asset: asset.name, snapshot: plan.point.snapshot, agentId: plan.agentId, target: plan.target };
      return call.change(
        { action: 'restore.request', subject: run.id, details },
        async ({ runs }) => {
          const added = await runs.add(run, instantOf(at));
          return { status: 201, body: { plan, run: added.run }, headers: { location: locationOf(call, run.id) } };
        },
        () => call.wake(plan.agentId),
      );
    },
  }),
];

type Planned = { readonly plan: Static<typeof Plan>; readonly order: RestoreOrder | ClusterRestoreOrder | ClusterExtractOrder };

async function planOf(call: Call, asset: Asset, body: RestoreRequest): Promise<Planned> {
  if (body.snapshot !== undefined && body.at !== undefined)
    throw fieldFault('body', 'has both a snapshot and an instant; one is enough');
  if (asset.source.kind === 'volume' && body.path !== undefined)
    throw fieldFault('body/path', 'is for assets of files; this is a volume');
  const agentId = body.agentId ?? asset.agentId;
  const agent = await call.catalog.agents.get(agentId, call.tenant.id);
  if (agent === undefined) throw fieldFault('body/agentId', 'names no agent of this tenant');
  if (agent.state !== 'active') throw new Fault('REQUEST_CONFLICT', 'That agent was revoked; name another one in agentId');
  if (asset.source.kind === 'postgres') return planOfCluster(call, asset, body, agentId);
  if (body.extract !== undefined) throw fieldFault('body/extract', 'is for databases');
  const point = await pointOf(call, asset, body);
  if (body.point !== undefined || body.handOver !== undefined || body.tablespaces !== undefined)
    throw fieldFault('body', 'names a point, a hand-over or tablespaces, which are for databases');
  const warnings = [
    ...(point.isSound ? [] : ['A verify found damage in this snapshot; what is damaged will be missing and named']),
    ...(point.hasWarnings ? ['Some entries could not be read when it was made; its run names them'] : []),
    ...(point.provenAt === undefined ? ['Its content was not read back and proved yet'] : []),
    ...(agentId === asset.agentId ? [] : ['It goes to another host than it came from']),
    ...(Date.parse(point.startedAt) <= call.at.getTime() + AHEAD_MS_MAX
      ? []
      : [
          'It is dated after now, by a clock that was ahead: points with earlier dates may hold a newer state ("holdfast point list")',
        ]),
  ];
  const lost =
    body.at === undefined ? {} : { requestedAt: body.at, lostSeconds: (Date.parse(body.at) - Date.parse(point.startedAt)) / 1000 };
  const { path, delta, verify } = body;
  const target = targetOf(body);
  const order: RestoreOrder = {
    snapshot: point.snapshot,
    target,
    ...(path === undefined ? {} : { path }),
    ...(delta === undefined ? {} : { delta }),
    ...(verify === undefined ? {} : { verify }),
  };
  return { plan: { ...lost, achievedAt: point.startedAt, point, agentId, target, warnings }, order };
}

async function planOfCluster(call: Call, asset: Asset, body: RestoreRequest, agentId: string): Promise<Planned> {
  const { snapshot, path, verify, delta, tablespaces, extract, at } = body;
  if (snapshot !== undefined || path !== undefined || verify !== undefined)
    throw fieldFault('body', 'names a snapshot, a path or a comparison, which are for files and volumes; a database has points');
  if (extract !== undefined && (body.target ?? delta ?? tablespaces ?? body.handOver) !== undefined)
    throw fieldFault('body/extract', 'goes into the server of the asset; it has no target, tablespaces or hand-over');
  const way = await wayOf(call, asset, body.point, at);
  const { point, plan, requested, target: wanted } = way;
  const { stopAt, base, legs, timeline } = plan;
  const achievedMicros = stopAt?.time || base.stoppedAt;
  const lost =
    wanted.kind === 'time'
      ? {
          requestedAt: new Date(Math.floor(wanted.time / 1000)).toISOString(),
          lostSeconds: Math.max(0, (wanted.time - achievedMicros) / 1_000_000),
        }
      : {};
  const order =
    extract === undefined
      ? clusterOrder(way, {
          target: targetOf(body),
          handOver: body.handOver ?? ('running' as const),
          ...(delta === undefined ? {} : { delta }),
          ...(tablespaces === undefined ? {} : { tablespaces }),
        })
      : clusterOrder(way, { extract: namedExtract(extract, call.at) });
  const log = {
    requested,
    ...(stopAt === undefined ? {} : { stopAt: formatLsn(stopAt.position), transaction: stopAt.id }),
    timeline,
    bytes: legs.reduce((sum, { from, to }) => sum + to - from, 0),
  };
  const warnings = [
    ...(point.provenAt === undefined ? ['Its base backup was not read back and proved yet'] : []),
    ...(agentId === asset.agentId ? [] : ['It goes to another host than it came from']),
  ];
  const achievedAt = new Date(Math.floor(achievedMicros / 1000)).toISOString();
  const target = 'target' in order ? order.target : describeExtract(asset, order.extract);
  return { plan: { ...lost, achievedAt, point, agentId, target, warnings, log }, order };
}

function targetOf({ target }: RestoreRequest): string {
  if (target === undefined) throw fieldFault('body/target', 'is missing: where to restore to');
  return target;
}

function describeExtract({ name }: Asset, { database, tables, as }: ClusterExtractOrder['extract']): string {
  return tables === undefined ? `the database "${as}" of ${name}` : `the schema "${as}" in the database "${database}" of ${name}`;
}

async function pointOf({ catalog, tenant }: Call, asset: Asset, { snapshot, at }: RestoreRequest): Promise<RecoveryPoint> {
  if (snapshot !== undefined) {
    const point = await catalog.recoveryPoints.get(tenant.id, snapshot);
    if (point === undefined || point.assetId !== asset.id)
      throw fieldFault('body/snapshot', 'names no recovery point of this asset');
    return point;
  }
  if (at === undefined) {
    const latest = await catalog.recoveryPoints.latest(asset.id);
    if (latest === undefined) throw new Fault('REQUEST_CONFLICT', 'The asset has no sound recovery point yet');
    return latest;
  }
  const { point, earliest } = await newestAtOrBefore(catalog, asset, at);
  if (point !== undefined) return point;
  const from = earliest === undefined ? 'it has none yet' : `the earliest is of ${earliest.startedAt}`;
  throw new Fault('REQUEST_CONFLICT', `The asset has no sound recovery point at or before ${at}: ${from}`);
}

function newRestore(call: Call, asset: Asset, plan: Static<typeof Plan>, order: Planned['order']): NewRun {
  const id = newId('run', call.at, call.random);
  const at = instantOf(call.at);
  return {
    id,
    tenantId: call.tenant.id,
    assetId: asset.id,
    agentId: plan.agentId,
    kind: 'restore',
    key: `restore:${id}`,
    parameters: order,
    priority: PRIORITY,
    dueAt: at,
    notBefore: at,
    attemptsMax: 1,
    requestedBy: call.actor,
  };
}

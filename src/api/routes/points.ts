// Recovery points: which instants there are to return to, how that is known, and what is missing. Tags and holds on them.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { Asset } from '../../model/asset.ts';
import { Id } from '../../model/identifier.ts';
import { RecoveryPoint } from '../../model/recovery-point.ts';
import { approvalAnswer, ReasonBody } from '../approval-answer.ts';
import { requestApproval } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import { notFound } from '../problem.ts';
import { RecoveryWindow } from '../recovery-window.ts';
import { type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { readWindow } from '../window-of-asset.ts';

const ONE = { 200: { description: 'The recovery point', schema: RecoveryPoint } };
const LIST = { 200: { description: 'A page, the newest first', schema: pageSchema(RecoveryPoint) } };
const Tag = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f,]*$' });
const TagChange = Type.Object(
  { tags: Type.Array(Tag, { maxItems: 50, uniqueItems: true }) },
  { additionalProperties: false, $id: 'PointTags' },
);

export const POINT_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/recovery-points',
    name: 'listRecoveryPoints',
    tag: 'recovery points',
    summary: 'List the recovery points of the tenant, the newest first',
    action: 'point.read',
    query: { ...PAGE_QUERY, assetId: Type.Optional(Id) },
    answers: LIST,
    handle: (call) => {
      const { assetId } = call.query;
      return answerPage(call, `points ${assetId ?? ''}`, (page) => call.catalog.recoveryPoints.list(call.tenant.id, assetId, page));
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/recovery-points/{snapshot}',
    name: 'getRecoveryPoint',
    tag: 'recovery points',
    summary: 'Show a recovery point',
    action: 'point.read',
    answers: ONE,
    handle: async (call) => ({ status: 200, body: await pointOf(call) }),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/assets/{asset}/recovery-window',
    name: 'getRecoveryWindow',
    tag: 'recovery points',
    summary: 'Which instants one can return to, how that is known, and what is missing',
    description:
      'Of files and volumes one returns to snapshots. Those that follow each other within the promised RPO make an interval; where they do not, there is a gap, with its cause. Each interval says what proves it.',
    action: 'point.read',
    answers: { 200: { description: 'Intervals and gaps', schema: RecoveryWindow } },
    handle: async (call) => {
      const asset = await assetOf(call);
      return { status: 200, body: await readWindow(call, asset) };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/tags',
    name: 'setTags',
    tag: 'recovery points',
    summary: 'Set the tags of a recovery point',
    action: 'point.tag',
    body: TagChange,
    answers: ONE,
    handle: async (call) =>
      call.change({ action: 'point.tag', subject: call.params['snapshot']!, details: call.body }, async ({ recoveryPoints }) => {
        const point = await recoveryPoints.get(call.tenant.id, call.params['snapshot']!);
        if (point === undefined) throw notFound();
        const after = { ...point, tags: call.body.tags };
        await recoveryPoints.put(after);
        return { status: 200, body: after };
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/hold',
    name: 'placeHold',
    tag: 'recovery points',
    summary: 'Keep it whatever the policy says',
    action: 'point.hold',
    body: ReasonBody,
    answers: ONE,
    handle: async (call) =>
      call.change({ action: 'hold.place', subject: call.params['snapshot']!, details: call.body }, async ({ recoveryPoints }) => {
        const point = await recoveryPoints.get(call.tenant.id, call.params['snapshot']!);
        if (point === undefined) throw notFound();
        const after = { ...point, isHeld: true };
        await recoveryPoints.put(after);
        return { status: 200, body: after };
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/release',
    name: 'releaseHold',
    tag: 'recovery points',
    summary: 'Ask for the release of a hold; a second person approves',
    action: 'point.release',
    body: ReasonBody,
    isIdempotent: true,
    answers: approvalAnswer,
    handle: async (call) => {
      const { snapshot, isHeld } = await pointOf(call);
      if (!isHeld) throw new Fault('REQUEST_CONFLICT', 'It is not held');
      return requestApproval(call, { action: 'hold.release', request: { snapshot }, reason: call.body.reason });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/recovery-points/{snapshot}/delete',
    name: 'deleteRecoveryPoint',
    tag: 'recovery points',
    summary: 'Ask for the end of a recovery point; a second person approves',
    action: 'point.delete',
    body: ReasonBody,
    isIdempotent: true,
    answers: approvalAnswer,
    handle: async (call) => {
      const { snapshot, isHeld, assetName } = await pointOf(call);
      if (isHeld) throw new Fault('REQUEST_CONFLICT', 'It is held; release the hold first');
      return requestApproval(call, { action: 'snapshot.delete', request: { snapshot, assetName }, reason: call.body.reason });
    },
  }),
];

async function pointOf({ catalog, tenant, params }: Call): Promise<RecoveryPoint> {
  const point = await catalog.recoveryPoints.get(tenant.id, params['snapshot']!);
  if (point === undefined) throw notFound();
  return point;
}

async function assetOf({ catalog, tenant, params }: Call): Promise<Asset> {
  const asset = await catalog.assets.get(tenant.id, params['asset']!);
  if (asset === undefined) throw notFound();
  return asset;
}

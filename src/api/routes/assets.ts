// Assets: what is protected, by which agent, under which policy.

import type { Static } from 'typebox';
import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { CatalogTables } from '../../catalog/catalog.ts';
import { Asset, AssetSource } from '../../model/asset.ts';
import { Id, Label, Name, newId } from '../../model/identifier.ts';
import { instantOf } from '../../model/instant.ts';
import { approvalAnswer, ReasonBody } from '../approval-answer.ts';
import { requestApproval } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import { attachablePolicy, attachmentWeakens } from '../policy-change.ts';
import { fieldFault, notFound } from '../problem.ts';
import { route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { answerVersioned, changed, checkVersion } from '../versioned.ts';

const NewAsset = Type.Object(
  {
    name: Asset.properties.name,
    label: Type.Optional(Label),
    agentId: Id,
    source: AssetSource,
    policy: Type.Optional(Type.String({ ...Name, description: 'name of the policy that is attached to it' })),
  },
  { additionalProperties: false, $id: 'NewAsset' },
);
const AssetChange = Type.Object(
  {
    label: Type.Optional(Label),
    agentId: Type.Optional(Id),
    source: Type.Optional(AssetSource),
    policy: Type.Optional(
      Type.Union([Name, Type.Null()], { description: 'null: none of its own. A weaker one needs the approval of a second person' }),
    ),
    state: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('paused')])),
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 1000, description: 'for the approval, when one is needed' })),
  },
  { additionalProperties: false, minProperties: 1, $id: 'AssetChange' },
);

const ONE = { 200: { description: 'The asset', schema: Asset, headers: { ETag: 'its version' } } };

export const ASSET_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/assets',
    name: 'listAssets',
    tag: 'assets',
    summary: 'List the assets',
    action: 'asset.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Asset) } },
    handle: (call) => answerPage(call, 'assets', (page) => call.catalog.assets.list(call.tenant.id, page)),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/assets',
    name: 'createAsset',
    tag: 'assets',
    summary: 'Protect something',
    action: 'asset.change',
    body: NewAsset,
    isIdempotent: true,
    answers: { 201: { description: 'Protected from now on', schema: Asset, headers: { ETag: 'its version' } } },
    handle: async (call) => {
      const id = newId('asset', call.at, call.random);
      const line = { action: 'asset.create', subject: id, details: { name: call.body.name } };
      const add = async (tables: CatalogTables) => {
        await checkAgent(tables, call.tenant.id, call.body.agentId);
        const policyId = await policyIdOf(tables, call.tenant.id, call.body.policy);
        const asset = newAsset(call.body, policyId, { id, tenantId: call.tenant.id, createdAt: instantOf(call.at) });
        if ((await tables.assets.add(asset)) === 'exists')
          throw new Fault('REQUEST_CONFLICT', `There is an asset "${asset.name}" already`);
        return answerVersioned(asset, 201);
      };
      // Its first backup is due now.
      return call.change(line, add, () => call.wake());
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/assets/{asset}',
    name: 'getAsset',
    tag: 'assets',
    summary: 'Show an asset',
    action: 'asset.read',
    answers: ONE,
    handle: async ({ catalog, tenant, params }) => {
      const asset = await catalog.assets.get(tenant.id, params['asset']!);
      if (asset === undefined) throw notFound();
      return answerVersioned(asset);
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/tenants/{tenant}/assets/{asset}',
    name: 'changeAsset',
    tag: 'assets',
    summary: 'Change an asset: its agent, what it holds, its policy; pause and resume it',
    action: 'asset.change',
    body: AssetChange,
    isConditional: true,
    answers: { ...ONE, ...approvalAnswer },
    handle: async (call) => {
      const { body, tenant, params } = call;
      const before = await call.catalog.assets.get(tenant.id, params['asset']!);
      if (before === undefined) throw notFound();
      checkVersion(call, before);
      const after = await changedAsset(call.catalog, before, body);
      const weaker = await attachmentWeakens({ tables: call.catalog, shipped: call.shippedPolicies }, tenant, before, after);
      if (weaker.length > 0)
        return requestApproval(call, {
          action: 'policy.weaken',
          request: { change: 'asset', asset: after, baseVersion: before.version, weaker: weaker.map(({ message }) => message) },
          reason:
            body.reason ??
            fieldMissing('body/reason', 'is missing: the change weakens what is promised, and a second person has to approve it'),
        });
      return call.change(
        { action: 'asset.change', subject: before.id, details: { ...body } },
        async ({ assets }) => answerVersioned(changed(await assets.change(after))),
        () => call.wake(),
      );
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/assets/{asset}/retire',
    name: 'retireAsset',
    tag: 'assets',
    summary: 'Ask for the end of its protection; a second person approves',
    description:
      'A retired asset is not backed up any more; its recovery points go as its policy says. The replication slot of a database is dropped. (One that is only paused keeps its slot, and its server keeps the log.)',
    action: 'asset.retire',
    body: ReasonBody,
    isIdempotent: true,
    answers: approvalAnswer,
    handle: async (call) => {
      const asset = await call.catalog.assets.get(call.tenant.id, call.params['asset']!);
      if (asset === undefined) throw notFound();
      if (asset.state === 'retired') throw new Fault('REQUEST_CONFLICT', 'It is retired already');
      return requestApproval(call, {
        action: 'asset.delete',
        request: { assetId: asset.id, name: asset.name },
        reason: call.body.reason,
      });
    },
  }),
];

function fieldMissing(field: string, message: string): never {
  throw fieldFault(field, message);
}

async function checkAgent({ agents }: Pick<CatalogTables, 'agents'>, tenantId: string, agentId: string): Promise<void> {
  const agent = await agents.get(agentId, tenantId);
  if (agent === undefined) throw fieldFault('body/agentId', 'names no agent of this tenant');
  if (agent.state !== 'active') throw fieldFault('body/agentId', 'names an agent that was revoked');
}

async function policyIdOf(
  { policies }: Pick<CatalogTables, 'policies'>,
  tenantId: string,
  name: string | undefined,
): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const policy = await attachablePolicy({ policies }, tenantId, name);
  if (policy === undefined || policy.level !== 'asset')
    throw fieldFault('body/policy', 'names no policy for assets of this tenant');
  return policy.id;
}

async function changedAsset(tables: CatalogTables, before: Asset, body: Static<typeof AssetChange>): Promise<Asset> {
  if (before.state === 'retired') throw new Fault('REQUEST_CONFLICT', 'A retired asset does not change any more');
  const { policy, reason: _, ...fields } = body;
  if (fields.agentId !== undefined) await checkAgent(tables, before.tenantId, fields.agentId);
  const { policyId: attached, ...rest } = before;
  const policyId =
    policy === undefined ? attached : policy === null ? undefined : await policyIdOf(tables, before.tenantId, policy);
  return { ...rest, ...fields, ...(policyId === undefined ? {} : { policyId }) };
}

function newAsset(
  { name, label, agentId, source }: Static<typeof NewAsset>,
  policyId: string | undefined,
  made: Pick<Asset, 'id' | 'tenantId' | 'createdAt'>,
): Asset {
  return {
    ...made,
    agentId,
    name,
    ...(label === undefined ? {} : { label }),
    source,
    ...(policyId === undefined ? {} : { policyId }),
    state: 'active',
    version: 1,
  };
}

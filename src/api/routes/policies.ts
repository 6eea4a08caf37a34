// Policies as text: what is put is what is got, comments and all. A policy that promises less than before waits for a second person.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { StoredPolicy } from '../../catalog/catalog.ts';
import { Approval } from '../../model/approval.ts';
import { Id, Name, newId } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import type { Page, PageRequest } from '../../model/page.ts';
import { POLICY_TEXT_BYTES_MAX } from '../../policy/read-policy.ts';
import { requestApproval } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import {
  attachablePolicy,
  contradictionsOf,
  contradictionsOfProvider,
  extendedBy,
  policyInForce,
  readDocument,
  weakeningsOf,
  weakeningsOfProvider,
} from '../policy-change.ts';
import { baseFound, refuseContradictions } from '../policy-refusal.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { answerVersioned, changed, checkPut, checkVersion } from '../versioned.ts';

const Level = Type.Union([Type.Literal('city'), Type.Literal('district'), Type.Literal('tenant'), Type.Literal('asset')]);
const Policy = Type.Object(
  {
    id: Id,
    tenantId: Type.Optional(Id),
    name: Name,
    level: Level,
    scope: Type.Optional(Type.String({ description: 'a city, "city/district", or the id of the tenant that it is for' })),
    text: Type.String({ description: 'YAML' }),
    version: Type.Integer({ minimum: 1 }),
    changedAt: Instant,
    changedBy: Type.String(),
  },
  { additionalProperties: false, $id: 'Policy' },
);
const PolicyText = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: POLICY_TEXT_BYTES_MAX, description: 'YAML; see policies/policy.schema.json' }) },
  { additionalProperties: false, $id: 'PolicyText' },
);
const InForce = Type.Object(
  {
    stamp: Type.String(),
    policy: Type.Record(Type.String(), Type.Unknown(), { description: 'durations in milliseconds, sizes in bytes' }),
    isWhole: Type.Boolean({ description: 'false: a policy of it cannot be read, and nothing is forgotten until it can' }),
  },
  { additionalProperties: false, $id: 'PolicyInForce' },
);
const Reason = Type.Optional(Type.String({ minLength: 1, maxLength: 1000, description: 'for the approval, when one is needed' }));
const WAITS = { 202: { description: 'It promises less than before: it waits for a second person', schema: Approval } };
const ONE = { 200: { description: 'The policy', schema: Policy, headers: { ETag: 'its version' } } };
const PUT = { ...ONE, 201: { description: 'Made', schema: Policy, headers: { ETag: 'its version' } } };
const LIST = { 200: { description: 'A page', schema: pageSchema(Policy) } };
const TEXT = { 200: { description: 'As it was put', schema: Type.String(), media: 'application/yaml' } };

export const POLICY_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/policies',
    name: 'listPolicies',
    tag: 'policies',
    summary: 'List the policies of the tenant, and those that the provider offers for attaching',
    action: 'policy.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: (call) => answerPage(call, 'policies', (page) => ownThenOffered(call, page)),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/policies/{policy}',
    name: 'getPolicy',
    tag: 'policies',
    summary: 'Show a policy',
    action: 'policy.read',
    answers: ONE,
    handle: async (call) => answerVersioned(await visiblePolicyOf(call)),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/policies/{policy}/text',
    name: 'getPolicyText',
    tag: 'policies',
    summary: 'The text of a policy',
    action: 'policy.read',
    answers: TEXT,
    handle: async (call) => answerText(await visiblePolicyOf(call)),
  }),
  route({
    method: 'PUT',
    path: '/v1/tenants/{tenant}/policies/{policy}',
    name: 'putPolicy',
    tag: 'policies',
    summary: 'Make or replace a policy',
    description:
      'To replace one, send its ETag in If-Match; "If-None-Match: *" replaces none. Level "tenant" is for all assets, "asset" for those that it is attached to.',
    action: 'policy.change',
    query: { level: Type.Optional(Type.Union([Type.Literal('tenant'), Type.Literal('asset')])), reason: Reason },
    body: PolicyText,
    bodyText: 'application/yaml',
    isConditional: 'when-there',
    answers: { ...PUT, ...WAITS },
    handle: async (call) => {
      const before = await call.catalog.policies.byName(call.tenant.id, call.params['policy']!);
      const level = call.query.level ?? before?.level ?? 'asset';
      if (before !== undefined && before.level !== level) throw fieldFault('query/level', `cannot change: it is "${before.level}"`);
      const scope = level === 'tenant' ? { scope: call.tenant.id } : {};
      const after = readPut(call, before, { tenantId: call.tenant.id, level, ...scope });
      const source = { tables: call.catalog, shipped: call.shippedPolicies };
      refuseContradictions(await baseFound(contradictionsOf(source, call.tenant, after)));
      const weaker = await weakeningsOf(source, call.tenant, after);
      if (weaker.length === 0) return store(call, before, after);
      const { reason } = call.query;
      const messages = weaker.map(({ message }) => message);
      if (reason === undefined)
        throw fieldFault(
          'query/reason',
          `is missing: it promises less (${messages.slice(0, 5).join('; ')}), and a second person has to approve it`,
        );
      const base = before === undefined ? { policy: after } : { policyId: before.id, baseVersion: before.version };
      const request = { change: 'policy', ...base, name: after.name, text: after.text, weaker: messages };
      return requestApproval(call, { action: 'policy.weaken', request, reason });
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/tenants/{tenant}/policies/{policy}',
    name: 'deletePolicy',
    tag: 'policies',
    summary: 'Delete a policy that no asset names; one for the whole tenant needs a second person',
    action: 'policy.change',
    query: { reason: Reason },
    isConditional: true,
    answers: { 204: { description: 'Deleted' }, ...WAITS },
    handle: async (call) => {
      const policy = await policyOf(call);
      checkVersion(call, policy);
      const below = await extendedBy({ tables: call.catalog, shipped: call.shippedPolicies }, policy);
      if (below.length > 0)
        throw new Fault('REQUEST_CONFLICT', `Other policies extend it and would promise less: ${below.slice(0, 5).join(', ')}`);
      if (policy.level === 'asset') return remove(call, policy);
      if (call.query.reason === undefined) throw fieldFault('query/reason', 'is missing: a second person has to approve it');
      const request = { change: 'delete-policy', policyId: policy.id, name: policy.name, baseVersion: policy.version };
      return requestApproval(call, { action: 'policy.weaken', request, reason: call.query.reason });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/assets/{asset}/policy',
    name: 'getEffectivePolicy',
    tag: 'policies',
    summary: 'What is in force for an asset: city, district, tenant and its own policy put together, and who said what',
    action: 'policy.read',
    answers: { 200: { description: 'In force', schema: InForce } },
    handle: async (call) => {
      const asset = await call.catalog.assets.get(call.tenant.id, call.params['asset']!);
      if (asset === undefined) throw notFound();
      return {
        status: 200,
        body: await policyInForce({ tables: call.catalog, shipped: call.shippedPolicies }, call.tenant, asset),
      };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/policies',
    name: 'listProviderPolicies',
    tag: 'policies',
    summary: 'List the policies of cities and districts',
    action: 'provider.policy.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: (call) => answerPage(call, 'policies', (page) => call.catalog.policies.list(undefined, page)),
  }),
  route({
    method: 'GET',
    path: '/v1/policies/{policy}',
    name: 'getProviderPolicy',
    tag: 'policies',
    summary: 'Show a policy of a city or district',
    action: 'provider.policy.read',
    answers: ONE,
    handle: async (call) => answerVersioned(await policyOf(call)),
  }),
  route({
    method: 'PUT',
    path: '/v1/policies/{policy}',
    name: 'putProviderPolicy',
    tag: 'policies',
    summary: 'Make or tighten a policy of a city or district',
    description: 'It may promise more than before, never less: nobody outside of a tenant takes away what it was promised.',
    action: 'provider.policy.change',
    query: {
      level: Type.Optional(Type.Union([Type.Literal('city'), Type.Literal('district')])),
      scope: Type.Optional(
        Type.String({ pattern: '^[a-z0-9-]{1,63}(?:/[a-z0-9-]{1,63})?$', description: 'a city, or "city/district"' }),
      ),
    },
    body: PolicyText,
    bodyText: 'application/yaml',
    isConditional: 'when-there',
    answers: PUT,
    handle: async (call) => {
      const before = await call.catalog.policies.byName(undefined, call.params['policy']!);
      const level = call.query.level ?? before?.level;
      const scope = call.query.scope ?? before?.scope;
      if (level === undefined || scope === undefined) throw fieldFault('query', 'needs level and scope of a new policy');
      if (scope.includes('/') !== (level === 'district'))
        throw fieldFault('query/scope', 'is a city, or for a district "city/district"');
      if (before !== undefined && (before.level !== level || before.scope !== scope))
        throw fieldFault('query', 'level and scope cannot change');
      const after = readPut(call, before, { level, scope });
      const source = { tables: call.catalog, shipped: call.shippedPolicies };
      refuseContradictions(await baseFound(contradictionsOfProvider(source, after)));
      const [weaker] = await weakeningsOfProvider(source, after);
      if (weaker !== undefined)
        throw new Fault(
          'REQUEST_CONFLICT',
          `It promises less than before, which a policy of the provider may not: ${weaker.message}`,
        );
      return store(call, before, after);
    },
  }),
];

type Place = Pick<StoredPolicy, 'level' | 'tenantId' | 'scope'>;

/** The policy as it is to be stored, once its text and If-Match were checked. */
function readPut(call: Call<unknown, { readonly text: string }>, before: StoredPolicy | undefined, place: Place): StoredPolicy {
  const name = call.params['policy']!;
  checkPut(call, 'policy', before);
  const { document } = readDocument(call.body.text);
  if (document.name !== name) throw fieldFault('body/text/name', `is "${document.name}", and the address says "${name}"`);
  return {
    ...place,
    id: before?.id ?? newId('policy', call.at, call.random),
    name,
    text: call.body.text,
    version: before?.version ?? 1,
    changedAt: instantOf(call.at),
    changedBy: call.actor,
  };
}

async function store(call: Call, before: StoredPolicy | undefined, after: StoredPolicy): Promise<Answer> {
  const line = {
    action: before === undefined ? 'policy.create' : 'policy.change',
    subject: after.id,
    details: { name: after.name, text: after.text },
  };
  return call.change(
    line,
    async ({ policies }) => {
      if (before !== undefined) return answerVersioned(changed(await policies.change(after)));
      if ((await policies.add(after)) === 'exists')
        throw new Fault('REQUEST_CONFLICT', `There is a policy "${after.name}" already`);
      return answerVersioned(after, 201);
    },
    () => call.wake(),
  );
}

async function remove(call: Call, { id, name, version }: StoredPolicy): Promise<Answer> {
  return call.change({ action: 'policy.delete', subject: id, details: { name } }, async ({ policies }) => {
    const outcome = await policies.delete(id, version);
    if (outcome === 'in-use') throw new Fault('REQUEST_CONFLICT', 'Assets name this policy; attach another one to them first');
    if (outcome === 'missing') throw notFound();
    if (outcome === 'stale') throw new Fault('REQUEST_STALE', 'It is of another version by now');
    return { status: 204 };
  });
}

/** Also one that the provider offers, when the tenant has none of its name. */
async function visiblePolicyOf({ catalog, params, tenant }: Call): Promise<StoredPolicy> {
  const policy = await attachablePolicy(catalog, tenant.id, params['policy']!);
  if (policy === undefined) throw notFound();
  return policy;
}

/** Two lists, one behind the other. */
async function ownThenOffered({ catalog: { policies }, tenant }: Call, { after, limit }: PageRequest): Promise<Page<StoredPolicy>> {
  const [phase = 'own', position] = after?.split(':') ?? [];
  const page = { limit, ...(position === undefined || position === '' ? {} : { after: position }) };
  if (phase === 'own') {
    const { items, next } = await policies.list(tenant.id, page);
    return { items, next: next === undefined ? 'offered:' : `own:${next}` };
  }
  const { items, next } = await policies.list(undefined, page);
  return { items: items.filter(({ level }) => level === 'asset'), ...(next === undefined ? {} : { next: `offered:${next}` }) };
}

async function policyOf({ catalog, params, tenant }: Call): Promise<StoredPolicy> {
  const policy = await catalog.policies.byName(tenant?.id, params['policy']!);
  if (policy === undefined) throw notFound();
  return policy;
}

function answerText({ text, version }: StoredPolicy): Answer {
  return { status: 200, body: text, headers: { etag: `"${version}"`, 'content-type': 'application/yaml; charset=utf-8' } };
}

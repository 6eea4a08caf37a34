// Tenants: made and given their quota by the provider's system administrator; where requests may come from is their owner's.

import type { Static } from 'typebox';
import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import { ErasureCertificate } from '../../model/erasure.ts';
import { Label, Name, newId } from '../../model/identifier.ts';
import { instantOf } from '../../model/instant.ts';
import { Quota, Tenant } from '../../model/tenant.ts';
import { isSourceAllowed, wrongBlocks } from '../../trust/allowed-sources.ts';
import { certificateSetting } from '../../trust/erasure-certificate.ts';
import { approvalAnswer, ReasonBody } from '../approval-answer.ts';
import { requestApproval } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import { fieldFault, notFound } from '../problem.ts';
import { route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { answerVersioned, changed, checkVersion } from '../versioned.ts';

const NewTenant = Type.Object(
  { name: Name, label: Label, city: Type.Optional(Name), district: Type.Optional(Name), quota: Type.Optional(Quota) },
  { additionalProperties: false, $id: 'NewTenant' },
);
const TenantChange = Type.Object(
  {
    label: Type.Optional(Label),
    quota: Type.Optional(Quota),
    state: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('suspended')])),
  },
  { additionalProperties: false, minProperties: 1, $id: 'TenantChange' },
);
const Sources = Type.Object(
  { allowedSources: Tenant.properties.allowedSources },
  { additionalProperties: false, $id: 'AllowedSources' },
);

const ONE = { 200: { description: 'The tenant', schema: Tenant, headers: { ETag: 'its version' } } };

const Erase = Type.Object(
  {
    ...ReasonBody.properties,
    handedOver: Type.String({
      minLength: 1,
      maxLength: 2000,
      description: 'what of the data was handed over, and to whom; it stands on the certificate',
    }),
  },
  { additionalProperties: false, $id: 'Erase' },
);
const CertificateList = Type.Object(
  { items: Type.Array(ErasureCertificate) },
  { additionalProperties: false, $id: 'CertificateList' },
);

export const TENANT_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants',
    name: 'listTenants',
    tag: 'tenants',
    summary: 'List all tenants',
    description: 'For the administrators of the provider. Others see theirs at /v1/me.',
    action: 'provider.tenant.list',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Tenant) } },
    handle: (call) => answerPage(call, 'tenants', (page) => call.catalog.tenants.list(page)),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants',
    name: 'createTenant',
    tag: 'tenants',
    summary: 'Make a tenant and its repository',
    action: 'provider.tenant.create',
    body: NewTenant,
    isIdempotent: true,
    answers: { 201: { description: 'Made', schema: Tenant, headers: { ETag: 'its version' } } },
    handle: async (call) => {
      const { body, at, random } = call;
      const tenant = newTenant(body, newId('tenant', at, random), instantOf(at));
      return call.change(
        { action: 'tenant.create', subject: tenant.id, details: { name: tenant.name } },
        async ({ tenants }) => {
          if ((await tenants.add(tenant)) === 'exists')
            throw new Fault('REQUEST_CONFLICT', `There is a tenant "${tenant.name}" already`);
          return answerVersioned(tenant, 201);
        },
        // Interrupted, it is taken up when the request is repeated.
        (answer) => call.tenants.create(answer.body as Tenant),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}',
    name: 'getTenant',
    tag: 'tenants',
    summary: 'Show a tenant',
    action: 'tenant.read',
    answers: ONE,
    handle: async ({ tenant }) => answerVersioned(tenant),
  }),
  route({
    method: 'PATCH',
    path: '/v1/tenants/{tenant}',
    name: 'changeTenant',
    tag: 'tenants',
    summary: 'Change label, quota or state of a tenant',
    action: 'provider.tenant.change',
    body: TenantChange,
    isConditional: true,
    answers: ONE,
    handle: async (call) =>
      call.change({ action: 'tenant.change', subject: call.tenant.id, details: call.body }, async ({ tenants }) => {
        const before = await tenants.get(call.tenant.id);
        if (before === undefined) throw notFound();
        checkVersion(call, before);
        if (before.state === 'closed') throw new Fault('REQUEST_CONFLICT', 'A closed tenant does not change any more');
        return answerVersioned(changed(await tenants.change({ ...before, ...call.body })));
      }),
  }),
  route({
    method: 'PUT',
    path: '/v1/tenants/{tenant}/allowed-sources',
    name: 'setAllowedSources',
    tag: 'tenants',
    summary: 'Say from which addresses people, tokens and agents may come',
    description: 'CIDR blocks of IPv4 and IPv6; none: from everywhere. A list that shuts out who sends it is refused.',
    action: 'tenant.change-sources',
    body: Sources,
    isConditional: true,
    answers: ONE,
    handle: async (call) => {
      const { allowedSources } = call.body;
      const wrong = wrongBlocks(allowedSources);
      if (wrong.length > 0)
        throw fieldFault('body/allowedSources', `has entries that are no CIDR blocks: ${wrong.slice(0, 5).join(', ')}`);
      if (!isSourceAllowed(allowedSources, call.source))
        throw fieldFault('body/allowedSources', `does not hold your own address, ${call.source}`);
      return call.change(
        { action: 'tenant.change-sources', subject: call.tenant.id, details: { allowedSources } },
        async ({ tenants }) => {
          const before = await tenants.get(call.tenant.id);
          if (before === undefined) throw notFound();
          checkVersion(call, before);
          return answerVersioned(changed(await tenants.change({ ...before, allowedSources })));
        },
      );
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/close',
    name: 'closeTenant',
    tag: 'tenants',
    summary: 'Ask for the end of a tenant; a second person approves',
    action: 'tenant.close',
    body: ReasonBody,
    isIdempotent: true,
    answers: approvalAnswer,
    handle: async (call) =>
      requestApproval(call, { action: 'tenant.close', request: { tenantId: call.tenant.id }, reason: call.body.reason }),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/erase',
    name: 'eraseTenant',
    tag: 'tenants',
    summary: 'Ask for the destruction of the key of a closed tenant; a second person approves',
    description:
      'Nothing that it has stored can be opened afterwards. An owner asks, or the system administrator of the provider; another owner approves. Then a run of the kind "erase" waits, and can be canceled until it begins.',
    action: 'tenant.erase',
    isForClosed: true,
    body: Erase,
    isIdempotent: true,
    answers: approvalAnswer,
    handle: async (call) => {
      const { id, state, name } = call.tenant;
      if (state !== 'closed') throw new Fault('REQUEST_CONFLICT', `The tenant ${name} is ${state}; it has to be closed first`);
      if ((await call.catalog.settings.get(certificateSetting(id))) !== undefined)
        throw new Fault('REQUEST_CONFLICT', `The key of the tenant ${name} is destroyed already; see its certificate`);
      const { reason, handedOver } = call.body;
      return requestApproval(call, { action: 'tenant.erase', request: { tenantId: id, handedOver }, reason });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/certificates',
    name: 'listCertificates',
    tag: 'tenants',
    summary: 'Show the certificate that the key of the tenant was destroyed, once it was',
    description: 'Signed with the key that signs the audit. "holdfast certificate verify" needs nothing but it and the public key.',
    action: 'tenant.read',
    answers: { 200: { description: 'None or one', schema: CertificateList } },
    handle: async ({ catalog, tenant }) => {
      const text = await catalog.settings.get(certificateSetting(tenant.id));
      return { status: 200, body: { items: text === undefined ? [] : [JSON.parse(text)] } };
    },
  }),
];

function newTenant(body: Static<typeof NewTenant>, id: string, createdAt: string): Tenant {
  const { name, label, city, district, quota = {} } = body;
  return {
    id,
    name,
    label,
    ...(city === undefined ? {} : { city }),
    ...(district === undefined ? {} : { district }),
    quota,
    allowedSources: [],
    state: 'active',
    createdAt,
    version: 1,
  };
}

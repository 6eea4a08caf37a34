// Service tokens: of a tenant by its owner, any by the security administrator. The secret is in the answer to the POST, and nowhere else.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import { Label, newId } from '../../model/identifier.ts';
import { instantOf } from '../../model/instant.ts';
import { Grant, type Role, TENANT_ROLES, Token } from '../../model/principal.ts';
import { faultOfGrants } from '../../trust/roles.ts';
import { expiryOf, newSecret, TOKEN_DAYS_DEFAULT, TOKEN_DAYS_MAX } from '../../trust/tokens.ts';
import { answerPage } from '../page.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';

const closed = { additionalProperties: false } as const;
const Days = Type.Optional(Type.Integer({ minimum: 1, maximum: TOKEN_DAYS_MAX, description: `of life (${TOKEN_DAYS_DEFAULT})` }));
const TenantRole = Type.Unsafe<Role>(Type.Union(TENANT_ROLES.map((role) => Type.Literal(role))));
const NewTenantToken = Type.Object(
  { label: Label, roles: Type.Array(TenantRole, { minItems: 1, maxItems: 5, uniqueItems: true }), days: Days },
  { ...closed, $id: 'NewTenantToken' },
);
const NewToken = Type.Object(
  { label: Label, grants: Type.Array(Grant, { minItems: 1, maxItems: 20 }), days: Days },
  { ...closed, $id: 'NewToken' },
);
const TokenWithSecret = Type.Object(
  { token: Token, secret: Type.String({ description: 'shown this once' }) },
  { ...closed, $id: 'TokenWithSecret' },
);
const MADE = { 201: { description: 'Made', schema: TokenWithSecret } };
const LIST = { 200: { description: 'A page', schema: pageSchema(Token) } };
const ONE = { 200: { description: 'The token', schema: Token } };
const GONE = { 204: { description: 'It counts no more' } };

export const TOKEN_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/tokens',
    name: 'listTenantTokens',
    tag: 'tokens',
    summary: 'List the service tokens with a role in the tenant',
    action: 'token.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: (call) =>
      answerPage(
        call,
        'tokens',
        (page) => call.catalog.tokens.list(page, call.tenant.id),
        (token) => asSeenBy(token, call.tenant.id),
      ),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/tokens',
    name: 'createTenantToken',
    tag: 'tokens',
    summary: 'Make a service token for the tenant',
    action: 'token.change',
    body: NewTenantToken,
    isIdempotent: 'once',
    answers: MADE,
    handle: async (call) =>
      createToken(
        call,
        call.body.label,
        call.body.roles.map((role) => ({ role, tenantId: call.tenant.id })),
        call.body.days,
      ),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/tokens/{token}',
    name: 'getTenantToken',
    tag: 'tokens',
    summary: 'Show a service token',
    action: 'token.read',
    answers: ONE,
    handle: async (call) => ({ status: 200, body: asSeenBy(await tokenOfTenant(call), call.tenant.id) }),
  }),
  route({
    method: 'DELETE',
    path: '/v1/tenants/{tenant}/tokens/{token}',
    name: 'revokeTenantToken',
    tag: 'tokens',
    summary: 'Revoke a service token at once',
    action: 'token.change',
    answers: GONE,
    handle: async (call) => {
      const token = await tokenOfTenant(call);
      if (token.grants.some(({ tenantId }) => tenantId !== call.tenant.id))
        throw new Fault('REQUEST_CONFLICT', 'This token has roles elsewhere; the security administrator revokes it');
      return revoke(call, token.id);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tokens',
    name: 'listTokens',
    tag: 'tokens',
    summary: 'List all tokens and sessions',
    action: 'provider.token.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: (call) => answerPage(call, 'tokens', (page) => call.catalog.tokens.list(page)),
  }),
  route({
    method: 'POST',
    path: '/v1/tokens',
    name: 'createToken',
    tag: 'tokens',
    summary: 'Make a service token with roles of the provider or of tenants',
    action: 'provider.token.change',
    body: NewToken,
    isIdempotent: 'once',
    answers: MADE,
    handle: async (call) => {
      const { label, grants, days } = call.body;
      const wrong = faultOfGrants(grants);
      if (wrong !== undefined) throw fieldFault('body/grants', wrong);
      for (const { tenantId } of grants)
        if (tenantId !== undefined && (await call.catalog.tenants.get(tenantId)) === undefined)
          throw fieldFault('body/grants', `names no tenant: ${tenantId}`);
      return createToken(call, label, grants, days);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tokens/{token}',
    name: 'getToken',
    tag: 'tokens',
    summary: 'Show any token',
    action: 'provider.token.read',
    answers: ONE,
    handle: async ({ catalog, params }) => {
      const token = await catalog.tokens.get(params['token']!);
      if (token === undefined) throw notFound();
      return { status: 200, body: token };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/tokens/{token}',
    name: 'revokeToken',
    tag: 'tokens',
    summary: 'Revoke any token or session at once',
    action: 'provider.token.change',
    answers: GONE,
    handle: async (call) => {
      const token = await call.catalog.tokens.get(call.params['token']!);
      if (token === undefined) throw notFound();
      return revoke(call, token.id);
    },
  }),
];

async function createToken(call: Call, label: string, grants: readonly Grant[], days = TOKEN_DAYS_DEFAULT): Promise<Answer> {
  const { secret, digest } = newSecret(call.random);
  const token: Token = {
    id: newId('token', call.at, call.random),
    label,
    grants: [...grants],
    createdBy: call.actor,
    createdAt: instantOf(call.at),
    expiresAt: expiryOf(call.at, days),
  };
  return call.change(
    { action: 'token.create', subject: token.id, details: { label, grants, expiresAt: token.expiresAt } },
    async ({ tokens }) => {
      await tokens.add(token, digest);
      return { status: 201, body: { token, secret } };
    },
  );
}

async function revoke(call: Call, id: string): Promise<Answer> {
  return call.change({ action: 'token.revoke', subject: id }, async ({ tokens }) => {
    // Twice is as good as once.
    await tokens.revoke(id, instantOf(call.at));
    return { status: 204 };
  });
}

async function tokenOfTenant({ catalog, params, tenant }: Call): Promise<Token> {
  const token = await catalog.tokens.get(params['token']!);
  if (token === undefined || !token.grants.some(({ tenantId }) => tenantId === tenant.id)) throw notFound();
  return token;
}

function asSeenBy(token: Token, tenantId: string): Token {
  return { ...token, grants: token.grants.filter((grant) => grant.tenantId === tenantId) };
}

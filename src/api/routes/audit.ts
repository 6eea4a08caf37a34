// The audit: who did what to what, from where, and how it ended; and the proof that no line was removed or changed.

import { Type } from '../../base/type.ts';
import { AuditEntry } from '../../model/audit-entry.ts';
import { PAGE_ITEMS_MAX } from '../../model/page.ts';
import { type Answer, type Call, route } from '../route.ts';

const QUERY = {
  since: Type.Optional(Type.Integer({ minimum: 0, description: 'sequence after which to begin' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_ITEMS_MAX })),
};
const AuditList = Type.Object(
  { items: Type.Array(AuditEntry), next: Type.Integer({ description: '"since" of the next request' }) },
  { additionalProperties: false, $id: 'AuditList' },
);
const AuditProof = Type.Object(
  {
    state: Type.Union([Type.Literal('whole'), Type.Literal('broken')]),
    entries: Type.Optional(Type.Integer({ description: 'that were followed' })),
    checkpoints: Type.Optional(Type.Integer({ description: 'signed ones that it was held against' })),
    sequence: Type.Optional(Type.Integer({ description: 'the first place where it does not hold' })),
    what: Type.Optional(Type.String()),
  },
  { additionalProperties: false, $id: 'AuditProof' },
);
const LIMIT_DEFAULT = 100;
const LIST = { 200: { description: 'Entries after `since`', schema: AuditList } };
const PROOF = { 200: { description: 'Whether the chain holds, from its first entry to its last', schema: AuditProof } };

export const AUDIT_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/audit',
    name: 'listTenantAudit',
    tag: 'audit',
    summary: 'Read the audit of the tenant, the oldest first',
    action: 'audit.read',
    query: QUERY,
    answers: LIST,
    handle: (call) => list(call, call.tenant.id),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/audit/verify',
    name: 'verifyTenantAudit',
    tag: 'audit',
    summary: 'Prove that no line of the audit was removed or changed',
    action: 'audit.read',
    isLong: true,
    answers: PROOF,
    handle: (call) => prove(call),
  }),
  route({
    method: 'GET',
    path: '/v1/audit',
    name: 'listAudit',
    tag: 'audit',
    summary: 'Read the whole audit, the oldest first',
    action: 'provider.audit.read',
    query: QUERY,
    answers: LIST,
    handle: (call) => list(call, undefined),
  }),
  route({
    method: 'GET',
    path: '/v1/audit/verify',
    name: 'verifyAudit',
    tag: 'audit',
    summary: 'Prove that no line of the audit was removed or changed',
    action: 'provider.audit.read',
    isLong: true,
    answers: PROOF,
    handle: (call) => prove(call),
  }),
];

type Query = { readonly since?: number; readonly limit?: number };

async function list({ catalog, query }: Call<Query>, tenantId: string | undefined): Promise<Answer> {
  const { since = 0, limit = LIMIT_DEFAULT } = query;
  const items = await catalog.audit.after(since, tenantId, limit);
  return { status: 200, body: { items, next: items.at(-1)?.sequence ?? since } };
}

async function prove({ auditProver }: Call): Promise<Answer> {
  const verdict = await auditProver.prove();
  if (verdict.kind === 'broken') return { status: 200, body: { state: 'broken', sequence: verdict.sequence, what: verdict.what } };
  return { status: 200, body: { state: 'whole', entries: verdict.entries, checkpoints: verdict.checkpoints } };
}

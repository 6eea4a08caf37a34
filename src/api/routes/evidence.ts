// Evidence of drills and failovers: what its packs say, their very bytes for whoever verifies them offline, and a page for people.

import { Type } from '../../base/type.ts';
import { decodePack } from '../../evidence/pack.ts';
import { renderReport } from '../../evidence/report.ts';
import { Evidence, PACK_FILE } from '../../model/evidence.ts';
import { PLAN_RUN_KINDS, type PlanRunKind } from '../../model/failover-kind.ts';
import { Name } from '../../model/identifier.ts';
import { answerPage } from '../page.ts';
import { notFound } from '../problem.ts';
import { type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';

/** It is a page of its own, with its own style and nothing else. */
const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";
const kindSchema = Type.Unsafe<PlanRunKind>(Type.Union(PLAN_RUN_KINDS.map((kind) => Type.Literal(kind))));

export const EVIDENCE_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/evidence',
    name: 'listEvidence',
    tag: 'evidence',
    summary: 'List the evidence of drills and failovers, what came last first',
    action: 'evidence.read',
    query: { ...PAGE_QUERY, plan: Type.Optional(Name), kind: Type.Optional(kindSchema) },
    answers: { 200: { description: 'A page', schema: pageSchema(Evidence) } },
    handle: (call) => {
      const { plan, kind } = call.query;
      const filter = { ...(plan === undefined ? {} : { plan }), ...(kind === undefined ? {} : { kind }) };
      return answerPage(call, `evidence ${JSON.stringify(filter)}`, (page) =>
        call.catalog.evidence.list(call.tenant.id, filter, page),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/evidence/{evidence}',
    name: 'getEvidence',
    tag: 'evidence',
    summary: 'Show what an evidence says, and who signed it',
    action: 'evidence.read',
    answers: { 200: { description: 'The evidence', schema: Evidence } },
    handle: async (call) => ({ status: 200, body: await evidenceOf(call) }),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/evidence/{evidence}/file',
    name: 'getEvidenceFile',
    tag: 'evidence',
    summary:
      'A file of an evidence, byte by byte: the signed pack, or what lies beside it. "holdfast evidence verify" wants all of them',
    action: 'evidence.read',
    query: { name: Type.Optional(Type.String({ maxLength: 255, description: `one of its files (${PACK_FILE})` })) },
    answers: { 200: { description: 'The file', schema: Type.String(), media: 'application/octet-stream' } },
    handle: async (call) => {
      const { id } = await evidenceOf(call);
      const content = await call.catalog.evidence.file(call.tenant.id, id, call.query.name ?? PACK_FILE);
      if (content === undefined) throw notFound();
      return { status: 200, body: Buffer.from(content), headers: { 'content-type': 'application/octet-stream' } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/evidence/{evidence}/report',
    name: 'getEvidenceReport',
    tag: 'evidence',
    summary: 'An evidence as a page for people, with the timeline drawn, fit for printing',
    action: 'evidence.read',
    query: {
      lang: Type.Optional(Type.Union([Type.Literal('zh'), Type.Literal('en')], { description: 'Chinese or English (en)' })),
    },
    answers: { 200: { description: 'HTML', schema: Type.String(), media: 'text/html' } },
    handle: async (call) => {
      const { id } = await evidenceOf(call);
      const content = await call.catalog.evidence.file(call.tenant.id, id, PACK_FILE);
      if (content === undefined) throw notFound();
      const pack = decodePack(JSON.parse(Buffer.from(content).toString('utf8')));
      const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': PAGE_POLICY };
      return { status: 200, body: renderReport(pack, call.query.lang ?? 'en'), headers };
    },
  }),
];

async function evidenceOf({ catalog, tenant, params }: Call): Promise<Evidence> {
  const evidence = await catalog.evidence.get(tenant.id, params['evidence']!);
  if (evidence === undefined) throw notFound();
  return evidence;
}

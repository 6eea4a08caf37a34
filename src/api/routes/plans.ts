// Plans of disaster recovery as text, every version of them. A plan that promises, proves or asks less than before waits for a second person.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import { Approval } from '../../model/approval.ts';
import { instantOf } from '../../model/instant.ts';
import { StoredPlan } from '../../model/plan.ts';
import { planDiff } from '../../plan/plan-diff.ts';
import { planDigest } from '../../plan/plan-digest.ts';
import type { PlanDocument } from '../../plan/plan-document.ts';
import { PLAN_TEXT_BYTES_MAX, parsePlan, readPlan } from '../../plan/read-plan.ts';
import { renderRunbook } from '../../plan/runbook.ts';
import { requestApproval } from '../approved-actions.ts';
import { answerPage } from '../page.ts';
import { FieldFault, fieldFault, notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { answerVersioned, checkPut, checkVersion } from '../versioned.ts';

const PlanText = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: PLAN_TEXT_BYTES_MAX, description: 'YAML; see policies/plan.schema.json' }) },
  { additionalProperties: false, $id: 'PlanText' },
);
const VERSION = {
  version: Type.Optional(Type.Integer({ minimum: 1, description: 'a version that was; absent: the one in force' })),
};
const REASON = {
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 1000, description: 'for the approval, when one is needed' })),
};
const ONE = { 200: { description: 'The plan', schema: StoredPlan, headers: { ETag: 'its version' } } };
const LIST = { 200: { description: 'A page', schema: pageSchema(StoredPlan) } };
const WAITS = { 202: { description: 'It asks or promises less than before: it waits for a second person', schema: Approval } };

export const PLAN_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/plans',
    name: 'listPlans',
    tag: 'plans',
    summary: 'List the plans of disaster recovery, with what the last look at each found',
    action: 'plan.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: (call) => answerPage(call, 'plans', (page) => call.catalog.plans.list(call.tenant.id, page)),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/plans/{plan}',
    name: 'getPlan',
    tag: 'plans',
    summary: 'Show a plan',
    action: 'plan.read',
    query: VERSION,
    answers: ONE,
    handle: async (call) => answerVersioned(await planOf(call, call.query.version)),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/plans/{plan}/versions',
    name: 'listPlanVersions',
    tag: 'plans',
    summary: 'List every version that a plan had, the newest first, also of one that was deleted',
    action: 'plan.read',
    query: PAGE_QUERY,
    answers: LIST,
    handle: async (call) => {
      const name = call.params['plan']!;
      const page = (request: Parameters<typeof call.catalog.plans.versions>[2]) =>
        call.catalog.plans.versions(call.tenant.id, name, request);
      if ((await page({ limit: 1 })).items.length === 0) throw notFound();
      return answerPage(call, `plan-versions ${name}`, page);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/plans/{plan}/runbook',
    name: 'getRunbook',
    tag: 'plans',
    summary: 'The runbook of a plan, for people: every line of it is a step that is carried out',
    action: 'plan.read',
    query: {
      ...VERSION,
      lang: Type.Optional(Type.Union([Type.Literal('zh'), Type.Literal('en')], { description: 'Chinese or English (en)' })),
    },
    answers: { 200: { description: 'Markdown', schema: Type.String(), media: 'text/markdown' } },
    handle: async (call) => {
      const plan = await planOf(call, call.query.version);
      const body = renderRunbook(parsePlan(plan.text, plan.name), call.query.lang ?? 'en');
      return { ...answerVersioned(plan, 200, body), headers: { 'content-type': 'text/markdown; charset=utf-8' } };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/tenants/{tenant}/plans/{plan}',
    name: 'putPlan',
    tag: 'plans',
    summary: 'Make or replace a plan',
    description:
      'To replace one, send its ETag in If-Match, and raise the version that the plan itself says; "If-None-Match: *" replaces none.',
    action: 'plan.change',
    query: REASON,
    body: PlanText,
    bodyText: 'application/yaml',
    isConditional: 'when-there',
    answers: { ...ONE, 201: { ...ONE[200], description: 'Made' }, ...WAITS },
    handle: async (call) => {
      const before = await call.catalog.plans.byName(call.tenant.id, call.params['plan']!);
      const after = readPut(call, before);
      const plan: StoredPlan = {
        tenantId: call.tenant.id,
        name: after.name,
        version: after.version,
        text: call.body.text,
        digest: planDigest(after),
        changedAt: instantOf(call.at),
        changedBy: call.actor,
      };
      const differences = before === undefined ? [] : planDiff(parsePlan(before.text, before.name), after);
      const weaker = differences.filter(({ effect }) => effect === 'weaker').map(({ field }) => field);
      if (weaker.length === 0) return store(call, before, plan);
      await refuseLower(call, plan);
      const { reason } = call.query;
      if (reason === undefined)
        throw fieldFault(
          'query/reason',
          `is missing: it asks or promises less (${weaker.slice(0, 5).join(', ')}), and a second person has to approve it`,
        );
      const request = { change: 'plan', name: plan.name, plan, baseVersion: before!.version, weaker };
      return requestApproval(call, { action: 'plan.weaken', request, reason });
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/tenants/{tenant}/plans/{plan}',
    name: 'deletePlan',
    tag: 'plans',
    summary: 'Ask for the end of a plan; a second person approves. Its versions stay',
    action: 'plan.change',
    query: REASON,
    isConditional: true,
    answers: WAITS,
    handle: async (call) => {
      const plan = await planOf(call);
      checkVersion(call, plan);
      if (call.query.reason === undefined) throw fieldFault('query/reason', 'is missing: a second person has to approve it');
      const request = { change: 'delete-plan', name: plan.name, baseVersion: plan.version };
      return requestApproval(call, { action: 'plan.weaken', request, reason: call.query.reason });
    },
  }),
];

/** Of the path: the one in force, or a version that was. */
export async function planOf({ catalog, tenant, params }: Call, version?: number): Promise<StoredPlan> {
  const name = params['plan']!;
  const { plans } = catalog;
  const plan = version === undefined ? await plans.byName(tenant.id, name) : await plans.version(tenant.id, name, version);
  if (plan === undefined) throw notFound();
  return plan;
}

function readPut(call: Call<unknown, { readonly text: string }>, before: StoredPlan | undefined): PlanDocument {
  const name = call.params['plan']!;
  checkPut(call, 'plan', before);
  const read = readPlan(call.body.text);
  if (read.kind === 'problems')
    throw new FieldFault(
      read.problems.slice(0, 20).map(({ line, column, field, message }) => ({
        field: `body/text${field === '' ? '' : `/${field.replaceAll('.', '/')}`}`,
        message: `(line ${line}, column ${column}) ${message}`,
      })),
    );
  if (read.plan.name !== name) throw fieldFault('body/text/name', `is "${read.plan.name}", and the address says "${name}"`);
  return read.plan;
}

async function store(call: Call, before: StoredPlan | undefined, plan: StoredPlan): Promise<Answer> {
  const { name, version, digest, text } = plan;
  const action = before === undefined ? 'plan.create' : 'plan.change';
  return call.change({ action, subject: name, details: { version, digest, text } }, async ({ plans }) => {
    const stored = await plans.put(plan, before?.version);
    if (stored === 'not-raised') throw notRaised(version);
    if (stored === 'stale') throw new Fault('REQUEST_STALE', 'It is of another version by now');
    return answerVersioned(stored, before === undefined ? 201 : 200);
  });
}

/** Before people are asked about it. */
async function refuseLower({ catalog, tenant }: Call, { name, version }: StoredPlan): Promise<void> {
  const [newest] = (await catalog.plans.versions(tenant.id, name, { limit: 1 })).items;
  if (newest !== undefined && newest.version >= version) throw notRaised(version);
}

function notRaised(version: number): Fault {
  return fieldFault(
    'body/text/version',
    `must be raised with every change: a plan of this name was of version ${version} or later`,
  );
}

// Drills: a plan is rehearsed on a host of the site that it leads to. What came of it is its run, and its evidence.

import type { Static } from 'typebox';
import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import { Name } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import type { StoredPlan } from '../../model/plan.ts';
import { Run } from '../../model/run.ts';
import type { RunKind } from '../../model/run-kind.ts';
import { parsePlan } from '../../plan/read-plan.ts';
import { agentAtSite, openPlanRun, planRun } from '../../scheduler/plan-runs.ts';
import { answerPage } from '../page.ts';
import { fieldFault } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { planOf } from './plans.ts';
import { locationOf } from './runs.ts';

const NewDrill = Type.Object(
  {
    plan: Type.String({ ...Name, description: 'the plan that is rehearsed' }),
    version: Type.Optional(Type.Integer({ minimum: 1, description: 'a version of it (the one in force)' })),
    at: Type.Optional(Type.String({ ...Instant, description: 'when the disaster is said to have happened (now)' })),
  },
  { additionalProperties: false, $id: 'NewDrill' },
);
type NewDrill = Static<typeof NewDrill>;

export const DRILL_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/drills',
    name: 'listDrills',
    tag: 'drills',
    summary: 'List the runs of drills, the newest first; see evidence for what they have proven',
    action: 'run.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Run) } },
    handle: (call) => answerPage(call, 'drills', (page) => call.catalog.runs.list(call.tenant.id, { kind: 'drill' }, page)),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/drills',
    name: 'startDrill',
    tag: 'drills',
    summary: 'Rehearse a plan where nothing of production can be reached, on a host of the site that it leads to',
    description:
      'It is followed, and canceled, as any run; one that is canceled is destroyed at once. A failover that is declared ends it.',
    action: 'drill.start',
    body: NewDrill,
    isIdempotent: true,
    answers: { 201: { description: 'Queued', schema: Run } },
    handle: async (call) => {
      const { plan: name, version, at } = call.body as NewDrill;
      const { plans } = call.catalog;
      const plan =
        version === undefined ? await plans.byName(call.tenant.id, name) : await plans.version(call.tenant.id, name, version);
      if (plan === undefined) throw fieldFault('body/plan', 'names no plan of this tenant, or a version that it never had');
      if (parsePlan(plan.text, name).drill === undefined)
        throw new Fault('REQUEST_CONFLICT', `The plan "${name}" says nothing of drills: it has no "drill"`);
      return queuePlanRun(call, plan, 'drill', at === undefined ? {} : { at });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/plans/{plan}/check',
    name: 'checkPlan',
    tag: 'plans',
    summary: 'Look now whether a plan could be carried out; what is found stands in its readiness',
    action: 'plan.check',
    isIdempotent: true,
    answers: { 201: { description: 'Queued', schema: Run } },
    handle: async (call) => queuePlanRun(call, await planOf(call), 'readiness', {}),
  }),
];

async function queuePlanRun(
  call: Call,
  plan: StoredPlan,
  kind: RunKind,
  parameters: Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const { at: now, random, actor, catalog, tenant } = call;
  const { target } = parsePlan(plan.text, plan.name).sites;
  const agent = await agentAtSite(catalog, tenant.id, target);
  if (agent === undefined)
    throw new Fault('REQUEST_CONFLICT', `No agent of this tenant is at the site "${target}"; start one there with --site-config`);
  const run = planRun({ plan, kind, agentId: agent.id, parameters, requestedBy: actor, now, random });
  const { name, version } = plan;
  const line = { action: `${kind}.start`, subject: run.id, details: { plan: name, version, digest: plan.digest } };
  return call.change(
    line,
    async (tables) => {
      const open = await openPlanRun(tables, plan, kind);
      if (open !== undefined) throw new Fault('REQUEST_CONFLICT', `One of it is under way already: ${open.id}`);
      const added = await tables.runs.add(run, instantOf(now));
      return { status: 201, body: added.run, headers: { location: locationOf(call, run.id) } };
    },
    () => call.wake(agent.id),
  );
}

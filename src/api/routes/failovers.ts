// Failovers: asked for by one, approved by as many others as the plan says, carried out by an agent, decided on by people while they run. Shown
// is the journal that the sites agree on, as it was last heard of.

import type { Static } from 'typebox';
import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { CatalogTables } from '../../catalog/catalog.ts';
import { Approval } from '../../model/approval.ts';
import { Failover, type FailoverOrder, isFailoverOver } from '../../model/failover.ts';
import { FAILOVER_KINDS, type FailoverKind } from '../../model/failover-kind.ts';
import { Id, Name, newId } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import { Run } from '../../model/run.ts';
import { isOver } from '../../model/run-state.ts';
import { parsePlan } from '../../plan/read-plan.ts';
import { ReasonBody } from '../approval-answer.ts';
import { addApproval, approvalFor, requestApproval } from '../approved-actions.ts';
import { agentFor, queueCarryOut, queueOrder } from '../failover-orders.ts';
import { withRefusal } from '../failover-refusal.ts';
import { answerPage } from '../page.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { locationOf } from './runs.ts';

const NewFailover = Type.Object(
  {
    plan: Type.String({ ...Name, description: 'the plan that is carried out' }),
    version: Type.Optional(Type.Integer({ minimum: 1, description: 'a version of it (the one in force)' })),
    kind: Type.Unsafe<FailoverKind>(Type.Union(FAILOVER_KINDS.map((kind) => Type.Literal(kind)))),
    reason: Failover.properties.reason,
    disaster: Type.Optional(Type.String({ ...Instant, description: 'when it is said to have happened (now)' })),
    agentId: Type.Optional(Type.String({ ...Id, description: 'who carries it out (one at the site that it goes to)' })),
  },
  { additionalProperties: false, $id: 'NewFailover' },
);
type NewFailover = Static<typeof NewFailover>;
const Decision = Type.Object(
  {
    action: Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: '^[^\\u0000-\\u001f]*$',
      description: 'what it waits for, as its journal names it',
    }),
    answer: Type.Union([Type.Literal('yes'), Type.Literal('no')]),
  },
  { additionalProperties: false, $id: 'FailoverDecision' },
);
const QUEUED = { 201: { description: 'Queued', schema: Run } };

export const FAILOVER_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/failovers',
    name: 'listFailovers',
    tag: 'failovers',
    summary: 'List failovers, the newest first',
    action: 'failover.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Failover) } },
    handle: (call) =>
      answerPage(call, 'failovers', async (page) => {
        const { items, ...rest } = await call.catalog.failovers.list(call.tenant.id, page);
        return { items: await Promise.all(items.map((one) => withRefusal(call.catalog, one))), ...rest };
      }),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/failovers/{failover}',
    name: 'getFailover',
    tag: 'failovers',
    summary: 'Show a failover: its state, when each transition took place, what it waits for, who has decided what',
    action: 'failover.read',
    answers: { 200: { description: 'The failover', schema: Failover } },
    handle: async (call) => ({ status: 200, body: await failoverOf(call) }),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers',
    name: 'requestFailover',
    tag: 'failovers',
    summary: 'Ask for a failover of a plan, planned or not, or for a failback; it waits for as many other people as the plan says',
    description:
      'Once they have approved it, it is declared and carried out at once. Nobody approves their own request, nor twice.',
    action: 'failover.request',
    body: NewFailover,
    isIdempotent: true,
    answers: { 202: { description: 'Nothing is changed yet: its approval waits', schema: Failover } },
    handle: requestFailover,
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers/{failover}/decisions',
    name: 'decideFailover',
    tag: 'failovers',
    summary: 'Say yes or no to what a failover waits for: a gate, a loss, a failure. Only a person who is logged in',
    action: 'failover.decide',
    body: Decision,
    isIdempotent: true,
    answers: QUEUED,
    handle: async (call) => {
      const { action, answer } = call.body as Static<typeof Decision>;
      const failover = await runningOf(call);
      const by = await personOf(call);
      return order(call, failover, { do: 'decide', action, answer, by }, { action, answer });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers/{failover}/undo',
    name: 'undoFailover',
    tag: 'failovers',
    summary: 'Undo a failover before the right to write was handed on; afterwards the way back is a failback',
    action: 'failover.decide',
    body: ReasonBody,
    isIdempotent: true,
    answers: QUEUED,
    handle: async (call) => {
      const { reason } = call.body as { readonly reason: string };
      return order(call, await runningOf(call), { do: 'undo', reason }, { reason });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers/{failover}/break-glass',
    name: 'breakGlass',
    tag: 'failovers',
    summary:
      'Ask to go on without proof that the old primary is fenced; it waits for as many other people as the plan says, two at least',
    description: 'If the old primary still writes, two histories begin. The failover and its evidence are marked for good.',
    action: 'failover.request',
    body: ReasonBody,
    isIdempotent: true,
    answers: { 202: { description: 'Nothing is changed yet: it waits for people', schema: Approval } },
    handle: async (call) => {
      const { reason } = call.body as { readonly reason: string };
      const failover = await runningOf(call);
      if (failover.state !== 'declared')
        throw new Fault('REQUEST_CONFLICT', `It is "${failover.state}": there is no glass to break`);
      const { approvals } = parsePlan((await planOf(call.catalog, failover)).text);
      const request = { failoverId: failover.id, plan: failover.plan };
      return requestApproval(call, { action: 'break-glass', request, reason, needed: approvals.breakGlass });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers/{failover}/resume',
    name: 'resumeFailover',
    tag: 'failovers',
    summary: 'Have a failover gone on with whose run has ended before it was finished, or by another agent while its own is silent',
    description: 'Any number of agents may carry out one failover: its journal goes through its states once.',
    action: 'failover.decide',
    query: { agentId: Type.Optional(Type.String({ ...Id, description: 'by this agent from now on' })) },
    isIdempotent: true,
    answers: QUEUED,
    handle: async (call) => {
      const failover = await failoverOf(call);
      if (failover.state === 'waiting' || isFailoverOver(failover.state)) throw notRunning(failover);
      const { agentId = failover.agentId } = call.query;
      const agent = await call.catalog.agents.get(agentId, call.tenant.id);
      if (agent?.state !== 'active' || agent.host.planSite === undefined)
        throw fieldFault('query/agentId', 'names no active agent of this tenant that has the configuration of a site');
      return resume(call, failover, agentId);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/failovers/{failover}/rejoin',
    name: 'rejoinFailover',
    tag: 'failovers',
    summary: 'Make the old primary a standby of the new one, after a failover; what only it had is exported first',
    action: 'failover.decide',
    isIdempotent: true,
    answers: QUEUED,
    handle: async (call) => {
      const failover = await failoverOf(call);
      if (failover.state !== 'normal') throw new Fault('REQUEST_CONFLICT', `The failover is "${failover.state}", not finished`);
      return order(call, failover, { do: 'rejoin' }, {});
    },
  }),
];

async function requestFailover(call: Call): Promise<Answer> {
  const { plan: name, version, kind, reason, disaster, agentId } = call.body as NewFailover;
  const { catalog, tenant, at, random, actor } = call;
  const stored =
    version === undefined ? await catalog.plans.byName(tenant.id, name) : await catalog.plans.version(tenant.id, name, version);
  if (stored === undefined) throw fieldFault('body/plan', 'names no plan of this tenant, or a version that it never had');
  const document = parsePlan(stored.text, name);
  const agent = agentId === undefined ? await agentFor(call, document, kind) : await catalog.agents.get(agentId, tenant.id);
  if (agentId !== undefined && agent === undefined) throw fieldFault('body/agentId', 'names no agent of this tenant');
  if (agent?.host.planSite === undefined || agent.state !== 'active')
    throw new Fault('REQUEST_CONFLICT', `No agent could carry it out: start one with --site-config at "${document.sites.target}"`);
  const id = newId('failover', at, random);
  const needed = kind === 'unplanned' ? document.approvals.unplanned : document.approvals.planned;
  const request = {
    failoverId: id,
    plan: name,
    version: stored.version,
    digest: stored.digest,
    kind,
    ...(disaster === undefined ? {} : { disaster }),
  };
  const approval = approvalFor(call, { action: 'failover', request, reason, needed });
  const failover: Failover = {
    id,
    tenantId: tenant.id,
    plan: name,
    planVersion: stored.version,
    planDigest: stored.digest,
    kind,
    reason,
    ...(disaster === undefined ? {} : { disaster }),
    agentId: agent.id,
    requestedBy: actor,
    requestedAt: instantOf(at),
    approvalId: approval.id,
    approvers: [],
    state: 'waiting',
  };
  const details = { plan: name, version: stored.version, digest: stored.digest, kind, reason, approval: approval.id };
  return call.change({ action: 'failover.request', subject: id, details }, async (tables) => {
    const newest = await tables.failovers.newest(tenant.id, name);
    if (newest !== undefined && (await isUnderWay(tables, newest)))
      throw new Fault('REQUEST_CONFLICT', `One of this plan is under way already: ${newest.id}`);
    await addApproval(tables, call, approval);
    await tables.failovers.add(failover);
    return { status: 202, body: failover };
  });
}

function resume(call: Call, failover: Failover, agentId: string): Promise<Answer> {
  const line = { action: 'failover.resume', subject: failover.id, details: { plan: failover.plan, agentId } };
  return call.change(
    line,
    async (tables) => {
      const now = (await tables.failovers.get(call.tenant.id, failover.id)) ?? failover;
      const run = now.runId === undefined ? undefined : await tables.runs.get(call.tenant.id, now.runId);
      if (run !== undefined && !isOver(run.state) && run.agentId === agentId)
        throw new Fault('REQUEST_CONFLICT', `It is being carried out: ${run.id}`);
      const queued = await queueCarryOut(tables, { ...now, agentId }, call);
      return { status: 201, body: queued, headers: { location: locationOf(call, queued.id) } };
    },
    () => call.wake(agentId),
  );
}

function order(call: Call, failover: Failover, what: FailoverOrder, said: Readonly<Record<string, unknown>>): Promise<Answer> {
  const line = { action: `failover.${what.do}`, subject: failover.id, details: { plan: failover.plan, ...said } };
  return call.change(
    line,
    async (tables) => {
      const run = await queueOrder(tables, failover, what, call);
      return { status: 201, body: run, headers: { location: locationOf(call, run.id) } };
    },
    () => call.wake(failover.agentId),
  );
}

async function failoverOf({ catalog, tenant, params }: Call): Promise<Failover> {
  const failover = await catalog.failovers.get(tenant.id, params['failover']!);
  if (failover === undefined) throw notFound();
  return withRefusal(catalog, failover);
}

/** One that could not be declared, or that the sites have left behind, keeps no other from being asked for: their registry knows better than we do. */
async function isUnderWay(tables: CatalogTables, failover: Failover): Promise<boolean> {
  const { state, tenantId, runId } = await withRefusal(tables, failover);
  if (isFailoverOver(state)) return false;
  const run = runId === undefined ? undefined : await tables.runs.get(tenantId, runId);
  if (run === undefined || !isOver(run.state)) return true;
  return state !== 'approved' && run.fault?.code !== 'FAILOVER_OVER';
}

/** One that was declared and is not finished. */
async function runningOf(call: Call): Promise<Failover> {
  const failover = await failoverOf(call);
  if (failover.journal === undefined || isFailoverOver(failover.state)) throw notRunning(failover);
  return failover;
}

function notRunning({ state }: Failover): Fault {
  return new Fault('REQUEST_CONFLICT', `It is not being carried out: it is "${state}"`);
}

async function personOf({ principal, catalog }: Call): Promise<string> {
  const person = principal.kind === 'person' ? await catalog.people.get(principal.id) : undefined;
  if (person === undefined) throw new Fault('APPROVAL_OF_PERSONS', `A ${principal.kind} cannot decide on a failover`);
  return person.login;
}

async function planOf({ plans }: Pick<CatalogTables, 'plans'>, { tenantId, plan, planVersion }: Failover) {
  const stored = await plans.version(tenantId, plan, planVersion);
  if (stored === undefined) throw notFound();
  return stored;
}

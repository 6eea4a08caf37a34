// Host agents: enrolled by a short-lived token, listed, and revoked at once.

import { Type } from '../../base/type.ts';
import { Agent } from '../../model/agent.ts';
import { Id, Label, Name, newId } from '../../model/identifier.ts';
import { Instant, instantOf } from '../../model/instant.ts';
import type { Run } from '../../model/run.ts';
import { ENROLMENT_MS_DEFAULT, ENROLMENT_MS_MAX, newSecret } from '../../trust/tokens.ts';
import { cancelOpenRuns } from '../open-runs.ts';
import { answerPage } from '../page.ts';
import { notFound } from '../problem.ts';
import { route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';

const MINUTE_MS = 60_000;
const NewEnrolment = Type.Object(
  {
    label: Type.Optional(Label),
    site: Type.Optional(Name),
    minutes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: ENROLMENT_MS_MAX / MINUTE_MS,
        description: `of life (${ENROLMENT_MS_DEFAULT / MINUTE_MS})`,
      }),
    ),
  },
  { additionalProperties: false, $id: 'NewEnrolment' },
);
const AgentPlace = Type.Object(
  { site: Type.Optional(Name) },
  { additionalProperties: false, $id: 'AgentPlace', description: 'without a site: at none' },
);
const Enrolment = Type.Object(
  { id: Id, secret: Type.String({ description: 'for "holdfast agent --enroll", once' }), expiresAt: Instant },
  { additionalProperties: false, $id: 'Enrolment' },
);

export const AGENT_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/agents',
    name: 'listAgents',
    tag: 'agents',
    summary: 'List the agents',
    action: 'agent.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Agent) } },
    handle: (call) => answerPage(call, 'agents', (page) => call.catalog.agents.list(call.tenant.id, page)),
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/agents/{agent}',
    name: 'getAgent',
    tag: 'agents',
    summary: 'Show an agent',
    action: 'agent.read',
    answers: { 200: { description: 'The agent', schema: Agent } },
    handle: async ({ catalog, tenant, params }) => {
      const agent = await catalog.agents.get(params['agent']!, tenant.id);
      if (agent === undefined) throw notFound();
      return { status: 200, body: agent };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/tenants/{tenant}/agents/{agent}/site',
    name: 'placeAgent',
    tag: 'agents',
    summary: 'Say at which site the host of an agent is; limits of policies count what runs there',
    action: 'agent.enrol',
    body: AgentPlace,
    answers: { 200: { description: 'The agent', schema: Agent } },
    handle: async (call) => {
      const { catalog, tenant, params, body } = call;
      const agent = await catalog.agents.get(params['agent']!, tenant.id);
      if (agent === undefined) throw notFound();
      return call.change({ action: 'agent.place', subject: agent.id, details: body }, async ({ agents }) => {
        await agents.place(agent.id, body.site);
        return { status: 200, body: (await agents.get(agent.id, tenant.id))! };
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/agents/{agent}/revoke',
    name: 'revokeAgent',
    tag: 'agents',
    summary: 'Revoke an agent at once; its runs end',
    action: 'agent.revoke',
    answers: { 200: { description: 'Revoked', schema: Agent } },
    handle: async (call) => {
      const { catalog, tenant, params, at } = call;
      const agent = await catalog.agents.get(params['agent']!, tenant.id);
      if (agent === undefined) throw notFound();
      return call.change(
        { action: 'agent.revoke', subject: agent.id, details: { label: agent.label } },
        async (tables) => {
          const { agents, events } = tables;
          if (await agents.revoke(agent.id, instantOf(at))) {
            // Another one goes on with a failover, which is nobody's to end here.
            const isIts = ({ agentId, kind }: Run): boolean => agentId === agent.id && kind !== 'failover';
            await cancelOpenRuns(tables, tenant.id, instantOf(at), isIts);
            await events.add(
              {
                tenantId: tenant.id,
                kind: 'agent.revoked',
                severity: 'warning',
                message: `The agent "${agent.label}" was revoked`,
                details: { agent: agent.id },
              },
              instantOf(at),
            );
          }
          return { status: 200, body: (await agents.get(agent.id, tenant.id))! };
        },
        () => call.wake(agent.id),
      );
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/enrolments',
    name: 'createEnrolment',
    tag: 'agents',
    summary: 'Make a token with which one agent enrols, once',
    action: 'agent.enrol',
    body: NewEnrolment,
    isIdempotent: 'once',
    answers: { 201: { description: 'To be given to the agent', schema: Enrolment } },
    handle: async (call) => {
      const { at, random, body, tenant, actor } = call;
      const { secret, digest } = newSecret(random);
      const id = newId('enrolment', at, random);
      const lifeMs = body.minutes === undefined ? ENROLMENT_MS_DEFAULT : body.minutes * MINUTE_MS;
      const expiresAt = instantOf(new Date(at.getTime() + lifeMs));
      const { label = 'agent', site } = body;
      const place = site === undefined ? {} : { site };
      return call.change(
        { action: 'agent.enrolment', subject: id, details: { label, ...place, expiresAt } },
        async ({ tokens }) => {
          await tokens.addEnrolment({ id, tenantId: tenant.id, label, ...place, expiresAt, createdBy: actor }, digest);
          return { status: 201, body: { id, secret, expiresAt } };
        },
      );
    },
  }),
];

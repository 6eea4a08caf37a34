// How the service has a failover carried out: by runs of an agent that has the configuration of a site, once as many people as the plan says
// have approved it.

import { Fault } from '../base/faults.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import type { Approval } from '../model/approval.ts';
import type { Failover, FailoverOrder } from '../model/failover.ts';
import type { FailoverKind } from '../model/failover-kind.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { agentAtSite, planRun } from '../scheduler/plan-runs.ts';
import { loginOf } from '../trust/login-of.ts';
import { notFound } from './problem.ts';
import type { Call } from './route.ts';

/** An orchestrator that fails is followed by the next. */
const ATTEMPTS_MAX = 12;

/** Where it goes to, or else where it comes from: whatever counts is in the registry, so any site will do. */
export async function agentFor(call: Call, { sites }: PlanDocument, kind: FailoverKind): Promise<Agent | undefined> {
  const { catalog, tenant } = call;
  const [first, second] = kind === 'failback' ? [sites.source, sites.target] : [sites.target, sites.source];
  return (await agentAtSite(catalog, tenant.id, first)) ?? (await agentAtSite(catalog, tenant.id, second));
}

/** Within a transaction. */
export async function queueOrder(
  tables: CatalogTables,
  failover: Failover,
  order: FailoverOrder,
  call: Call,
  dueAt = instantOf(call.at),
): Promise<Run> {
  const { at: now, random, actor } = call;
  const { tenantId, agentId, id } = failover;
  const plan = await tables.plans.version(tenantId, failover.plan, failover.planVersion);
  if (plan === undefined) throw notFound();
  const parameters = { failover: id, order };
  const run = planRun({ plan, kind: 'failover', agentId, parameters, requestedBy: actor, now, random });
  const attemptsMax = order.do === 'carry-out' ? ATTEMPTS_MAX : 1;
  return (await tables.runs.add({ ...run, dueAt, attemptsMax }, instantOf(now))).run;
}

/** Declares it, or goes on with it. `dueAt`: when it was asked for; what came after that may be what was meant (src/orchestrator/declare.ts). */
export async function queueCarryOut(
  tables: CatalogTables,
  failover: Failover,
  call: Call,
  dueAt = instantOf(call.at),
): Promise<Run> {
  const { kind, reason, requestedBy, approvers, disaster } = failover;
  const by = await loginOf(tables, requestedBy);
  const order: FailoverOrder = { do: 'carry-out', kind, reason, by, approvers, ...(disaster === undefined ? {} : { disaster }) };
  const run = await queueOrder(tables, failover, order, call, dueAt);
  await tables.failovers.change({ ...failover, runId: run.id });
  return run;
}

export async function executeFailover(tables: CatalogTables, approval: Approval, call: Call): Promise<void> {
  const failover = await failoverOf(tables, approval);
  if (failover.state !== 'waiting') throw new Fault('REQUEST_STALE', 'It was decided on before');
  const approvers = await loginsOf(tables, approval);
  await queueCarryOut(tables, { ...failover, state: 'approved', approvers }, call, failover.requestedAt);
}

export async function executeBreakGlass(tables: CatalogTables, approval: Approval, call: Call): Promise<void> {
  const failover = await failoverOf(tables, approval);
  if (failover.state !== 'declared') throw new Fault('REQUEST_STALE', 'There is no glass to break any more');
  const persons = await loginsOf(tables, approval);
  await queueOrder(tables, failover, { do: 'break-glass', persons, reason: approval.reason }, call);
}

async function failoverOf({ failovers }: CatalogTables, { tenantId, request }: Approval): Promise<Failover> {
  const failover = await failovers.get(tenantId, String(request['failoverId']));
  if (failover === undefined) throw notFound();
  return failover;
}

/** As they stand in the journal and the evidence. */
function loginsOf(tables: CatalogTables, { approvedBy = [] }: Approval): Promise<string[]> {
  return Promise.all(approvedBy.map((name) => loginOf(tables, name)));
}

// Runs that are of a plan: who carries them out, and how they are queued. An agent says by itself at which site it has the configuration of
// a daemon; plans are looked at and rehearsed where they lead to, which is what is left when their source is lost.

import type { CatalogTables, NewRun } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { StoredPlan } from '../model/plan.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';

const OPEN_LOOKED_AT = 100;
const PRIORITY: Partial<Record<RunKind, number>> = { readiness: 40, drill: 60, failover: 100 };

/** The active one at that site that was seen last. */
export async function agentAtSite(
  { agents }: Pick<CatalogTables, 'agents'>,
  tenantId: string,
  site: string,
): Promise<Agent | undefined> {
  let best: Agent | undefined;
  for await (const agent of eachItem((page) => agents.list(tenantId, page)))
    if (agent.state === 'active' && agent.host.planSite === site && (agent.lastSeenAt ?? '') >= (best?.lastSeenAt ?? ''))
      best = agent;
  return best;
}

export type PlanRunWish = {
  readonly plan: StoredPlan;
  readonly kind: RunKind;
  readonly agentId: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly requestedBy: string;
  readonly now: Date;
  readonly random: (bytes: number) => Uint8Array;
};

/** What was asked for once: it is tried once. */
export function planRun({ plan, kind, agentId, parameters, requestedBy, now, random }: PlanRunWish): NewRun {
  const id = newId('run', now, random);
  const at = instantOf(now);
  return {
    id,
    tenantId: plan.tenantId,
    agentId,
    kind,
    key: `plan:${plan.name}/${kind}/${id}`,
    parameters: { plan: plan.name, version: plan.version, ...parameters },
    priority: PRIORITY[kind] ?? 50,
    dueAt: at,
    notBefore: at,
    attemptsMax: 1,
    requestedBy,
  };
}

/** Queued or running. */
export async function openPlanRun(
  { runs }: Pick<CatalogTables, 'runs'>,
  { tenantId, name }: StoredPlan,
  kind: RunKind,
): Promise<Run | undefined> {
  const { items } = await runs.list(tenantId, { kind, states: ['queued', 'running'] }, { limit: OPEN_LOOKED_AT });
  return items.find(({ parameters }) => parameters['plan'] === name);
}

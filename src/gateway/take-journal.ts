// The journal of a failover as its agent tells it: kept beside what was asked for, each transition in the audit, and told to whoever listens.

import { Fault } from '../base/faults.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import type { NewEvent } from '../model/event.ts';
import type { Failover } from '../model/failover.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import type { JournalRequest } from '../protocol/plan-messages.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import { heldRun } from './session-keeper.ts';

const CAUSE_CHARS_MAX = 4000;

export type TakeJournalPorts = { readonly catalog: Catalog; readonly now: () => Date };

/** RUN_FENCED, MESSAGE_INVALID. Of two journals the one with more transitions is the later one. */
export async function takeJournal(
  { catalog, now }: TakeJournalPorts,
  agent: Agent,
  runId: string,
  { fence, journal }: JournalRequest,
): Promise<void> {
  const run = await heldRun(catalog, agent, runId, fence, ['failover']);
  const { id, state, ...progress } = journal;
  if (id !== run.parameters['failover']) throw new Fault('MESSAGE_INVALID', `The journal ${id} is not of the run ${runId}`);
  await catalog.transaction(async (tables) => {
    const known = await tables.failovers.get(run.tenantId, id);
    if (known === undefined) throw new Fault('MESSAGE_INVALID', `There is no failover ${id}`);
    const before = known.journal?.entries.length ?? 0;
    if (progress.entries.length < before) return;
    const at = instantOf(now());
    const next: Failover = { ...known, state, runId, journal: progress, heardAt: at };
    await tables.failovers.change(next);
    for (const entry of progress.entries.slice(before)) await noteEntry(tables, agent, next, entry, at);
    const wasBlocked = known.state === state && (known.journal?.blockedBy.length ?? 0) > 0;
    if (progress.blockedBy.length > 0 && !wasBlocked) await tables.events.add(blocked(next), at);
  });
}

async function noteEntry(
  tables: CatalogTables,
  agent: Agent,
  failover: Failover,
  { state, at: tookPlace }: { readonly state: string; readonly at: string },
  at: Instant,
): Promise<void> {
  const { tenantId, id, plan, kind, journal } = failover;
  await appendAudit(tables, {
    at,
    tenantId,
    actor: `agent:${agent.id}`,
    actorLabel: agent.label,
    action: 'failover.transition',
    subject: id,
    outcome: 'done',
    details: { plan, kind, state, at: tookPlace },
  });
  await tables.events.add(
    {
      ...common(failover),
      kind: 'failover.transition',
      severity: state === 'declared' ? 'critical' : 'warning',
      message: `The ${kind} failover of "${plan}" from ${journal!.from} to ${journal!.to} is "${state}"`,
      details: { failover: id, state, at: tookPlace },
    },
    at,
  );
}

function blocked(failover: Failover): NewEvent {
  const { id, plan, state, journal } = failover;
  return {
    ...common(failover),
    kind: 'failover.blocked',
    severity: 'critical',
    message: `The failover of "${plan}" is "${state}" and waits`,
    cause: journal!.blockedBy.join('\n').slice(0, CAUSE_CHARS_MAX),
    action: `See what it waits for: "holdfast failover show ${id}".`,
    details: { failover: id, state },
  };
}

function common({ tenantId, runId }: Failover): Pick<NewEvent, 'tenantId' | 'runId'> {
  return { tenantId, ...(runId === undefined ? {} : { runId }) };
}

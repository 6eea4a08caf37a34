// The end of an attempt of a run, as its agent tells it. Idempotent: saying it again is answered as the first time and changes nothing.

import { FAULTS, Fault, type FaultCode } from '../base/faults.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import { isOver } from '../model/run-state.ts';
import type { EndAnswer, EndRequest } from '../protocol/agent-messages.ts';

/** Pause before the next attempt: doubles with each. */
const RETRY_FIRST_MS = 30_000;
/** While nobody carries a failover out, nobody can write; and who went away and says so is back. */
const RETRY_SOON_MS = 1_000;
const RETRY_MS_MAX = 30 * 60_000;
/** A result is small: counts, names, times. */
const RESULT_CHARS_MAX = 100_000;

const GOING: ReadonlySet<string> = new Set<FaultCode>([
  'AGENT_INTERRUPTED',
  'SERVICE_STOPPING',
  'SERVICE_UNREACHABLE',
  'SESSION_GONE',
  'TENANT_SUSPENDED',
]);

/** Part of the transaction in which the run ended, or was queued again. */
export type OnRunEnded = (tables: CatalogTables, run: Run) => Promise<unknown>;

export type EndsOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly onRunEnded: OnRunEnded;
  readonly retryFirstMs?: number;
};

/** RUN_FENCED: the run is not this agent's, or not any more. */
export async function endRun(options: EndsOptions, agent: Agent, runId: string, request: EndRequest): Promise<EndAnswer> {
  const { catalog, now, onRunEnded } = options;
  const { fence, state, result, fault } = request;
  if (JSON.stringify(result ?? {}).length > RESULT_CHARS_MAX)
    throw new Fault('MESSAGE_INVALID', `The result of the run ${runId} is larger than ${RESULT_CHARS_MAX} characters`);
  const date = now();
  const ended = await catalog.transaction(async (tables) => {
    const before = await tables.runs.get(agent.tenantId, runId);
    if (before === undefined || before.agentId !== agent.id) return 'fenced' as const;
    const retryAt = state === 'failed' && isWorthTrying(fault?.code) ? retryTime(options, date, before, fault?.code) : undefined;
    const run = await tables.runs.end(runId, fence, instantOf(date), {
      state,
      ...(result === undefined ? {} : { result }),
      ...(fault === undefined ? {} : { fault }),
      ...(retryAt === undefined ? {} : { retryAt }),
      loss: isOfGoing(fault?.code) ? 'holder' : undefined,
    });
    if (run === 'fenced') return run;
    // Said for the second time, nothing happened.
    if (before.state === 'running' && (isOver(run.state) || run.state === 'queued')) await onRunEnded(tables, run);
    return run;
  });
  if (ended === 'fenced') throw new Fault('RUN_FENCED', `The run ${runId} is not this agent's any more (fence ${fence})`);
  return { state: ended.state };
}

/** The agent was stopped, or the service was away or has lost the session by a restart: nothing is known against the work itself. */
function isOfGoing(code: string | undefined): boolean {
  return code !== undefined && GOING.has(code);
}

/** A code that this side does not know is one of a newer agent: attempts are limited, so it is tried again. */
function isWorthTrying(code: string | undefined): boolean {
  if (code === undefined || code === 'INTERNAL' || !Object.hasOwn(FAULTS, code)) return true;
  return FAULTS[code as FaultCode].retry === 'later';
}

function retryTime({ random, retryFirstMs = RETRY_FIRST_MS }: EndsOptions, at: Date, run: Run, code: string | undefined): string {
  const { kind, attempt, lost = 0 } = run;
  const doubling = (firstMs: number, times: number): number => firstMs * 2 ** Math.min(20, Math.max(0, times));
  const pauseMs = isOfGoing(code)
    ? Math.min(retryFirstMs, doubling(RETRY_SOON_MS, lost))
    : Math.min(RETRY_MS_MAX, doubling(kind === 'failover' ? RETRY_SOON_MS : retryFirstMs, attempt - lost - 1));
  return instantOf(new Date(at.getTime() + Math.round(pauseMs * (0.75 + random(1)[0]! / 512))));
}

// The claim: which queued run goes next, and to whom.
//
// Looking costs one index range; an agent that polls and finds nothing writes nothing. What was found is looked for again inside of the
// writing transaction, so of two claimers, threads or processes, the second finds the next run or none. The queues are partial indexes
// that hold the order of claiming; SQLite is told which, since a plan that sorts 100,000 rows would still be a right answer.

import { laterBy } from '../../model/instant.ts';
import type { Run } from '../../model/run.ts';
import { isBeside } from '../../model/run-kind.ts';
import type { Claim } from '../catalog.ts';
import type { Row, Sql } from './connection.ts';
import type { Executor } from './executor.ts';
import { RUN } from './run-record.ts';

const MAY_START = `state = 'queued' AND not_before <= @at AND (start_by IS NULL OR start_by >= @at)
  AND kind IN (SELECT value FROM json_each(@kinds))
  AND (kind IN ('restore', 'failover') OR NOT EXISTS (SELECT 1 FROM runs AS other INDEXED BY runs_running
    WHERE other.state = 'running' AND other.tenant_id = run.tenant_id AND other.kind = run.kind AND other.asset_id IS run.asset_id))`;
const ORDER = 'ORDER BY priority DESC, due_at, id LIMIT 1';
// Captures run for ever and beside everything else, failovers whatever else runs: they take nobody's place.
const RUNNING_OF_ALL = `SELECT count(*) AS count FROM runs WHERE state = 'running' AND kind NOT IN ('capture', 'failover')`;
const RUNNING_OF_AGENT = `SELECT count(*) AS count FROM runs WHERE state = 'running' AND agent_id = ? AND kind NOT IN ('capture', 'failover')`;

/** Exported for the test of its plan. */
export const NEXT_OF_AGENT = `SELECT id FROM runs AS run INDEXED BY runs_queued_of_agent
  WHERE ${MAY_START} AND agent_id = @agentId
  AND (per_host_max IS NULL OR per_host_max > (SELECT count(*) FROM runs AS other INDEXED BY runs_running_of_agent
    WHERE other.state = 'running' AND other.agent_id = @agentId AND other.kind NOT IN ('capture', 'failover')))
  AND (per_site_max IS NULL OR per_site_max > (SELECT count(*) FROM runs AS other INDEXED BY runs_running_at_site
    WHERE other.state = 'running' AND other.tenant_id = run.tenant_id AND other.kind NOT IN ('capture', 'failover')
      AND other.site = (SELECT site FROM agents WHERE id = @agentId)))
  AND (SELECT count(*) FROM runs AS other INDEXED BY runs_running
    WHERE other.state = 'running' AND other.tenant_id = run.tenant_id AND other.kind NOT IN ('capture', 'failover')) < @perTenantMax
  ${ORDER}`;
/** Exported for the test of its plan. */
export const NEXT_OF_SERVICE = `SELECT id FROM runs AS run INDEXED BY runs_queued_of_service
  WHERE ${MAY_START} AND agent_id IS NULL
  AND tenant_id NOT IN (SELECT tenant_id FROM runs INDEXED BY runs_running
    WHERE state = 'running' AND kind NOT IN ('capture', 'failover') GROUP BY tenant_id HAVING count(*) >= @perTenantMax)
  ${ORDER}`;
const TAKE = `UPDATE runs SET state = 'running', attempt = attempt + 1, fence = fence + 1, claimed_by = @by, lease_until = @leaseUntil,
  site = (SELECT site FROM agents WHERE agents.id = runs.agent_id), started_at = @at, ended_at = NULL, progress = NULL, result = NULL, fault = NULL
  WHERE id = @id RETURNING ${RUN.columns}`;

export async function claimRun(executor: Executor, claim: Claim): Promise<Run | undefined> {
  const found = await executor.read((sql) => next(sql, claim));
  if (found === undefined) return undefined;
  return executor.write((sql) => {
    const id = next(sql, claim);
    if (id === undefined) return undefined;
    return RUN.decode(sql(TAKE).get({ id, by: claim.by, at: claim.at, leaseUntil: laterBy(claim.at, claim.leaseMs) })!);
  });
}

function next(sql: Sql, claim: Claim): string | undefined {
  const { agentId, at, perTenantMax } = claim;
  const candidate = { at, perTenantMax, kinds: JSON.stringify(claim.kinds) };
  if (agentId === undefined) {
    if (countOf(sql(RUNNING_OF_ALL).get()) >= claim.totalMax) return undefined;
    return sql(NEXT_OF_SERVICE).get(candidate)?.['id'] as string | undefined;
  }
  const id = sql(NEXT_OF_AGENT).get({ ...candidate, agentId })?.['id'] as string | undefined;
  // The limits last: most who ask have nothing in the queue.
  if (id === undefined) return undefined;
  const isFull =
    countOf(sql(RUNNING_OF_AGENT).get(agentId)) >= claim.perAgentMax || countOf(sql(RUNNING_OF_ALL).get()) >= claim.totalMax;
  const beside = claim.kinds.filter(isBeside);
  if (!isFull || beside.length === 0) return isFull ? undefined : id;
  return sql(NEXT_OF_AGENT).get({ ...candidate, kinds: JSON.stringify(beside), agentId })?.['id'] as string | undefined;
}

function countOf(row: Row | undefined): number {
  return row!['count'] as number;
}

// Runs that nobody holds any more, and runs that nobody can start in time.

import { FAULTS } from '../../base/faults.ts';
import type { Instant } from '../../model/instant.ts';
import { isLastLoss, LOST_MAX, mayTryAgain, type Run, type RunFault } from '../../model/run.ts';
import type { Sql } from './connection.ts';
import { RUN } from './run-record.ts';

const LOST = `SELECT ${RUN.columns} FROM runs INDEXED BY runs_by_lease WHERE state = 'running' AND lease_until < ? ORDER BY lease_until LIMIT ?`;
const LATE = `SELECT ${RUN.columns} FROM runs INDEXED BY runs_by_start
  WHERE state = 'queued' AND start_by IS NOT NULL AND start_by < ? ORDER BY start_by LIMIT ?`;
const AGAIN = `UPDATE runs SET state = 'queued', not_before = @retryAt, claimed_by = NULL, lease_until = NULL, fault = @fault,
  lost = coalesce(lost, 0) + 1 WHERE id = @id RETURNING ${RUN.columns}`;
const OVER = `UPDATE runs SET state = @state, claimed_by = NULL, lease_until = NULL, fault = @fault, ended_at = @at,
  lost = CASE state WHEN 'running' THEN coalesce(lost, 0) + 1 ELSE lost END
  WHERE id = @id RETURNING ${RUN.columns}`;

export function expireRuns(sql: Sql, at: Instant, retryAt: Instant, countMax: number): readonly Run[] {
  const lost = sql(LOST)
    .all(at, countMax)
    .map(RUN.decode)
    .map((run) => expireLost(sql, run, at, retryAt));
  const late = sql(LATE)
    .all(at, Math.max(0, countMax - lost.length))
    .map(RUN.decode)
    .map(({ id, startBy }) => {
      const fault = faultOf('RUN_TOO_LATE', `It was not started by ${startBy}.`);
      return RUN.decode(sql(OVER).get({ id, state: 'failed', at, fault: JSON.stringify(fault) })!);
    });
  return [...lost, ...late];
}

function expireLost(sql: Sql, run: Run, at: Instant, retryAt: Instant): Run {
  const silent = faultOf('RUN_LOST', `"${run.claimedBy}" gave no sign of life until ${run.leaseUntil}.`);
  const fault = JSON.stringify(isLastLoss(run) ? lostTooOften(silent) : silent);
  // While nobody carries a failover out, nobody can write.
  const again = run.kind === 'failover' ? at : retryAt;
  if (mayTryAgain(run, true)) return RUN.decode(sql(AGAIN).get({ id: run.id, retryAt: again, fault })!);
  const state = run.cancelRequestedAt === undefined ? 'failed' : 'canceled';
  return RUN.decode(sql(OVER).get({ id: run.id, state, at, fault })!);
}

/** Of a run that is about to lose its holder once more than may be. */
export function lostTooOften({ message }: Pick<RunFault, 'message'>): RunFault {
  return faultOf('RUN_LOST_TOO_OFTEN', `It lost its holder ${LOST_MAX} times, the last time so: ${message.slice(0, 3000)}`);
}

function faultOf(code: 'RUN_LOST' | 'RUN_LOST_TOO_OFTEN' | 'RUN_TOO_LATE', message: string): RunFault {
  return { code, message, hint: FAULTS[code].hint };
}

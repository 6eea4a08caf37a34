// Runs that nobody holds any more, and runs that nobody can start in time.

import { FAULTS } from '../../base/faults.ts';
import type { Instant } from '../../model/instant.ts';
import { isLastLoss, mayTryAgain, type Run, type RunFault } from '../../model/run.ts';
import type { Sql } from './connection.ts';
import { lossesAfter, lossOf, lostTooOften } from './run-loss.ts';
import { RUN } from './run-record.ts';

const LOST = `SELECT ${RUN.columns} FROM runs INDEXED BY runs_by_lease WHERE state = 'running' AND lease_until < ? ORDER BY lease_until LIMIT ?`;
const LATE = `SELECT ${RUN.columns} FROM runs INDEXED BY runs_by_start
  WHERE state = 'queued' AND start_by IS NOT NULL AND start_by < ? ORDER BY start_by LIMIT ?`;
const AGAIN = `UPDATE runs SET state = 'queued', not_before = @retryAt, claimed_by = NULL, lease_until = NULL, fault = @fault,
  lost = @lost, lost_with_service = @lostWithService WHERE id = @id RETURNING ${RUN.columns}`;
const OVER = `UPDATE runs SET state = @state, claimed_by = NULL, lease_until = NULL, fault = @fault, ended_at = @at,
  lost = @lost, lost_with_service = @lostWithService WHERE id = @id RETURNING ${RUN.columns}`;

export type Expiry = { readonly at: Instant; readonly retryAt: Instant; readonly countMax: number; readonly openedAt: Instant };

export function expireRuns(sql: Sql, expiry: Expiry): readonly Run[] {
  const { at, countMax } = expiry;
  const lost = sql(LOST)
    .all(at, countMax)
    .map(RUN.decode)
    .map((run) => expireLost(sql, run, expiry));
  const late = sql(LATE)
    .all(at, Math.max(0, countMax - lost.length))
    .map(RUN.decode)
    .map((run) => {
      const fault = faultOf('RUN_TOO_LATE', `It was not started by ${run.startBy}.`);
      const over = { id: run.id, state: 'failed', at, fault: JSON.stringify(fault), ...lossesAfter(run, undefined) };
      return RUN.decode(sql(OVER).get(over)!);
    });
  return [...lost, ...late];
}

function expireLost(sql: Sql, run: Run, { at, retryAt, openedAt }: Expiry): Run {
  const silent = faultOf('RUN_LOST', `"${run.claimedBy}" gave no sign of life until ${run.leaseUntil}.`);
  const loss = lossOf(run, openedAt, 'holder');
  const fault = JSON.stringify(isLastLoss(run, loss) ? lostTooOften(loss, silent) : silent);
  const change = { id: run.id, fault, ...lossesAfter(run, loss) };
  // While nobody carries a failover out, nobody can write.
  const again = run.kind === 'failover' ? at : retryAt;
  if (mayTryAgain(run, loss)) return RUN.decode(sql(AGAIN).get({ ...change, retryAt: again })!);
  const state = run.cancelRequestedAt === undefined ? 'failed' : 'canceled';
  return RUN.decode(sql(OVER).get({ ...change, state, at })!);
}

function faultOf(code: 'RUN_LOST' | 'RUN_TOO_LATE', message: string): RunFault {
  return { code, message, hint: FAULTS[code].hint };
}

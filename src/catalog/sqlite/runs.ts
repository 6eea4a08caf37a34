// The queue and its history. States: queued -> running -> (queued again | succeeded | warned | failed | canceled).

import { type Instant, laterBy } from '../../model/instant.ts';
import { isLastLoss, mayTryAgain, type Run } from '../../model/run.ts';
import type { RunKind } from '../../model/run-kind.ts';
import { isOver, type RunState } from '../../model/run-state.ts';
import type { NewRun, RunEnd, RunFilter, RunTable } from '../catalog.ts';
import type { Row, Sql } from './connection.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { encodedJson } from './record.ts';
import { claimRun } from './run-claim.ts';
import { expireRuns } from './run-expire.ts';
import { lossesAfter, lossOf, lostTooOften } from './run-loss.ts';
import { RUN } from './run-record.ts';

const ADD = `${RUN.insert()} ON CONFLICT (tenant_id, key) DO NOTHING`;
const BY_ID = `SELECT ${RUN.columns} FROM runs WHERE id = ?`;
const GET = `SELECT ${RUN.columns} FROM runs WHERE tenant_id = ? AND id = ?`;
const BY_KEY = `SELECT ${RUN.columns} FROM runs WHERE tenant_id = ? AND key = ?`;
/** A lease that ends hours after any that is asked for was given by a clock that has been put back since: else its holder could die unnoticed. */
const LEASE_BEYOND_MS = 3_600_000;
const EXTEND = `UPDATE runs SET
  lease_until = CASE WHEN lease_until > @beyond THEN @leaseUntil ELSE max(lease_until, @leaseUntil) END, progress = coalesce(@progress, progress)
  WHERE id = @id AND fence = @fence AND state = 'running' RETURNING ${RUN.columns}`;
const SAID = `SELECT ${RUN.columns} FROM runs WHERE id = @id AND said_fence = @fence AND said_state = @said`;
const END = `UPDATE runs SET state = @state, not_before = coalesce(@notBefore, not_before), claimed_by = NULL, lease_until = NULL,
  lost = @lost, lost_with_service = @lostWithService, result = @result, fault = @fault, ended_at = @endedAt, said_fence = @fence, said_state = @said
  WHERE id = @id RETURNING ${RUN.columns}`;
const HASTEN = `UPDATE runs SET priority = max(priority, @priority), not_before = min(not_before, @at), start_by = NULL,
  per_host_max = NULL, per_site_max = NULL WHERE tenant_id = @tenantId AND id = @id AND state = 'queued' RETURNING ${RUN.columns}`;
const CANCEL_QUEUED = `UPDATE runs SET state = 'canceled', cancel_requested_at = @at, ended_at = @at
  WHERE tenant_id = @tenantId AND id = @id AND state = 'queued'`;
const CANCEL_RUNNING = `UPDATE runs SET cancel_requested_at = @at
  WHERE tenant_id = @tenantId AND id = @id AND state = 'running' AND cancel_requested_at IS NULL`;
const COUNTS = 'SELECT kind, state, count FROM run_counts WHERE count > 0 ORDER BY kind, state';
// Of two that ended in the same millisecond the one that was queued later is the newer.
const LATEST = `SELECT ${RUN.columns} FROM runs WHERE asset_id = ? AND kind = ? AND ended_at IS NOT NULL
  AND state IN (SELECT value FROM json_each(?)) ORDER BY ended_at DESC, rowid DESC LIMIT 1`;

/** `openedAt`: of the catalogue, which is opened when the service starts. */
export function runTable(executor: Executor, openedAt: Instant): RunTable {
  return {
    add: (run, at) => executor.write((sql) => add(sql, run, at)),
    get: (tenantId, id) => executor.read((sql) => RUN.decodeOne(sql(GET).get(tenantId, id))),
    byKey: (tenantId, key) => executor.read((sql) => RUN.decodeOne(sql(BY_KEY).get(tenantId, key))),
    list: (tenantId, filter, page) =>
      executor.read((sql) => {
        const { text, parameters } = listed(filter);
        const rows = sql(text).all({ ...parameters, tenantId, after: page.after ?? '~', limit: rowsFor(page) });
        return pageOf(rows.map(RUN.decode), page, ({ id }) => id);
      }),
    claim: (claim) => claimRun(executor, claim),
    extend: (id, fence, at, leaseMs, progress) =>
      executor.write((sql) => {
        const row = sql(EXTEND).get({
          id,
          fence,
          leaseUntil: laterBy(at, leaseMs),
          beyond: laterBy(at, leaseMs + LEASE_BEYOND_MS),
          progress: encodedJson(progress),
        });
        return row === undefined ? 'fenced' : RUN.decode(row);
      }),
    end: (id, fence, at, end) => executor.write((sql) => endAttempt(sql, { id, fence, at, openedAt }, end)),
    hasten: (tenantId, id, at, priority) => executor.write((sql) => RUN.decodeOne(sql(HASTEN).get({ tenantId, id, at, priority }))),
    cancel: (tenantId, id, at) =>
      executor.write((sql) => {
        const what = { tenantId, id, at };
        if (sql(CANCEL_QUEUED).run(what).changes === 0) sql(CANCEL_RUNNING).run(what);
        return RUN.decodeOne(sql(GET).get(tenantId, id));
      }),
    expire: async (at, retryAt, countMax) => executor.write((sql) => expireRuns(sql, { at, retryAt, countMax, openedAt })),
    counts: () =>
      executor.read((sql) => sql(COUNTS).all() as { readonly kind: RunKind; readonly state: RunState; readonly count: number }[]),
    latest: (assetId, kind, states) =>
      executor.read((sql) => RUN.decodeOne(sql(LATEST).get(assetId, kind, JSON.stringify(states)))),
  };
}

function add(sql: Sql, run: NewRun, at: string): { readonly outcome: 'added' | 'exists'; readonly run: Run } {
  const queued: Run = { ...run, state: 'queued', attempt: 0, fence: 0, createdAt: at };
  if (sql(ADD).run(RUN.encode(queued)).changes === 1) return { outcome: 'added', run: queued };
  return { outcome: 'exists', run: RUN.decode(sql(BY_KEY).get(run.tenantId, run.key)!) };
}

type Ending = { readonly id: string; readonly fence: number; readonly at: Instant; readonly openedAt: Instant };

function endAttempt(sql: Sql, { id, fence, at, openedAt }: Ending, end: RunEnd): Run | 'fenced' {
  const said = end.state;
  const before = sql(SAID).get({ id, fence, said });
  if (before !== undefined) return RUN.decode(before);
  const run = RUN.decodeOne(sql(BY_ID).get(id));
  if (run === undefined || run.state !== 'running' || run.fence !== fence) return 'fenced';
  const loss = end.state !== 'failed' || end.loss === undefined ? undefined : lossOf(run, openedAt, end.loss);
  const isAgain = end.state === 'failed' && end.retryAt !== undefined && mayTryAgain(run, loss);
  const row = sql(END).get({
    id,
    fence,
    said,
    state: isAgain ? 'queued' : end.state,
    notBefore: isAgain ? end.retryAt : null,
    ...lossesAfter(run, loss),
    result: encodedJson(end.result),
    fault: encodedJson(
      loss !== undefined && isLastLoss(run, loss) && end.fault !== undefined ? lostTooOften(loss, end.fault) : end.fault,
    ),
    endedAt: isAgain ? null : at,
  });
  return RUN.decode(row!);
}

/** Newest first; the statement's text depends on which filters there are, never on their values. */
function listed(filter: RunFilter): { readonly text: string; readonly parameters: Row } {
  const { assetId, kind, states, since } = filter;
  const conditions = ['tenant_id = @tenantId', 'id < @after'];
  const parameters: Row = {};
  // Few are open, and nobody who asks for them waits until the history was looked through.
  const isOpen = states !== undefined && states.length > 0 && !states.some(isOver);
  const index = isOpen ? `INDEXED BY ${assetId === undefined ? 'runs_open' : 'runs_open_of_asset'}` : '';
  if (isOpen) conditions.push(`state IN ('queued', 'running')`);
  if (assetId !== undefined) {
    conditions.push('asset_id = @assetId');
    parameters['assetId'] = assetId;
  }
  if (kind !== undefined) {
    conditions.push('kind = @kind');
    parameters['kind'] = kind;
  }
  if (states !== undefined) {
    conditions.push('state IN (SELECT value FROM json_each(@states))');
    parameters['states'] = JSON.stringify(states);
  }
  if (since !== undefined) {
    conditions.push('created_at >= @since');
    parameters['since'] = since;
  }
  return {
    text: `SELECT ${RUN.columns} FROM runs ${index} WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT @limit`,
    parameters,
  };
}

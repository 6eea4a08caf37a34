import type { Failover } from '../../model/failover.ts';
import type { FailoverTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { encodedJson, recordCodec } from './record.ts';

const FAILOVER = recordCodec<Failover>('failovers', {
  id: 'text',
  tenantId: 'text',
  plan: 'text',
  planVersion: 'integer',
  planDigest: 'text',
  kind: 'text',
  reason: 'text',
  disaster: 'text',
  agentId: 'text',
  requestedBy: 'text',
  requestedAt: 'text',
  approvalId: 'text',
  approvers: 'json',
  state: 'text',
  runId: 'text',
  journal: 'json',
  heardAt: 'text',
});

const ADD = FAILOVER.insert();
const GET = `SELECT ${FAILOVER.columns} FROM failovers WHERE tenant_id = ? AND id = ?`;
const LIST = `SELECT ${FAILOVER.columns} FROM failovers WHERE tenant_id = ? AND id < ? ORDER BY id DESC LIMIT ?`;
const NEWEST = `SELECT ${FAILOVER.columns} FROM failovers WHERE tenant_id = ? AND plan = ? ORDER BY id DESC LIMIT 1`;
const CHANGE = `UPDATE failovers SET state = @state, agent_id = @agentId, approvers = @approvers, run_id = @runId, journal = @journal, heard_at = @heardAt
  WHERE tenant_id = @tenantId AND id = @id`;

export function failoverTable(executor: Executor): FailoverTable {
  return {
    add: (failover) => executor.write((sql) => void sql(ADD).run(FAILOVER.encode(failover))),
    get: (tenantId, id) => executor.read((sql) => FAILOVER.decodeOne(sql(GET).get(tenantId, id))),
    newest: (tenantId, plan) => executor.read((sql) => FAILOVER.decodeOne(sql(NEWEST).get(tenantId, plan))),
    list: (tenantId, page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST)
            .all(tenantId, page.after ?? '~', rowsFor(page))
            .map(FAILOVER.decode),
          page,
          ({ id }) => id,
        ),
      ),
    change: ({ tenantId, id, agentId, state, approvers, runId, journal, heardAt }) =>
      executor.write(
        (sql) =>
          sql(CHANGE).run({
            tenantId,
            id,
            agentId,
            state,
            approvers: encodedJson(approvers),
            runId: runId ?? null,
            journal: encodedJson(journal),
            heardAt: heardAt ?? null,
          }).changes === 1,
      ),
  };
}

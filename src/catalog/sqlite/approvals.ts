import type { Approval } from '../../model/approval.ts';
import type { ApprovalTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const APPROVAL = recordCodec<Approval>('approvals', {
  id: 'text',
  tenantId: 'text',
  action: 'text',
  request: 'json',
  reason: 'text',
  requestedBy: 'text',
  requestedAt: 'text',
  expiresAt: 'text',
  state: 'text',
  decidedBy: 'text',
  decidedAt: 'text',
  needed: 'integer',
  approvedBy: 'json',
});

const ADD = APPROVAL.insert();
const GET = `SELECT ${APPROVAL.columns} FROM approvals WHERE tenant_id = ? AND id = ?`;
const LIST = `SELECT ${APPROVAL.columns} FROM approvals WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?`;
const OVERDUE = `SELECT ${APPROVAL.columns} FROM approvals WHERE state IN ('pending', 'approved') AND expires_at <= ? ORDER BY expires_at LIMIT ?`;
const OPEN = `SELECT ${APPROVAL.columns} FROM approvals WHERE id = ? AND state = 'pending'`;
const APPROVE = 'UPDATE approvals SET approved_by = ? WHERE id = ?';
const MOVE = `UPDATE approvals SET state = @to,
  decided_by = CASE @to WHEN 'executed' THEN decided_by WHEN 'pending' THEN NULL ELSE @by END,
  decided_at = CASE @to WHEN 'executed' THEN decided_at WHEN 'pending' THEN NULL ELSE @at END
  WHERE id = @id AND state IN (SELECT value FROM json_each(@from))`;

export function approvalTable(executor: Executor): ApprovalTable {
  return {
    add: (approval) => executor.write((sql) => void sql(ADD).run(APPROVAL.encode(approval))),
    get: (tenantId, id) => executor.read((sql) => APPROVAL.decodeOne(sql(GET).get(tenantId, id))),
    list: (tenantId, page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST)
            .all(tenantId, page.after ?? '', rowsFor(page))
            .map(APPROVAL.decode),
          page,
          ({ id }) => id,
        ),
      ),
    overdue: (at, limit) => executor.read((sql) => sql(OVERDUE).all(at, limit).map(APPROVAL.decode)),
    approve: (id, by, withdrawn = []) =>
      executor.write((sql) => {
        const open = APPROVAL.decodeOne(sql(OPEN).get(id));
        const before = (open?.approvedBy ?? []).filter((name) => !withdrawn.includes(name));
        if (open === undefined || before.includes(by)) return undefined;
        const all = [...before, by];
        sql(APPROVE).run(JSON.stringify(all), id);
        return all;
      }),
    move: (id, from, to, by, at) =>
      executor.write((sql) => sql(MOVE).run({ id, from: JSON.stringify(from), to, by, at }).changes === 1),
  };
}

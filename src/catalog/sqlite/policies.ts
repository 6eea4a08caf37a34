import type { PolicyTable, StoredPolicy } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const POLICY = recordCodec<StoredPolicy>('policies', {
  id: 'text',
  tenantId: 'text',
  name: 'text',
  level: 'text',
  scope: 'text',
  text: 'text',
  version: 'integer',
  changedAt: 'text',
  changedBy: 'text',
});

const ADD = `${POLICY.insert()} ON CONFLICT DO NOTHING`;
const GET = `SELECT ${POLICY.columns} FROM policies WHERE id = ?`;
const BY_NAME = `SELECT ${POLICY.columns} FROM policies WHERE coalesce(tenant_id, '') = ? AND name = ?`;
const LIST = `SELECT ${POLICY.columns} FROM policies WHERE tenant_id IS ? AND id > ? ORDER BY id LIMIT ?`;
const CHANGE = `UPDATE policies SET text = @text, changed_at = @changedAt, changed_by = @changedBy, version = version + 1
  WHERE id = @id AND version = @version RETURNING ${POLICY.columns}`;
const USED = 'SELECT 1 FROM assets WHERE policy_id = ? LIMIT 1';
const DELETE = 'DELETE FROM policies WHERE id = ? AND version = ?';

export function policyTable(executor: Executor): PolicyTable {
  return {
    add: (policy) => executor.write((sql) => (sql(ADD).run(POLICY.encode(policy)).changes === 1 ? 'added' : 'exists')),
    get: (id) => executor.read((sql) => POLICY.decodeOne(sql(GET).get(id))),
    byName: (tenantId, name) => executor.read((sql) => POLICY.decodeOne(sql(BY_NAME).get(tenantId ?? '', name))),
    list: (tenantId, page) =>
      executor.read((sql) => {
        const rows = sql(LIST).all(tenantId ?? null, page.after ?? '', rowsFor(page));
        return pageOf(rows.map(POLICY.decode), page, ({ id }) => id);
      }),
    change: (policy) =>
      executor.write((sql) => {
        const row = sql(CHANGE).get(POLICY.encode(policy));
        if (row !== undefined) return POLICY.decode(row);
        return sql(GET).get(policy.id) === undefined ? 'missing' : 'stale';
      }),
    delete: (id, version) =>
      executor.write((sql) => {
        const stored = POLICY.decodeOne(sql(GET).get(id));
        if (stored === undefined) return 'missing';
        if (stored.version !== version) return 'stale';
        if (sql(USED).get(id) !== undefined) return 'in-use';
        sql(DELETE).run(id, version);
        return 'deleted';
      }),
  };
}

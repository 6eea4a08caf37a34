import type { StoredPlan } from '../../model/plan.ts';
import type { PlanTable } from '../catalog.ts';
import type { Sql } from './connection.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { encodedJson, recordCodec } from './record.ts';

const PLAN = recordCodec<StoredPlan>('plans', {
  tenantId: 'text',
  name: 'text',
  version: 'integer',
  text: 'text',
  digest: 'text',
  changedAt: 'text',
  changedBy: 'text',
  readiness: 'json',
});

const ADD = PLAN.insert('isInForce');
const GET = `SELECT ${PLAN.columns} FROM plans WHERE tenant_id = ? AND name = ? AND is_in_force = 1`;
const LIST = `SELECT ${PLAN.columns} FROM plans WHERE tenant_id = ? AND is_in_force = 1 AND name > ? ORDER BY name LIMIT ?`;
const LIST_ALL = `SELECT ${PLAN.columns} FROM plans WHERE is_in_force = 1 AND (tenant_id, name) > (?, ?)
  ORDER BY tenant_id, name LIMIT ?`;
const VERSION = `SELECT ${PLAN.columns} FROM plans WHERE tenant_id = ? AND name = ? AND version = ?`;
const VERSIONS = `SELECT ${PLAN.columns} FROM plans WHERE tenant_id = ? AND name = ? AND version < ? ORDER BY version DESC LIMIT ?`;
const END = 'UPDATE plans SET is_in_force = 0 WHERE tenant_id = ? AND name = ? AND is_in_force = 1';
const NOTE = 'UPDATE plans SET readiness = ? WHERE tenant_id = ? AND name = ? AND version = ?';

export function planTable(executor: Executor): PlanTable {
  const inForce = (sql: Sql, tenantId: string, name: string): StoredPlan | undefined =>
    PLAN.decodeOne(sql(GET).get(tenantId, name));
  return {
    put: (plan, before) =>
      executor.write((sql) => {
        const { tenantId, name, version } = plan;
        if (inForce(sql, tenantId, name)?.version !== before) return 'stale';
        const newest = PLAN.decodeOne(sql(VERSIONS).get(tenantId, name, Number.MAX_SAFE_INTEGER, 1));
        if (newest !== undefined && newest.version >= version) return 'not-raised';
        sql(END).run(tenantId, name);
        sql(ADD).run({ ...PLAN.encode(plan), isInForce: 1 });
        return plan;
      }),
    byName: (tenantId, name) => executor.read((sql) => inForce(sql, tenantId, name)),
    list: (tenantId, page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST)
            .all(tenantId, page.after ?? '', rowsFor(page))
            .map(PLAN.decode),
          page,
          ({ name }) => name,
        ),
      ),
    listAll: (page) =>
      executor.read((sql) => {
        const [tenantId = '', name = ''] = page.after?.split('/') ?? [];
        const rows = sql(LIST_ALL).all(tenantId, name, rowsFor(page));
        return pageOf(rows.map(PLAN.decode), page, (plan) => `${plan.tenantId}/${plan.name}`);
      }),
    version: (tenantId, name, version) => executor.read((sql) => PLAN.decodeOne(sql(VERSION).get(tenantId, name, version))),
    versions: (tenantId, name, page) =>
      executor.read((sql) => {
        const before = page.after === undefined ? Number.MAX_SAFE_INTEGER : Number(page.after);
        const rows = sql(VERSIONS).all(tenantId, name, before, rowsFor(page));
        return pageOf(rows.map(PLAN.decode), page, (plan) => String(plan.version));
      }),
    delete: (tenantId, name, version) =>
      executor.write((sql) => {
        const stored = inForce(sql, tenantId, name);
        if (stored === undefined) return 'missing';
        if (stored.version !== version) return 'stale';
        sql(END).run(tenantId, name);
        return 'deleted';
      }),
    note: (tenantId, name, readiness) =>
      executor.write((sql) => sql(NOTE).run(encodedJson(readiness), tenantId, name, readiness.version).changes === 1),
  };
}

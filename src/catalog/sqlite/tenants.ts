import type { Tenant } from '../../model/tenant.ts';
import type { TenantTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const TENANT = recordCodec<Tenant>('tenants', {
  id: 'text',
  name: 'text',
  label: 'text',
  city: 'text',
  district: 'text',
  quota: 'json',
  allowedSources: 'json',
  state: 'text',
  createdAt: 'text',
  version: 'integer',
});

const ADD = `${TENANT.insert()} ON CONFLICT DO NOTHING`;
const GET = `SELECT ${TENANT.columns} FROM tenants WHERE id = ?`;
const BY_NAME = `SELECT ${TENANT.columns} FROM tenants WHERE name = ?`;
const LIST = `SELECT ${TENANT.columns} FROM tenants WHERE id > ? ORDER BY id LIMIT ?`;
const CHANGE = `UPDATE tenants SET label = @label, city = @city, district = @district, quota = @quota,
  allowed_sources = @allowedSources, state = @state, version = version + 1
  WHERE id = @id AND version = @version RETURNING ${TENANT.columns}`;

export function tenantTable(executor: Executor): TenantTable {
  return {
    add: (tenant) => executor.write((sql) => (sql(ADD).run(TENANT.encode(tenant)).changes === 1 ? 'added' : 'exists')),
    get: (id) => executor.read((sql) => TENANT.decodeOne(sql(GET).get(id))),
    byName: (name) => executor.read((sql) => TENANT.decodeOne(sql(BY_NAME).get(name))),
    list: (page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST)
            .all(page.after ?? '', rowsFor(page))
            .map(TENANT.decode),
          page,
          ({ id }) => id,
        ),
      ),
    change: (tenant) =>
      executor.write((sql) => {
        const row = sql(CHANGE).get(TENANT.encode(tenant));
        if (row !== undefined) return TENANT.decode(row);
        return sql(GET).get(tenant.id) === undefined ? 'missing' : 'stale';
      }),
  };
}

import type { Asset } from '../../model/asset.ts';
import type { AssetTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const ASSET = recordCodec<Asset>('assets', {
  id: 'text',
  tenantId: 'text',
  agentId: 'text',
  name: 'text',
  label: 'text',
  source: 'json',
  policyId: 'text',
  state: 'text',
  createdAt: 'text',
  version: 'integer',
});

const ADD = `${ASSET.insert()} ON CONFLICT DO NOTHING`;
const GET = `SELECT ${ASSET.columns} FROM assets WHERE tenant_id = ? AND id = ?`;
const BY_NAME = `SELECT ${ASSET.columns} FROM assets WHERE tenant_id = ? AND name = ?`;
const LIST = `SELECT ${ASSET.columns} FROM assets WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?`;
const LIST_ALL = `SELECT ${ASSET.columns} FROM assets WHERE id > ? ORDER BY id LIMIT ?`;
const CHANGE = `UPDATE assets SET agent_id = @agentId, label = @label, source = @source, policy_id = @policyId, state = @state,
  version = version + 1
  WHERE tenant_id = @tenantId AND id = @id AND version = @version RETURNING ${ASSET.columns}`;

export function assetTable(executor: Executor): AssetTable {
  return {
    add: (asset) => executor.write((sql) => (sql(ADD).run(ASSET.encode(asset)).changes === 1 ? 'added' : 'exists')),
    get: (tenantId, id) => executor.read((sql) => ASSET.decodeOne(sql(GET).get(tenantId, id))),
    byName: (tenantId, name) => executor.read((sql) => ASSET.decodeOne(sql(BY_NAME).get(tenantId, name))),
    list: (tenantId, page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST)
            .all(tenantId, page.after ?? '', rowsFor(page))
            .map(ASSET.decode),
          page,
          ({ id }) => id,
        ),
      ),
    listAll: (page) =>
      executor.read((sql) =>
        pageOf(
          sql(LIST_ALL)
            .all(page.after ?? '', rowsFor(page))
            .map(ASSET.decode),
          page,
          ({ id }) => id,
        ),
      ),
    change: (asset) =>
      executor.write((sql) => {
        const row = sql(CHANGE).get(ASSET.encode(asset));
        if (row !== undefined) return ASSET.decode(row);
        return sql(GET).get(asset.tenantId, asset.id) === undefined ? 'missing' : 'stale';
      }),
  };
}

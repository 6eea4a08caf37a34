import type { PromiseState, PromiseTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

const PROMISE = recordCodec<PromiseState>('promises', {
  assetId: 'text',
  tenantId: 'text',
  objective: 'text',
  isKept: 'flag',
  measured: 'integer',
  promised: 'integer',
  since: 'text',
  judgedAt: 'text',
});

const BEFORE = 'SELECT is_kept FROM promises WHERE asset_id = ? AND objective = ?';
const PUT = `${PROMISE.insert()} ON CONFLICT (asset_id, objective) DO UPDATE SET is_kept = @isKept, measured = @measured,
  promised = @promised, since = CASE WHEN is_kept = @isKept THEN since ELSE @since END, judged_at = @judgedAt`;
const OF_TENANT = `SELECT ${PROMISE.columns} FROM promises WHERE tenant_id = ? ORDER BY asset_id, objective`;
const OF_ALL = `SELECT ${PROMISE.columns} FROM promises ORDER BY asset_id, objective`;

export function promiseTable(executor: Executor): PromiseTable {
  return {
    put: (state) =>
      executor.write((sql) => {
        const before = sql(BEFORE).get(state.assetId, state.objective);
        sql(PUT).run(PROMISE.encode(state));
        const wasKept = before === undefined || before['is_kept'] !== 0;
        return wasKept === state.isKept ? 'same' : 'changed';
      }),
    list: (tenantId) =>
      executor.read((sql) => (tenantId === undefined ? sql(OF_ALL).all() : sql(OF_TENANT).all(tenantId)).map(PROMISE.decode)),
  };
}

import type { RecoveryPoint } from '../../model/recovery-point.ts';
import type { RecoveryPointTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { pageOf, rowsFor } from './page.ts';
import { recordCodec } from './record.ts';

const POINT = recordCodec<RecoveryPoint>('recovery_points', {
  snapshot: 'text',
  tenantId: 'text',
  assetId: 'text',
  assetName: 'text',
  runId: 'text',
  startedAt: 'text',
  endedAt: 'text',
  bytesScanned: 'integer',
  bytesStored: 'integer',
  hasWarnings: 'flag',
  tags: 'json',
  isHeld: 'flag',
  provenAt: 'text',
  proof: 'text',
  isSound: 'flag',
  refutedAt: 'text',
});

const PUT = `${POINT.insert()} ON CONFLICT (tenant_id, snapshot) DO UPDATE SET asset_id = @assetId, asset_name = @assetName, run_id = @runId,
  started_at = @startedAt, ended_at = @endedAt, bytes_scanned = @bytesScanned, bytes_stored = @bytesStored,
  has_warnings = @hasWarnings, tags = @tags, is_held = @isHeld, proven_at = @provenAt, proof = @proof, is_sound = @isSound,
  refuted_at = @refutedAt`;
const GET = `SELECT ${POINT.columns} FROM recovery_points WHERE tenant_id = ? AND snapshot = ?`;
// A cursor is "started_at/snapshot"; '~' is above every instant.
const OF_TENANT = `SELECT ${POINT.columns} FROM recovery_points
  WHERE tenant_id = @tenantId AND (started_at, snapshot) < (@startedAt, @snapshot)
  ORDER BY started_at DESC, snapshot DESC LIMIT @limit`;
const OF_ASSET = `SELECT ${POINT.columns} FROM recovery_points
  WHERE asset_id = @assetId AND tenant_id = @tenantId AND (started_at, snapshot) < (@startedAt, @snapshot)
  ORDER BY started_at DESC, snapshot DESC LIMIT @limit`;
const LATEST = `SELECT ${POINT.columns} FROM recovery_points WHERE asset_id = ? AND is_sound = 1
  ORDER BY started_at DESC, snapshot DESC LIMIT 1`;
const DECIDING = `SELECT * FROM (SELECT ${POINT.columns} FROM recovery_points INDEXED BY recovery_points_sound
    WHERE asset_id = @assetId AND is_sound = 1 ORDER BY started_at, snapshot LIMIT 1)
  UNION SELECT * FROM (SELECT ${POINT.columns} FROM recovery_points INDEXED BY recovery_points_sound
    WHERE asset_id = @assetId AND is_sound = 1 ORDER BY started_at DESC, snapshot DESC LIMIT 1)
  UNION SELECT * FROM (SELECT ${POINT.columns} FROM recovery_points INDEXED BY recovery_points_sound
    WHERE asset_id = @assetId AND is_sound = 1 AND started_at <= @until ORDER BY started_at DESC, snapshot DESC LIMIT 1)
  UNION SELECT * FROM (SELECT ${POINT.columns} FROM recovery_points INDEXED BY recovery_points_proven
    WHERE asset_id = @assetId AND is_sound = 1 AND proven_at IS NOT NULL AND proven_at <= @until ORDER BY proven_at DESC LIMIT 1)
  UNION SELECT * FROM (SELECT ${POINT.columns} FROM recovery_points INDEXED BY recovery_points_damaged
    WHERE asset_id = @assetId AND is_sound = 0 ORDER BY started_at DESC, snapshot DESC LIMIT @damagedMax)`;
const COUNT = 'SELECT count(*) AS count FROM recovery_points WHERE asset_id = ?';
const MADE_BY = `SELECT ${POINT.columns} FROM recovery_points WHERE tenant_id = ? AND run_id = ? LIMIT 1`;
const REMOVE = 'DELETE FROM recovery_points WHERE tenant_id = ? AND snapshot = ?';

export function recoveryPointTable(executor: Executor): RecoveryPointTable {
  return {
    put: (point) => executor.write((sql) => void sql(PUT).run(POINT.encode(point))),
    get: (tenantId, snapshot) => executor.read((sql) => POINT.decodeOne(sql(GET).get(tenantId, snapshot))),
    list: (tenantId, assetId, page) =>
      executor.read((sql) => {
        const [startedAt, snapshot] = (page.after ?? '~/').split('/', 2);
        const from = { tenantId, startedAt, snapshot: snapshot ?? '', limit: rowsFor(page) };
        const rows = assetId === undefined ? sql(OF_TENANT).all(from) : sql(OF_ASSET).all({ ...from, assetId });
        return pageOf(rows.map(POINT.decode), page, (point) => `${point.startedAt}/${point.snapshot}`);
      }),
    latest: (assetId) => executor.read((sql) => POINT.decodeOne(sql(LATEST).get(assetId))),
    deciding: (assetId, until, damagedMax) =>
      executor.read((sql) => sql(DECIDING).all({ assetId, until, damagedMax }).map(POINT.decode)),
    count: (assetId) => executor.read((sql) => sql(COUNT).get(assetId)!['count'] as number),
    madeBy: (tenantId, runId) => executor.read((sql) => POINT.decodeOne(sql(MADE_BY).get(tenantId, runId))),
    remove: (tenantId, snapshot) => executor.write((sql) => sql(REMOVE).run(tenantId, snapshot).changes === 1),
  };
}

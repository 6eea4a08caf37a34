import type { ScheduleTable } from '../catalog.ts';
import type { Executor } from './executor.ts';

const GET = 'SELECT done_until FROM schedules WHERE asset_id = ? AND kind = ?';
const BEGIN = 'INSERT INTO schedules (asset_id, kind, done_until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING';
const ADVANCE = 'UPDATE schedules SET done_until = ? WHERE asset_id = ? AND kind = ? AND done_until = ?';

export function scheduleTable(executor: Executor): ScheduleTable {
  return {
    get: (assetId, kind) => executor.read((sql) => sql(GET).get(assetId, kind)?.['done_until'] as string | undefined),
    advance: (assetId, kind, from, to) =>
      executor.write((sql) => {
        const { changes } = from === undefined ? sql(BEGIN).run(assetId, kind, to) : sql(ADVANCE).run(to, assetId, kind, from);
        return changes === 1 ? 'advanced' : 'lost';
      }),
  };
}

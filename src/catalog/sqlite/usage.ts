import type { UsageDay, UsageTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

const DAY = recordCodec<UsageDay>('usage_days', {
  tenantId: 'text',
  day: 'text',
  protectedBytes: 'integer',
  storedBytes: 'integer',
  egressBytes: 'integer',
  runs: 'integer',
  drillSeconds: 'integer',
});

const PUT = `INSERT INTO usage_days (tenant_id, day, protected_bytes, stored_bytes, runs, drill_seconds)
  VALUES (@tenantId, @day, @protectedBytes, @storedBytes, @runs, @drillSeconds)
  ON CONFLICT DO UPDATE SET protected_bytes = @protectedBytes, stored_bytes = @storedBytes, runs = @runs,
    drill_seconds = @drillSeconds`;
const ADD_EGRESS = `INSERT INTO usage_days (tenant_id, day, egress_bytes) VALUES (@tenantId, @day, @bytes)
  ON CONFLICT DO UPDATE SET egress_bytes = egress_bytes + @bytes`;
const LIST = `SELECT ${DAY.columns} FROM usage_days WHERE tenant_id = ? AND day BETWEEN ? AND ? ORDER BY day`;

export function usageTable(executor: Executor): UsageTable {
  return {
    put: ({ tenantId, day, protectedBytes, storedBytes, runs, drillSeconds }) =>
      executor.write((sql) => void sql(PUT).run({ tenantId, day, protectedBytes, storedBytes, runs, drillSeconds })),
    addEgress: (tenantId, day, bytes) => executor.write((sql) => void sql(ADD_EGRESS).run({ tenantId, day, bytes })),
    list: (tenantId, from, to) => executor.read((sql) => sql(LIST).all(tenantId, from, to).map(DAY.decode)),
  };
}

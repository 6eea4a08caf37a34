import { invariant } from '../../base/invariant.ts';
import type { AuditEntry } from '../../model/audit-entry.ts';
import type { AuditTable } from '../catalog.ts';
import type { Executor } from './executor.ts';
import { recordCodec } from './record.ts';

export const AUDIT_ENTRY = recordCodec<AuditEntry>('audit', {
  sequence: 'integer',
  at: 'text',
  tenantId: 'text',
  actor: 'text',
  actorLabel: 'text',
  source: 'text',
  action: 'text',
  subject: 'text',
  outcome: 'text',
  details: 'json',
  previous: 'text',
  hash: 'text',
});
const HASH_OF_NOTHING = '0'.repeat(64);

const APPEND = AUDIT_ENTRY.insert();
const LAST = `SELECT ${AUDIT_ENTRY.columns} FROM audit ORDER BY sequence DESC LIMIT 1`;
const OF_ALL = `SELECT ${AUDIT_ENTRY.columns} FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?`;
const OF_TENANT = `SELECT ${AUDIT_ENTRY.columns} FROM audit WHERE tenant_id = ? AND sequence > ? ORDER BY sequence LIMIT ?`;

export function auditTable(executor: Executor): AuditTable {
  return {
    append: (entry, hashOf, lost) =>
      executor.write((sql) => {
        const last = AUDIT_ENTRY.decodeOne(sql(LAST).get());
        invariant(lost === undefined || lost.sequence > (last?.sequence ?? 0), 'an entry goes behind all that are there');
        const before = lost ?? last;
        const linked = { ...entry, sequence: (before?.sequence ?? 0) + 1, previous: before?.hash ?? HASH_OF_NOTHING };
        const appended: AuditEntry = { ...linked, hash: hashOf(linked) };
        sql(APPEND).run(AUDIT_ENTRY.encode(appended));
        return appended;
      }),
    after: (sequence, tenantId, limit) =>
      executor.read((sql) =>
        (tenantId === undefined ? sql(OF_ALL).all(sequence, limit) : sql(OF_TENANT).all(tenantId, sequence, limit)).map(
          AUDIT_ENTRY.decode,
        ),
      ),
    last: () => executor.read((sql) => AUDIT_ENTRY.decodeOne(sql(LAST).get())),
  };
}

// The audit of a catalogue's file, read without changing anything about it: for auditors.

import type { AuditEntry } from '../../model/audit-entry.ts';
import { AUDIT_ENTRY } from './audit.ts';
import { Connection } from './connection.ts';
import { sqliteFault } from './sqlite-fault.ts';

const PAGE_ENTRIES = 500;
const PAGE = `SELECT ${AUDIT_ENTRY.columns} FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ${PAGE_ENTRIES}`;

export async function* readAudit(path: string): AsyncGenerator<AuditEntry> {
  let connection: Connection | undefined;
  try {
    connection = new Connection(path, 'read');
    for (let after = 0; ; ) {
      const rows = connection.sql(PAGE).all(after);
      for (const row of rows) {
        const entry = AUDIT_ENTRY.decode(row);
        after = entry.sequence;
        yield entry;
      }
      if (rows.length < PAGE_ENTRIES) return;
    }
  } catch (error) {
    throw sqliteFault(error);
  } finally {
    connection?.close();
  }
}

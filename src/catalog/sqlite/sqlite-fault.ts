// What SQLite says, as our faults. Its messages name tables and columns, never values; causes that could hold values are left out.

import Database from 'better-sqlite3';
import { Fault, type FaultCode } from '../../base/faults.ts';

const CODES: readonly (readonly [RegExp, FaultCode])[] = [
  [/^SQLITE_(?:BUSY|LOCKED)/, 'CATALOG_BUSY'],
  [/^SQLITE_FULL/, 'CATALOG_FULL'],
  [/^SQLITE_NOTADB/, 'CATALOG_NOT_ONE'],
  [/^SQLITE_CORRUPT|^SQLITE_IOERR_(?:SHORT_READ|CORRUPTFS|DATA)/, 'CATALOG_DAMAGED'],
  [/^SQLITE_(?:READONLY|CANTOPEN|PERM|AUTH)/, 'CATALOG_DENIED'],
  [/^SQLITE_IOERR/, 'CATALOG_FAILED'],
];

/** The fault for what SQLite threw; anything else is handed back as it is. */
export function sqliteFault(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const code = CODES.find(([pattern]) => pattern.test(error.code))?.[1] ?? 'INTERNAL';
  return new Fault(code, `The catalogue failed: ${error.message} (${error.code}).`, { cause: error });
}

export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(?:BUSY|LOCKED)/.test(error.code);
}

export function isForeignKeyRefusal(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_CONSTRAINT_(?:FOREIGNKEY|TRIGGER)/.test(error.code);
}

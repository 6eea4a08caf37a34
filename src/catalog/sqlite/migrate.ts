// Brings a file to the newest schema. `user_version` is the number of the last migration, `application_id` says that the file is ours.
// Forward only: a file from a newer program is left alone.

import { Fault } from '../../base/faults.ts';
import type { Connection } from './connection.ts';
import { SQL as FIRST } from './migrations/0001-first.ts';
import { SQL as SESSIONS_THAT_DIED } from './migrations/0002-sessions-that-died.ts';
import { SQL as LIMITS_AND_LOSSES } from './migrations/0003-limits-and-losses.ts';
import { SQL as DECIDING_POINTS } from './migrations/0004-deciding-points.ts';
import { SQL as HISTORY } from './migrations/0005-history.ts';
import { SQL as PLANS } from './migrations/0006-plans.ts';
import { SQL as EVIDENCE } from './migrations/0007-evidence.ts';
import { SQL as FAILOVERS } from './migrations/0008-failovers.ts';
import { SQL as DRILL_HOURS } from './migrations/0009-drill-hours.ts';
import { SQL as PLACES_IN_THE_HOME } from './migrations/0010-places-in-the-home.ts';
import { SQL as LOSSES_WITH_THE_SERVICE } from './migrations/0011-losses-with-the-service.ts';
import { SQL as DELIVERIES_IN_ORDER } from './migrations/0012-deliveries-in-order.ts';
import { SQL as REFUTED_POINTS } from './migrations/0013-refuted-points.ts';

/** "Hold" */
export const APPLICATION_ID = 0x486f6c64;

/** Number n is at n - 1. */
export const MIGRATIONS: readonly string[] = [
  FIRST,
  SESSIONS_THAT_DIED,
  LIMITS_AND_LOSSES,
  DECIDING_POINTS,
  HISTORY,
  PLANS,
  EVIDENCE,
  FAILOVERS,
  DRILL_HOURS,
  PLACES_IN_THE_HOME,
  LOSSES_WITH_THE_SERVICE,
  DELIVERIES_IN_ORDER,
  REFUTED_POINTS,
];

/** Each migration is one transaction; two processes that open at once do each once. */
export function migrate(connection: Connection, path: string, migrations: readonly string[] = MIGRATIONS): void {
  const { database } = connection;
  // Before anything is changed in it: the file may be another program's, or newer.
  schemaVersion(connection, path, migrations);
  connection.prepareForWriting();
  for (;;) {
    if (schemaVersion(connection, path, migrations) === migrations.length) return;
    database.exec('BEGIN IMMEDIATE');
    try {
      const version = schemaVersion(connection, path, migrations);
      const next = migrations[version];
      if (next !== undefined) {
        database.exec(next);
        database.pragma(`application_id = ${APPLICATION_ID}`);
        database.pragma(`user_version = ${version + 1}`);
      }
      database.exec('COMMIT');
    } catch (error) {
      connection.rollBack();
      throw error;
    }
  }
}

function schemaVersion({ database }: Connection, path: string, migrations: readonly string[]): number {
  const version = database.pragma('user_version', { simple: true }) as number;
  const application = database.pragma('application_id', { simple: true }) as number;
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (application !== APPLICATION_ID && !(isEmpty && version === 0))
    throw new Fault('CATALOG_NOT_ONE', `"${path}" is a database of another program, not a catalogue.`);
  if (version > migrations.length)
    throw new Fault('CATALOG_TOO_NEW', `The catalogue "${path}" has schema ${version}, this program knows ${migrations.length}.`);
  return version;
}

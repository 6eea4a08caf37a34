// Whether text sorts on this host as it did where the data was written. Another version of the C library or of ICU sorts otherwise: then indexes
// on text lie, silently, until they are built anew. The server notes the version beside the data; here it is compared with what is there.

import { isFault } from '../../src/base/faults.ts';
import { PgConnection } from './connection.ts';
import type { RestoredServer } from './restored-server.ts';

const DATABASES = 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1';
const COLLATIONS = `SELECT format('collation %I.%I', n.nspname, c.collname), c.collversion, pg_collation_actual_version(c.oid)
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE c.collversion IS NOT NULL AND EXISTS
    (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid AND d.deptype = 'n')`;
const DEFAULT = `SELECT 'default', datcollversion, pg_database_collation_actual_version(oid)
  FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL`;
const VERSION_WITH_DEFAULT = 15;

/** One line for each that differs, with the remedy. */
export async function differingCollations(server: RestoredServer): Promise<string[]> {
  const found: string[] = [];
  for (const database of await databasesOf(server)) {
    let sql: PgConnection | undefined;
    try {
      sql = await PgConnection.open({ address: await server.addressOf(database) });
      const query = sql.version >= VERSION_WITH_DEFAULT ? `${DEFAULT} UNION ALL ${COLLATIONS}` : COLLATIONS;
      for (const [name, then, now] of (await sql.query(query)).rows) {
        if (then === now) continue;
        const what = name === 'default' ? `Text in the database "${database}"` : `Text with the ${name} in "${database}"`;
        const remedy = `REINDEX DATABASE "${database}"; ALTER ${name === 'default' ? `DATABASE "${database}"` : name} REFRESH ${name === 'default' ? 'COLLATION ' : ''}VERSION;`;
        found.push(`${what} was sorted by version ${then}, and this host has ${now ?? 'none'}. Run: ${remedy}`);
      }
    } catch (error) {
      // A locale that is not there at all: the server lets nobody into such a database, or refuses to say a version.
      if (!isFault(error, 'PG_REFUSED')) throw error;
      found.push(`The collations of the database "${database}" cannot be compared with this host's: ${error.message}`);
    } finally {
      sql?.close();
    }
  }
  return found;
}

export async function databasesOf(server: RestoredServer): Promise<string[]> {
  const sql = await PgConnection.open({ address: await server.addressOf(server.address.database) });
  try {
    return (await sql.query(DATABASES)).rows.map(([name]) => name!);
  } finally {
    sql.close();
  }
}

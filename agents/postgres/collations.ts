// Whether text sorts on this host as it did where the data was written. Another version of the C library or of ICU sorts otherwise: then indexes
// on text lie, silently, until they are built anew. The server notes the version beside the data; here it is compared with what is there.

import { isFault } from '../../src/base/faults.ts';
import { PgConnection } from './connection.ts';
import type { RestoredServer } from './restored-server.ts';

const DATABASES = 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1';
// Each answers a name, the version then and the one now, and how the version is noted anew.
const REFRESH = "format('ALTER COLLATION %I.%I REFRESH VERSION;', n.nspname, c.collname)";
const COLLATIONS = `SELECT format('collation %I.%I', n.nspname, c.collname), c.collversion, pg_collation_actual_version(c.oid), ${REFRESH}
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE c.collversion IS NOT NULL AND EXISTS
    (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid AND d.deptype = 'n')`;
const DEFAULT = `SELECT '', datcollversion, pg_database_collation_actual_version(oid),
  format('ALTER DATABASE %I REFRESH COLLATION VERSION;', datname)
  FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL`;
const VERSION_WITH_DEFAULT = 15;
/** Before that none is noted beside a database: but one beside each locale that its host had when it was made. */
const DEFAULT_OF_OLDER = `SELECT '', c.collversion, pg_collation_actual_version(c.oid), string_agg(${REFRESH}, ' ')
  FROM pg_database d JOIN pg_collation c ON c.collprovider = 'c' AND c.collversion IS NOT NULL
    AND lower(replace(c.collcollate, '-', '')) = lower(replace(d.datcollate, '-', ''))
  JOIN pg_namespace n ON n.oid = c.collnamespace WHERE d.datname = current_database() GROUP BY 2, 3`;

/** One line for each that differs, with the remedy. */
export async function differingCollations(server: RestoredServer): Promise<string[]> {
  const found: string[] = [];
  for (const database of await databasesOf(server)) {
    let sql: PgConnection | undefined;
    try {
      sql = await PgConnection.open({ address: await server.addressOf(database) });
      const own = sql.version >= VERSION_WITH_DEFAULT ? DEFAULT : DEFAULT_OF_OLDER;
      for (const [name, then, now, refresh] of (await sql.query(`${own} UNION ${COLLATIONS}`)).rows) {
        if (then === now) continue;
        const what = name === '' ? `Text in the database "${database}"` : `Text with the ${name} in "${database}"`;
        const remedy = `REINDEX DATABASE "${database}"; ${refresh}`;
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

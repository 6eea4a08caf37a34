// Tables of a sandbox, moved into a schema of their own and cut loose from what was not chosen, so that they can be loaded beside the living
// ones: a foreign key, trigger or rule that came along would reach into production's own tables. What is cut off is named.

import { Fault } from '../../src/base/faults.ts';
import type { PgConnection } from './connection.ts';
import { identifier, literal } from './replication-client.ts';

const KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  S: 'a sequence',
  f: 'a foreign table',
  i: 'an index',
  c: 'a type',
};

export const NAMES_HINT = 'Names are as in SQL, with their schema: shop.orders, "Shop"."Orders"';

/** Answers what does not come along. RECOVERY_REFUSED when there was no such table. */
export async function moveTables(sql: PgConnection, tables: readonly string[], schema: string): Promise<string[]> {
  // Triggers on commands (ours are some) are production's own business.
  await sql.query('SET session_replication_role = replica');
  const oids = await chosen(sql, tables);
  const set = `(${oids.join(', ')})`;
  const leftOut: string[] = [];
  const statements = async (query: string): Promise<void> => {
    for (const [what, statement] of (await sql.query(query)).rows) {
      await sql.query(statement!);
      leftOut.push(what!);
    }
  };
  await statements(`SELECT format('foreign key %s of %s', conname, conrelid::regclass),
      format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid IN ${set} AND confrelid NOT IN ${set}`);
  await statements(`SELECT format('trigger %s of %s', tgname, tgrelid::regclass),
      format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
    FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0 AND tgrelid IN ${set}`);
  await statements(`SELECT format('row policy %s of %s', polname, polrelid::regclass),
      format('DROP POLICY %I ON %s', polname, polrelid::regclass)
    FROM pg_policy WHERE polrelid IN ${set}`);
  await statements(`SELECT format('rule %s of %s', rulename, ev_class::regclass),
      format('DROP RULE %I ON %s', rulename, ev_class::regclass)
    FROM pg_rewrite WHERE ev_class IN ${set}`);
  await statements(`SELECT format('place of %s in %s', inhrelid::regclass, inhparent::regclass),
      CASE WHEN c.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s', inhparent::regclass, inhrelid::regclass)
      ELSE format('ALTER TABLE %s NO INHERIT %s', inhrelid::regclass, inhparent::regclass) END
    FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhrelid IN ${set} AND inhparent NOT IN ${set}`);
  const { rows: unlogged } = await sql.query(
    `SELECT format('rows of %s: it is unlogged, the log does not hold them', oid::regclass) FROM pg_class WHERE relpersistence = 'u' AND oid IN ${set}`,
  );
  leftOut.push(...unlogged.map(([what]) => what!), ...(await largeObjects(sql, set)));
  await sql.query(`CREATE SCHEMA ${identifier(schema)}`);
  const { rows } = await sql.query(
    `SELECT format('ALTER TABLE %s SET SCHEMA %I', oid::regclass, ${literal(schema)}) FROM pg_class WHERE oid IN ${set}`,
  );
  for (const [statement] of rows) await sql.query(statement!);
  return leftOut;
}

/** They are the database's and no table's, and another one has other ones under the same numbers. */
async function largeObjects(sql: PgConnection, set: string): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT format('large objects that %I of %s names', attname, attrelid::regclass),
        format('SELECT EXISTS (SELECT FROM ONLY %s t JOIN pg_largeobject_metadata m ON m.oid = t.%I)', attrelid::regclass, attname)
      FROM pg_attribute WHERE attrelid IN ${set} AND attnum > 0 AND NOT attisdropped AND atttypid IN ('oid'::regtype, to_regtype('lo'))`,
  );
  const named: string[] = [];
  for (const [what, question] of rows) if ((await sql.value(question!)) === 't') named.push(what!);
  return named;
}

/** With all of their partitions and heirs. */
async function chosen(sql: PgConnection, tables: readonly string[]): Promise<string[]> {
  const named: string[] = [];
  for (const table of tables) {
    const { rows } = await sql.query(`SELECT oid, relkind FROM pg_class WHERE oid = to_regclass(${literal(table)})`);
    const [oid, kind] = rows[0] ?? [];
    if (oid === undefined || oid === null)
      throw new Fault('RECOVERY_REFUSED', `There was no table "${table}" in the database "${sql.address.database}" at that time`, {
        hint: NAMES_HINT,
      });
    if (kind !== 'r' && kind !== 'p')
      throw new Fault('RECOVERY_REFUSED', `"${table}" is ${KINDS[kind ?? ''] ?? 'no table'}; only tables hold rows of that time`);
    named.push(oid);
  }
  const { rows } = await sql.query(`WITH RECURSIVE every(oid) AS (
      SELECT unnest(ARRAY[${named.join(', ')}]::oid[]) UNION SELECT i.inhrelid FROM pg_inherits i JOIN every e ON e.oid = i.inhparent)
    SELECT c.oid, c.relname FROM every JOIN pg_class c ON c.oid = every.oid ORDER BY c.oid`);
  const names = rows.map(([, name]) => name!);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new Fault('USAGE', `Two of the tables are called "${twice}": they cannot come into one schema`, {
      hint: 'Copy them one after the other.',
    });
  return rows.map(([oid]) => oid!);
}

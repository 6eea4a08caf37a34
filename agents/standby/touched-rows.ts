// The rows of blocks that some log touches, read twice, and what differs. Rows are told by their primary key where there is one, otherwise
// as they are. Tables that were made in between are listed whole, since all their blocks were touched; those that were rewritten or dropped
// are named.

import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';
import { PgConnection } from '../postgres/connection.ts';
import type { RestoredServer } from '../postgres/restored-server.ts';
import type { TouchedRelation } from './divergent-log.ts';
import type { TableDifference } from './export-divergence.ts';

const FIRST_USER_OID = 16_384;
/** Of a table, held in memory. */
const ROWS_MAX = 500_000;

const DATABASES = 'SELECT oid::text, datname FROM pg_database WHERE datallowconn';
const TABLES = `SELECT c.oid::text, format('%I.%I', n.nspname, c.relname), pg_relation_filenode(c.oid)::text,
  (SELECT string_agg('holdfast_row.' || quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, n)
     JOIN pg_attribute a ON a.attnum = k.attnum WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND i.indisprimary)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.oid >= ${FIRST_USER_OID} AND n.nspname <> 'holdfast'`;

type Table = {
  readonly name: string;
  readonly file: string;
  /** By key, as JSON. "too many": more than can be held. */
  readonly rows: ReadonlyMap<string, string> | 'too many';
};
/** Tables by oid, by the database's name. */
export type DatabaseTables = ReadonlyMap<string, ReadonlyMap<string, Table>>;

/** `touched`: heaps among other relations. */
export async function readTouched(server: RestoredServer, touched: ReadonlyMap<string, TouchedRelation>): Promise<DatabaseTables> {
  const wanted = new Map<string, Map<string, TouchedRelation['blocks']>>();
  for (const { database, file, blocks } of touched.values()) {
    const files = wanted.get(String(database)) ?? new Map<string, TouchedRelation['blocks']>();
    wanted.set(String(database), files.set(String(file), blocks));
  }
  const databases = new Map<string, ReadonlyMap<string, Table>>();
  for (const [oid, name] of await ask(server, 'template1', (sql) => rowsOf(sql, DATABASES))) {
    const files = wanted.get(oid!);
    if (files !== undefined) databases.set(name!, await ask(server, name!, (sql) => readTables(sql, files)));
  }
  return databases;
}

async function ask<T>(server: RestoredServer, database: string, question: (sql: PgConnection) => Promise<T>): Promise<T> {
  const sql = await PgConnection.open({ address: await server.addressOf(database) });
  try {
    return await question(sql);
  } finally {
    sql.close();
  }
}

async function rowsOf(sql: PgConnection, query: string): Promise<readonly (readonly (string | null)[])[]> {
  return (await sql.query(query)).rows;
}

async function readTables(sql: PgConnection, files: ReadonlyMap<string, TouchedRelation['blocks']>): Promise<Map<string, Table>> {
  // What rows look like must not depend on what a role or database is set to.
  await sql.query(
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET search_path = ''",
  );
  const tables = new Map<string, Table>();
  for (const [oid, name, file, key] of await rowsOf(sql, TABLES)) {
    const blocks = files.get(file!);
    const rows = blocks === undefined ? new Map<string, string>() : await readRows(sql, name!, key ?? undefined, blocks);
    tables.set(oid!, { name: name!, file: file!, rows });
  }
  return tables;
}

async function readRows(
  sql: PgConnection,
  table: string,
  key: string | undefined,
  blocks: TouchedRelation['blocks'],
): Promise<Table['rows']> {
  const select = `SELECT ${key === undefined ? 'NULL' : `json_build_array(${key})::text`}, row_to_json(holdfast_row)::text FROM ONLY ${table} AS holdfast_row`;
  const rows = new Map<string, string>();
  for (const range of blocks === 'all' ? [undefined] : runsOf(blocks)) {
    const where = range === undefined ? '' : ` WHERE ctid >= '(${range.from},0)' AND ctid < '(${range.to},0)'`;
    for (const [id, row] of await rowsOf(sql, `${select}${where}`)) {
      let name = id ?? row!;
      // Without a key rows may be equal: each counts.
      for (let n = 2; id === null && rows.has(name); n++) name = `${row} ${n}`;
      rows.set(name, row!);
    }
    if (rows.size > ROWS_MAX) return 'too many';
  }
  return rows;
}

function runsOf(blocks: ReadonlySet<number>): { readonly from: number; readonly to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.to === block) last.to++;
    else runs.push({ from: block, to: block + 1 });
  }
  return runs;
}

/** Writes a line for each row that differs; answers the tables that have some. */
export function writeDifferences(before: DatabaseTables, after: DatabaseTables, path: string): TableDifference[] {
  const found: TableDifference[] = [];
  const list = openSync(path, 'w', 0o600);
  try {
    for (const database of new Set([...before.keys(), ...after.keys()])) {
      const [then, now] = [before.get(database) ?? NONE, after.get(database) ?? NONE];
      for (const oid of new Set([...then.keys(), ...now.keys()])) {
        const difference = differenceOf(database, then.get(oid), now.get(oid), (line) => writeFileSync(list, `${line}\n`));
        if (difference !== undefined) found.push(difference);
      }
    }
    fsyncSync(list);
  } finally {
    closeSync(list);
  }
  return found;
}

const NONE: ReadonlyMap<string, Table> = new Map();

function differenceOf(
  database: string,
  then: Table | undefined,
  now: Table | undefined,
  tell: (line: string) => void,
): TableDifference | undefined {
  const table = (now ?? then!).name;
  const none = { database, table, inserted: 0, updated: 0, deleted: 0 };
  if (now === undefined) return { ...none, notListed: 'the table was dropped' };
  if (then !== undefined && then.file !== now.file)
    return { ...none, notListed: 'the table was emptied or rewritten (TRUNCATE, VACUUM FULL, ALTER TABLE)' };
  const [old, rows] = [then?.rows ?? new Map<string, string>(), now.rows];
  if (old === 'too many' || rows === 'too many') return { ...none, notListed: 'too many rows lie in the blocks that were touched' };
  const count = { inserted: 0, updated: 0, deleted: 0 };
  // As the server has written them: a number of PostgreSQL need not be one of ours.
  const line = (change: string, was: string | undefined, is: string | undefined): string => {
    const head = JSON.stringify({ database, table, change }).slice(0, -1);
    return `${head}${was === undefined ? '' : `,"before":${was}`}${is === undefined ? '' : `,"after":${is}`}}`;
  };
  for (const [key, row] of rows) {
    const was = old.get(key);
    if (was === row) continue;
    if (was === undefined) count.inserted++;
    else count.updated++;
    tell(line(was === undefined ? 'inserted' : 'updated', was, row));
  }
  for (const [key, row] of old) {
    if (rows.has(key)) continue;
    count.deleted++;
    tell(line('deleted', row, undefined));
  }
  return count.inserted + count.updated + count.deleted === 0 ? undefined : { database, table, ...count, notListed: null };
}

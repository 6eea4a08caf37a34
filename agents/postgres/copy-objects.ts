// Single tables, or databases, as they were at some instant, beside what is there now: the cluster comes back in a sandbox, what was chosen is
// given its new name there, and is dumped and loaded into a server that may well be production. Nothing that exists there is changed: tables
// come in a new schema, in one transaction; a database has a name that says that it is unfinished until all of it is there. In the end the
// rows are counted on both sides.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import { PgConnection } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { moveTables, NAMES_HINT } from './cut-tables.ts';
import { dumpAndLoad } from './dump-and-load.ts';
import { identifier, literal } from './replication-client.ts';
import type { RestoredCluster } from './restore.ts';
import { inSandbox, type SandboxRestore } from './sandbox.ts';
import { mustHaveClients } from './server-programs.ts';

const ENDINGS_MAX = 300;
const ENDING_MS = 100;

export type ChosenTables = {
  readonly kind: 'tables';
  readonly database: string;
  /** As in SQL: "shop.orders". */
  readonly tables: readonly string[];
  /** New in the target's database. */
  readonly schema: string;
};
export type ChosenDatabase = {
  readonly kind: 'database';
  readonly database: string;
  /** New in the target's cluster. */
  readonly name: string;
};

export type ObjectsWish = Omit<SandboxRestore, 'settings' | 'onStep'> & {
  readonly chosen: ChosenTables | ChosenDatabase;
  /** For tables its database counts; for a database, one to connect to meanwhile. */
  readonly into: ServerAddress;
  readonly onStep: (step: 'base' | 'log' | 'reached' | 'load') => void;
};

export type CopiedObjects = {
  /** In the target: rows by table, "schema.table". */
  readonly rows: ReadonlyMap<string, number>;
  /** What did not come along. */
  readonly leftOut: readonly string[];
  readonly achieved: RestoredCluster['achieved'];
  readonly baseMs: number;
  readonly logMs: number;
  readonly loadMs: number;
};

/** Before anything is read: TARGET_OCCUPIED when the new name is taken, USAGE when there is no pg_dump or a table's name is none. */
export async function copyObjects(wish: ObjectsWish): Promise<CopiedObjects> {
  mustHaveClients(wish.programs, 'pg_dump', 'psql');
  await mustBeFree(wish);
  await mustBeNames(wish);
  return inSandbox({ ...wish, settings: {} }, async (copy) => {
    const began = performance.now();
    wish.onStep('load');
    const { chosen } = wish;
    await mustHaveBeen(copy, chosen.database, wish.signal);
    const open = await endPrepared(await copy.server.addressOf(chosen.database), wish.signal);
    const done = chosen.kind === 'tables' ? await copyTables(wish, chosen, copy) : await copyDatabase(wish, chosen, copy);
    const { achieved, baseMs, logMs } = copy;
    return { ...done, leftOut: [...done.leftOut, ...open], achieved, baseMs, logMs, loadMs: performance.now() - began };
  });
}

type Done = Pick<CopiedObjects, 'rows' | 'leftOut'>;

/** Transactions that were prepared, and not committed at that time, are no part of it; here nobody commits them, and they hold locks for ever. */
async function endPrepared(database: ServerAddress, signal: AbortSignal): Promise<string[]> {
  const { rows } = await run(database, 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()', signal);
  for (const [gid] of rows) await run(database, `ROLLBACK PREPARED ${literal(gid!)}`, signal);
  return rows.map(([gid]) => `the prepared transaction ${gid}: it was not committed at that time`);
}

async function copyTables(wish: ObjectsWish, chosen: ChosenTables, { server }: RestoredCluster): Promise<Done> {
  const { into, programs, signal } = wish;
  const from = await server.addressOf(chosen.database);
  const sql = await PgConnection.open({ address: from, signal });
  let leftOut: string[];
  try {
    leftOut = await moveTables(sql, chosen.tables, chosen.schema);
  } finally {
    sql.close();
  }
  // As a pattern: in quotes it is taken as it is.
  const what = ['--schema', identifier(chosen.schema), ...PLAIN, ...FOREIGN_TO_TARGET];
  await dumpAndLoad({ programs, from, what, into, before: 'BEGIN;\n', after: '\nCOMMIT;\n', signal });
  return { rows: await counted(from, into, chosen.schema, signal), leftOut };
}

async function copyDatabase(wish: ObjectsWish, chosen: ChosenDatabase, { server }: RestoredCluster): Promise<Done> {
  const { into, programs, signal } = wish;
  const unfinished = `holdfast_unfinished_${randomBytes(6).toString('hex')}`;
  const leftOut = [...(await missingRoles(await server.addressOf(chosen.database), into, signal))];
  const isForeign = leftOut.length > 0;
  // So the dump itself says how such a database is made, in the words of its version.
  await run(await server.addressOf('template1'), `ALTER DATABASE ${identifier(chosen.database)} RENAME TO ${unfinished}`, signal);
  const from = await server.addressOf(unfinished);
  try {
    const what = ['--create', ...PLAIN, ...(isForeign ? FOREIGN_TO_TARGET : [])];
    await dumpAndLoad({ programs, from, what, into, before: '', after: '', loader: unfinished, signal });
    const rows = await counted(from, { ...into, database: unfinished }, undefined, signal);
    await run(into, `ALTER DATABASE ${unfinished} RENAME TO ${identifier(chosen.name)}`, signal);
    return { rows, leftOut };
  } catch (error) {
    // Also when it was interrupted.
    await dropUnfinished(into, unfinished).catch(() => {});
    throw error;
  }
}

/** The session that loaded it may still be making it, although its client is gone: it ends first. */
async function dropUnfinished(into: ServerAddress, name: string): Promise<void> {
  const { signal } = new AbortController();
  const ended = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '${name}'`;
  for (let attempt = 0; attempt < ENDINGS_MAX; attempt++) {
    const { rows } = await run(into, ended, signal);
    if (Number(rows[0]?.[0]) === 0) break;
    await sleep(ENDING_MS);
  }
  await run(into, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, signal);
}

/** Neither would do any good in a second copy: a subscription would take what is meant for the first. */
const PLAIN = ['--no-publications', '--no-subscriptions', '--no-tablespaces', '--no-security-labels'];
/** Who owns a table there need not exist here. */
const FOREIGN_TO_TARGET = ['--no-owner', '--no-privileges'];

async function mustBeFree({ chosen, into, signal }: ObjectsWish): Promise<void> {
  const [table, column, name] =
    chosen.kind === 'tables' ? ['pg_namespace', 'nspname', chosen.schema] : ['pg_database', 'datname', chosen.name];
  const { rows } = await run(into, `SELECT FROM ${table} WHERE ${column} = ${literal(name)}`, signal);
  if (rows.length === 0) return;
  const what = chosen.kind === 'tables' ? `a schema "${name}" in the database "${into.database}"` : `a database "${name}"`;
  throw new Fault('TARGET_OCCUPIED', `There is ${what} of ${describeServer(into)} already`, {
    hint: 'Choose another name with --as.',
  });
}

/** As the target reads them: the cluster of then does not run yet. */
async function mustBeNames({ chosen, into, signal }: ObjectsWish): Promise<void> {
  for (const table of chosen.kind === 'tables' ? chosen.tables : [])
    try {
      const { rows } = await run(into, `SELECT array_length(parse_ident(${literal(table)}), 1)`, signal);
      if (Number(rows[0]?.[0]) > 2) throw new Fault('USAGE', `"${table}" has more than a schema and a name`, { hint: NAMES_HINT });
    } catch (error) {
      if (!isFault(error, 'PG_REFUSED')) throw error;
      throw new Fault('USAGE', `"${table}" is no name of a table`, { cause: error, hint: NAMES_HINT });
    }
}

async function mustHaveBeen({ server }: RestoredCluster, database: string, signal: AbortSignal): Promise<void> {
  const { rows } = await run(
    await server.addressOf('template1'),
    'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1',
    signal,
  );
  const names = rows.map(([name]) => name!);
  if (!names.includes(database))
    throw new Fault('RECOVERY_REFUSED', `There was no database "${database}" at that time`, {
      hint: `There were ${names.map((name) => `"${name}"`).join(', ')}.`,
    });
}

/** Owners and others with rights in the database whom the target does not know: then neither are taken over. */
async function missingRoles(from: ServerAddress, into: ServerAddress, signal: AbortSignal): Promise<string[]> {
  const { rows } = await run(
    from,
    `SELECT DISTINCT rolname FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid WHERE refclassid = 'pg_authid'::regclass
       AND (dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         OR (classid = 'pg_database'::regclass AND objid = (SELECT oid FROM pg_database WHERE datname = current_database())))
     UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database() ORDER BY 1`,
    signal,
  );
  const known = new Set((await run(into, 'SELECT rolname FROM pg_roles', signal)).rows.map(([name]) => name));
  const missing = rows.map(([name]) => name!).filter((name) => !known.has(name));
  return missing.length === 0 ? [] : [`owners and rights: the target has no role ${missing.map((name) => `"${name}"`).join(', ')}`];
}

/** Rows of all tables of a schema, or of a database, in the target. PG_RECOVERY_FAILED when the copy has others. */
async function counted(
  from: ServerAddress,
  into: ServerAddress,
  schema: string | undefined,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const [there, here] = [await rowsOf(from, schema, signal), await rowsOf(into, schema, signal)];
  for (const [table, rows] of there)
    if (here.get(table) !== rows)
      throw new Fault(
        'PG_RECOVERY_FAILED',
        `The table ${table} had ${rows} rows at that time, and ${here.get(table) ?? 'none'} were loaded into ${describeServer(into)}`,
      );
  return here;
}

async function rowsOf(address: ServerAddress, schema: string | undefined, signal: AbortSignal): Promise<Map<string, number>> {
  const sql = await PgConnection.open({ address, signal, idleTimeoutMs: COUNT_SILENCE_MS });
  try {
    const where =
      schema === undefined ? "nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'" : `nspname = ${literal(schema)}`;
    const { rows } = await sql.query(
      `SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND ${where} ORDER BY 1`,
    );
    const counts = new Map<string, number>();
    for (const [table] of rows) counts.set(table!, Number(await sql.value(`SELECT count(*) FROM ONLY ${table}`)));
    return counts;
  } finally {
    sql.close();
  }
}

const COUNT_SILENCE_MS = 3_600_000;

async function run(address: ServerAddress, text: string, signal: AbortSignal): Promise<Awaited<ReturnType<PgConnection['query']>>> {
  const sql = await PgConnection.open({ address, signal, idleTimeoutMs: COUNT_SILENCE_MS });
  try {
    return await sql.query(text);
  } finally {
    sql.close();
  }
}

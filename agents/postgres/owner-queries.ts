// The owner's own questions to a restored copy. They come from a policy, so they are asked by a role that may read everything and do nothing:
// a superuser's query could start programs on this host.

import { randomBytes } from 'node:crypto';
import { isFault } from '../../src/base/faults.ts';
import { PgConnection } from './connection.ts';
import type { ProofCheck } from './proof-check.ts';
import { literal } from './replication-client.ts';
import type { RestoredServer } from './restored-server.ts';

/** A query may sort for long before its first row. */
const SILENCE_MS = 3_600_000;
const VERSION_WITH_READER = 14;
const DETAIL_CHARS_MAX = 500;

export type OwnerQuery = {
  readonly database: string;
  readonly sql: string;
  /** Rows as lines, values separated by "|", null as nothing. Absent: it only must not fail. */
  readonly expected?: string;
};

/** Needs a copy that was promoted: it is given a role more. */
export async function askOwner(server: RestoredServer, queries: readonly OwnerQuery[], signal: AbortSignal): Promise<ProofCheck[]> {
  if (queries.length === 0) return [];
  const role = `holdfast_reader_${randomBytes(8).toString('hex')}`;
  await makeReader(server, role, signal);
  const checks: ProofCheck[] = [];
  for (const query of queries) checks.push(await ask(server, role, query, signal));
  return checks;
}

async function makeReader(server: RestoredServer, role: string, signal: AbortSignal): Promise<void> {
  const sql = await PgConnection.open({ address: await server.addressOf(server.address.database), signal });
  try {
    await sql.query(`CREATE ROLE ${role} LOGIN BYPASSRLS`);
    await sql.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
    if (sql.version >= VERSION_WITH_READER) await sql.query(`GRANT pg_read_all_data TO ${role}`);
  } finally {
    sql.close();
  }
}

async function ask(server: RestoredServer, role: string, query: OwnerQuery, signal: AbortSignal): Promise<ProofCheck> {
  const { database, sql: text, expected } = query;
  const name = 'query';
  let sql: PgConnection | undefined;
  try {
    await openTo(server, role, database, signal);
    const address = { ...server.address, user: role, database };
    sql = await PgConnection.open({ address, signal, idleTimeoutMs: SILENCE_MS });
    const { rows } = await sql.query(text);
    const found = rows.map((row) => row.map((value) => value ?? '').join('|')).join('\n');
    if (expected === undefined || found === expected) return { name, outcome: 'passed', detail: `${database}: ${text}` };
    const detail = `${database}: ${text}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`;
    return { name, outcome: 'failed', detail: detail.slice(0, DETAIL_CHARS_MAX) };
  } catch (error) {
    signal.throwIfAborted();
    if (!isFault(error)) throw error;
    return { name, outcome: 'failed', detail: `${database}: ${text}: ${error.message}`.slice(0, DETAIL_CHARS_MAX) };
  } finally {
    sql?.close();
  }
}

/** Whoever was not let in before is now; before PostgreSQL 14 rights to read are given one by one. */
async function openTo(server: RestoredServer, role: string, database: string, signal: AbortSignal): Promise<void> {
  const sql = await PgConnection.open({ address: await server.addressOf(database), signal });
  try {
    await sql.query(`DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO ${role}', ${literal(database)}); END $$`);
    if (sql.version >= VERSION_WITH_READER) return;
    await sql.query(`DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace LOOP
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO ${role}', s); EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO ${role}', s);
    END LOOP; END $$`);
  } finally {
    sql.close();
  }
}

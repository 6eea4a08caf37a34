// The heartbeat's row in a database: one row, updated in place, so that it never grows; its page stays in memory and its update changes no
// index. A row with a later number is never overwritten: of two that write, or after a clock went back, the later one stays.

import { invariant } from '../../src/base/invariant.ts';
import type { PgConnection } from './connection.ts';

export type HeartbeatRow = {
  readonly sequence: number;
  /** RFC 3339 in UTC. */
  readonly at: string;
  readonly keyId: string;
  readonly signature: string;
};

const PREPARE = `
CREATE SCHEMA IF NOT EXISTS holdfast;
CREATE TABLE IF NOT EXISTS holdfast.heartbeat (
  id int PRIMARY KEY CHECK (id = 1),
  sequence bigint NOT NULL,
  at text NOT NULL,
  key_id text NOT NULL,
  signature text NOT NULL
) WITH (fillfactor = 10)`;

/** Makes the table. Needs the right to create a schema once; afterwards to write the table. PG_REFUSED. */
export async function prepareHeartbeat(connection: PgConnection): Promise<void> {
  const isThere = await connection.value("SELECT to_regclass('holdfast.heartbeat') IS NOT NULL");
  if (isThere !== 't') await connection.query(PREPARE);
}

/** Answers when it is committed; false when there is a later one. */
export async function writeHeartbeat(connection: PgConnection, row: HeartbeatRow): Promise<boolean> {
  const { sequence, at, keyId, signature } = row;
  const isPlain = Number.isSafeInteger(sequence) && [at, keyId, signature].every((text) => /^[\w:.+-]{1,200}$/.test(text));
  invariant(isPlain, 'nothing in a heartbeat has to be quoted');
  const { rows } = await connection.query(
    `INSERT INTO holdfast.heartbeat AS h VALUES (1, ${sequence}, '${at}', '${keyId}', '${signature}')
     ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, at = excluded.at, key_id = excluded.key_id, signature = excluded.signature
     WHERE h.sequence < excluded.sequence RETURNING 1`,
  );
  return rows.length === 1;
}

/** Undefined when none was ever written here. */
export async function readHeartbeat(connection: PgConnection): Promise<HeartbeatRow | undefined> {
  if ((await connection.value("SELECT to_regclass('holdfast.heartbeat') IS NOT NULL")) !== 't') return undefined;
  const { rows } = await connection.query('SELECT sequence, at, key_id, signature FROM holdfast.heartbeat WHERE id = 1');
  const [sequence, at, keyId, signature] = rows[0] ?? [];
  if (!sequence || !at || !keyId || !signature) return undefined;
  return { sequence: Number(sequence), at, keyId, signature };
}

/** Of the cluster that this connection leads to. */
export async function systemIdOf(connection: PgConnection): Promise<string> {
  return (await connection.value('SELECT system_identifier FROM pg_control_system()')) ?? '';
}

// What is asked of a clone: the newest heartbeat in it, whether it can be written to, whether its pages and indexes are sound.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { isHeartbeatOf } from '../../src/evidence/heartbeat.ts';
import type { Scalar } from '../../src/evidence/measurement.ts';
import { type HeartbeatRow, readHeartbeat } from '../postgres/heartbeat.ts';
import type { Clone } from './clone.ts';
import { ROOM_ENVIRONMENT, type Room } from './room.ts';

type Value = Readonly<Record<string, Scalar>>;

const DATABASES = 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1';
const WRITE = `CREATE SCHEMA IF NOT EXISTS holdfast;
  CREATE TABLE IF NOT EXISTS holdfast.drill_write (at timestamptz NOT NULL);
  INSERT INTO holdfast.drill_write VALUES (clock_timestamp())`;

export async function databasesOf(clone: Clone, signal: AbortSignal): Promise<string[]> {
  const sql = await clone.connect(signal);
  try {
    return (await sql.query(DATABASES)).rows.map(([name]) => name!);
  } finally {
    sql.close();
  }
}

/** The newest one of all databases; only one that a trusted key has signed for this cluster counts. */
export async function newestHeartbeat(clone: Clone, trusted: readonly Uint8Array[], signal: AbortSignal): Promise<Value> {
  let newest: HeartbeatRow | undefined;
  for (const database of await databasesOf(clone, signal)) {
    const sql = await clone.connect(signal, database);
    try {
      const row = await readHeartbeat(sql);
      if (row !== undefined && row.sequence > (newest?.sequence ?? -1)) newest = row;
    } finally {
      sql.close();
    }
  }
  const { asset, systemId } = clone.plan;
  if (newest === undefined) return { newest: null, sequence: null, isSigned: false };
  const { sequence, at } = newest;
  return { newest: at, sequence, isSigned: isHeartbeatOf(newest, { asset, systemId }, trusted) };
}

/** A transaction that writes, acknowledged: in the first database that takes connections. */
export async function writeTest(clone: Clone, now: () => Date, signal: AbortSignal): Promise<Value> {
  const [database] = await databasesOf(clone, signal);
  const sql = await clone.connect(signal, database ?? 'postgres');
  try {
    await sql.query(WRITE);
    const at = now().toISOString();
    return { at, position: (await sql.value('SELECT pg_current_wal_lsn()')) ?? '' };
  } finally {
    sql.close();
  }
}

/** Every table and index by amcheck, then, stopped in order, every page by its checksum. The server does not run afterwards. */
export async function verifyPages(clone: Clone, room: Room, threads: number, signal: AbortSignal): Promise<Value> {
  const { programs, server } = clone.plan;
  const command = (program: string, args: readonly string[]) => ({
    words: [join(programs, program), ...args],
    environment: ROOM_ENVIRONMENT,
    ...(clone.owner === undefined ? {} : { owner: clone.owner }),
  });
  const found: string[] = [];
  let [checked, damaged] = [0, 0];
  if (existsSync(join(programs, 'pg_amcheck'))) {
    const user = await superuserOf(clone, signal);
    const where = [
      '-h',
      clone.sandbox,
      '-p',
      `${clone.address.port}`,
      '-U',
      user,
      '-w',
      '--maintenance-db',
      clone.address.database,
    ];
    const what = ['--all', '--install-missing', '--heapallindexed', '-j', `${threads}`];
    const { status, text } = await room.run(command('pg_amcheck', [...where, ...what]), signal);
    signal.throwIfAborted();
    found.push(status === 0 ? 'pg_amcheck: sound' : `pg_amcheck: ${text}`);
    // 2: corruption. Else it could not look, for want of its module.
    if (status === 2) damaged++;
    if (status === 0) checked += await relations(clone, signal);
  }
  await clone.stop();
  if (server.checksums && existsSync(join(programs, 'pg_checksums'))) {
    const { text } = await room.run(command('pg_checksums', ['--check', '-D', clone.dataDirectory]), signal);
    signal.throwIfAborted();
    const count = (name: string): number => Number(new RegExp(`${name}: *(\\d+)`).exec(text)?.[1] ?? Number.NaN);
    if (Number.isNaN(count('Blocks scanned'))) throw new Fault('PG_RECOVERY_FAILED', `pg_checksums of ${clone.asset}: ${text}`);
    checked += count('Blocks scanned');
    damaged += count('Bad checksums');
    found.push(`pg_checksums: ${count('Blocks scanned')} blocks`);
  }
  return { checked, damaged, text: found.join('; ') };
}

async function superuserOf(clone: Clone, signal: AbortSignal): Promise<string> {
  const sql = await clone.connect(signal);
  try {
    return (await sql.value('SELECT rolname FROM pg_roles WHERE oid = 10')) ?? 'postgres';
  } finally {
    sql.close();
  }
}

async function relations(clone: Clone, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (const database of await databasesOf(clone, signal)) {
    const sql = await clone.connect(signal, database);
    try {
      count += Number(await sql.value("SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'i', 'm', 't')"));
    } finally {
      sql.close();
    }
  }
  return count;
}

// What a site daemon asks its own server, over one short connection each time.

import { createHash } from 'node:crypto';
import { isFault } from '../../src/base/faults.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type { PagesVerified, RecoveredHeartbeat, ServerStatus } from '../../src/dr/site-control.ts';
import { signHeartbeat } from '../../src/evidence/heartbeat.ts';
import { PgConnection, ServerError } from '../postgres/connection.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { prepareHeartbeat, readHeartbeat, systemIdOf, writeHeartbeat } from '../postgres/heartbeat.ts';

const IDLE_TIMEOUT_MS = 5_000;
const RELATIONS_MAX = 50;
const SAMPLE_PERCENT = 5;
const ATTEMPTS_MAX = 5;

export async function asking<T>(
  address: ServerAddress,
  signal: AbortSignal,
  question: (sql: PgConnection) => Promise<T>,
  idleTimeoutMs = IDLE_TIMEOUT_MS,
): Promise<T> {
  const sql = await PgConnection.open({ address, signal, idleTimeoutMs });
  const close = (): void => sql.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    return await question(sql);
  } finally {
    signal.removeEventListener('abort', close);
    sql.close();
  }
}

export type ServerLook = ServerStatus & { readonly fingerprint: string };

export async function lookAtServer(sql: PgConnection): Promise<ServerLook> {
  const query = `
    SELECT pg_is_in_recovery(), s.system_identifier, c.timeline_id,
      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
      CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END
    FROM pg_control_system() s, pg_control_checkpoint() c`;
  const [standby, systemId, checkpointTimeline, lsn, segment] = (await sql.read(query)).rows[0] ?? [];
  // The checkpoint of a fresh promotion is still that of the timeline before.
  const timeline = segment ? Number.parseInt(segment.slice(0, 8), 16) : Number(checkpointTimeline);
  const state = standby === 't' ? 'standby' : 'read-write';
  return { state, systemId: systemId ?? null, timeline, lsn: lsn ?? null, fingerprint: await fingerprintOf(sql, systemId ?? '') };
}

/** Of what no drill may change, and ordinary work does not. */
async function fingerprintOf(sql: PgConnection, systemId: string): Promise<string> {
  const query = `
    SELECT 'setting', name, setting FROM pg_settings WHERE name IN ('primary_conninfo', 'primary_slot_name', 'restore_command',
      'recovery_target_timeline', 'archive_mode', 'archive_command', 'synchronous_standby_names', 'holdfast.epoch',
      'holdfast.incarnation', 'holdfast.site')
    UNION ALL SELECT 'slot', slot_name, slot_type FROM pg_replication_slots WHERE NOT temporary
    UNION ALL SELECT 'role', rolname, rolsuper::text || rolreplication::text || rolcanlogin::text FROM pg_roles
    UNION ALL SELECT 'database', datname, datallowconn::text FROM pg_database
    ORDER BY 1, 2`;
  const { rows } = await sql.read(query);
  return createHash('sha256')
    .update(JSON.stringify([systemId, rows]))
    .digest('hex');
}

export async function findHeartbeat(sql: PgConnection, now: () => Date): Promise<RecoveredHeartbeat> {
  const heartbeat = (await readHeartbeat(sql)) ?? null;
  return { heartbeat, systemId: await systemIdOf(sql), readAt: now().toISOString() };
}

/** A row that is later than all before. Answers its number; it is committed. */
export async function beat(sql: PgConnection, pair: SigningPair, asset: string, now: () => Date): Promise<number> {
  await prepareHeartbeat(sql);
  const of = { asset, systemId: await systemIdOf(sql) };
  for (let attempt = 1; ; attempt++) {
    const sequence = ((await readHeartbeat(sql))?.sequence ?? 0) + 1;
    // Another writer was faster.
    if ((await writeHeartbeat(sql, signHeartbeat(pair, of, sequence, now()))) || attempt === ATTEMPTS_MAX) return sequence;
  }
}

/** A sample of the largest relations. A page whose checksum is wrong makes the server refuse the query. */
export async function verifySample(sql: PgConnection): Promise<PagesVerified> {
  const damaged: string[] = [];
  const notVerified: string[] = [];
  const look = async (what: string, query: string): Promise<void> => {
    try {
      await sql.query(query);
    } catch (error) {
      if (!(error instanceof ServerError) && !isFault(error, 'PG_REFUSED')) throw error;
      damaged.push(`${what}: ${(error as Error).message}`);
    }
  };
  if ((await sql.value('SHOW data_checksums')) !== 'on')
    notVerified.push('the cluster has no checksums of pages: only what can be read was verified');
  let pages = 0;
  for (const [oid, name] of await largest(sql, "relkind IN ('r', 'm')")) {
    const count = `SELECT count(*) FROM ${name} TABLESAMPLE SYSTEM (${SAMPLE_PERCENT})`;
    await look(name, count);
    pages += Number((await sql.value(`SELECT ceil(relpages * ${SAMPLE_PERCENT} / 100.0) FROM pg_class WHERE oid = ${oid}`)) ?? 0);
  }
  let indexes = 0;
  const schema = await sql.value(
    "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'amcheck'",
  );
  if (schema === undefined || schema === null)
    notVerified.push(`amcheck is not installed in the database ${sql.address.database}: no index was verified`);
  else
    for (const [oid, name] of await largest(sql, "relkind = 'i' AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')")) {
      await look(name, `SELECT ${quoted(schema)}.bt_index_check(${oid}::regclass)`);
      indexes++;
    }
  return { pages, indexes, damaged, notVerified };
}

async function largest(sql: PgConnection, which: string): Promise<readonly (readonly [oid: string, name: string])[]> {
  const query = `SELECT c.oid, c.oid::regclass::text FROM pg_class c WHERE ${which} AND relpersistence = 'p' ORDER BY relpages DESC, c.oid LIMIT ${RELATIONS_MAX}`;
  return (await sql.query(query)).rows.map(([oid, name]) => [oid!, name!] as const);
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

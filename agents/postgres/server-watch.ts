// What the stream of a server's log does not tell: a transaction now and then makes the last recovery point move on while nobody writes, and a
// look at the slot and at the server's role finds what would otherwise be seen only when it is too late. Each concern is told when it begins.

import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import { formatBytes } from '../../src/base/units.ts';
import type { CaptureEvents, CaptureOptions } from './capture-options.ts';
import { PgConnection } from './connection.ts';
import { literal } from './replication-client.ts';

const LOOK_MS = 10_000;
/** A slot that may hold less than this is told of. */
const SAFE_BYTES_MIN = 512 * 1024 * 1024;
/** A server that must hold more log than this for us is told of, and again each time it is twice as much. */
const RETAINED_BYTES_MAX = 4 * 1024 * 1024 * 1024;

export type WatchOptions = Pick<CaptureOptions, 'address' | 'slot'> & {
  /** 0: no transactions, only looks. */
  readonly heartbeatMs: number;
  readonly events: Pick<CaptureEvents, 'onTrouble'>;
};

export type ServerLook = {
  /** wal_status; undefined: there is no slot. */
  readonly slot: string | undefined;
  /** Undefined: no limit. */
  readonly safeBytes: number | undefined;
  readonly retainedBytes: number;
  /** Of a standby: whether it receives log from its primary. */
  readonly isStandby: boolean;
  readonly isReceiving: boolean;
};

/** Until the signal. */
export async function watchServer({ address, slot, heartbeatMs, events }: WatchOptions, signal: AbortSignal): Promise<void> {
  let told = new Set<string>();
  while (!signal.aborted) {
    await sleep(heartbeatMs === 0 ? LOOK_MS : heartbeatMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    let sql: PgConnection | undefined;
    try {
      sql = await PgConnection.open({ address, signal });
      if (heartbeatMs > 0)
        await sql.query("SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, 'holdfast', 'heartbeat') END");
      const concerns = concernsOf(slot, await lookAt(sql, slot));
      for (const [kind, message] of concerns) if (!told.has(kind)) events.onTrouble(new Fault('PG_CONCERN', message));
      told = new Set(concerns.keys());
    } catch (error) {
      // Capture itself tells that the server is away.
      if (!signal.aborted && !isFault(error, 'PG_UNREACHABLE')) events.onTrouble(error);
    } finally {
      sql?.close();
    }
  }
}

/** By kind: one that stays is told once. */
export function concernsOf(name: string, look: ServerLook): Map<string, string> {
  const { slot, safeBytes, retainedBytes, isStandby, isReceiving } = look;
  const concerns = new Map<string, string>();
  if (slot === 'unreserved' || slot === 'lost' || (safeBytes !== undefined && safeBytes < SAFE_BYTES_MIN))
    concerns.set(
      `slot ${slot}`,
      `The slot "${name}" is ${slot}: the server may forget log that is not stored, ${formatBytes(safeBytes ?? 0)} are left`,
    );
  if (retainedBytes >= RETAINED_BYTES_MAX)
    concerns.set(
      `retained ${Math.floor(Math.log2(retainedBytes))}`,
      `The server holds ${formatBytes(retainedBytes)} of log that is not stored yet, on its own disk${safeBytes === undefined ? ', without a limit (max_slot_wal_keep_size)' : ''}`,
    );
  if (isStandby && !isReceiving)
    concerns.set('silent', 'The server is a standby that receives nothing: what production writes now does not come here');
  return concerns;
}

async function lookAt(sql: PgConnection, slot: string): Promise<ServerLook> {
  const end = 'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END';
  const query = `SELECT wal_status, safe_wal_size, pg_wal_lsn_diff(${end}, restart_lsn) FROM pg_replication_slots WHERE slot_name = ${literal(slot)}`;
  const [status, safe, retained] = (await sql.query(query)).rows[0] ?? [];
  const [inRecovery, receivers] =
    (await sql.query('SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_wal_receiver)')).rows[0] ?? [];
  return {
    slot: status ?? undefined,
    safeBytes: safe === undefined || safe === null ? undefined : Number(safe),
    retainedBytes: Number(retained ?? 0),
    isStandby: inRecovery === 't',
    isReceiving: receivers !== '0',
  };
}

// What a drill looks at of production, through connections that may look and do nothing: a credential that could change production has no place
// in a drill.

import type { Fingerprint, StandingStandby } from '../../agents/drill/drill-options.ts';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { Fault } from '../base/faults.ts';
import { serverAt } from './pg-server.ts';
import type { Invocation } from './verb.ts';

const TIMEOUT_MS = 10_000;
/** Nothing that could write: neither a right of the role nor one on a table. */
const HARMLESS = `SELECT NOT (rolsuper OR rolreplication OR rolcreaterole OR rolcreatedb)
  AND NOT EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p') AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
  FROM pg_roles WHERE rolname = current_user`;
/** What a promotion somewhere else that reached production would change. */
const STATE = `SELECT (SELECT system_identifier FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()), pg_is_in_recovery()`;
const REPLAYED = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text";

/** DRILL_NOT_ISOLATED when the role may write. */
export async function productionOf(invocation: Invocation, asset: string, server: string): Promise<Fingerprint> {
  await ask(invocation, server, HARMLESS, ([isHarmless]) => {
    if (isHarmless !== 't')
      throw new Fault('DRILL_NOT_ISOLATED', `The role for looking at "${asset}" may change it`, {
        hint: 'Give a role with LOGIN and nothing else.',
      });
  });
  return {
    of: `production of ${asset}`,
    how: 'system identifier, timeline and recovery, by a role that may look only',
    read: () => ask(invocation, server, STATE, (row) => JSON.stringify(row)),
  };
}

export function standbyOf(invocation: Invocation, asset: string, server: string): StandingStandby {
  return {
    of: `standby of ${asset}`,
    how: 'pg_last_wal_replay_lsn()',
    position: () => ask(invocation, server, REPLAYED, ([isStandby, position]) => (isStandby === 't' ? Number(position) : -1)),
  };
}

async function ask<T>(
  invocation: Invocation,
  server: string,
  question: string,
  answer: (row: readonly (string | null)[]) => T,
): Promise<T> {
  const signal = AbortSignal.any([invocation.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const sql = await PgConnection.open({
    address: serverAt(server, invocation.environment),
    signal,
  });
  try {
    return answer((await sql.read(question)).rows[0] ?? []);
  } finally {
    sql.close();
  }
}

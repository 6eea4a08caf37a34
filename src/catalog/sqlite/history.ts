// Trims what is over and old. A call looks at so many rows behind a cursor and writes once, so others get their turn however much there is.
//
// What stays, however old: the newest run of each kind and outcome of an asset (or of a repository), since judges and people ask for it; events
// that are on their way to somebody; sessions whose recovery point is there. Counts of runs that are over stay too (run_counts): a
// metric that falls would hide what was counted since. Audit and usage are elsewhere, and nothing here touches them.

import { firstId } from '../../model/identifier.ts';
import type { Instant } from '../../model/instant.ts';
import type { HistoryKind, HistoryTable, Trimmed } from '../catalog.ts';
import type { Sql } from './connection.ts';
import type { Executor } from './executor.ts';

type Look = { readonly before: Instant; readonly after: string | undefined; readonly countMax: number };

// Ids begin with the time at which they were made.
const OLD_RUNS = 'SELECT id FROM runs WHERE id > @after AND id < @upTo ORDER BY id LIMIT @countMax';
const DROP_RUNS = `DELETE FROM runs WHERE id > @after AND id <= @last AND ended_at < @before
  AND EXISTS (SELECT 1 FROM runs AS newer WHERE newer.tenant_id = runs.tenant_id AND newer.asset_id IS runs.asset_id
    AND newer.id > runs.id AND newer.kind = runs.kind AND newer.state = runs.state)`;
const OLD_EVENTS = 'SELECT sequence, at FROM events WHERE sequence > @after ORDER BY sequence LIMIT @countMax';
const DROP_DELIVERIES = `DELETE FROM deliveries WHERE state <> 'waiting'
  AND event_id IN (SELECT id FROM events WHERE sequence > @after AND sequence <= @last)`;
const DROP_EVENTS = `DELETE FROM events WHERE sequence > @after AND sequence <= @last
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id)`;
const OLD_SESSIONS = `SELECT opened_at, session FROM write_sessions
  WHERE (opened_at, session) > (@openedAt, @session) AND opened_at < @before ORDER BY opened_at, session LIMIT @countMax`;
const DROP_SESSIONS = `DELETE FROM write_sessions WHERE state <> 'open'
  AND (opened_at, session) > (@openedAt, @session) AND (opened_at, session) <= (@lastOpenedAt, @lastSession)
  AND NOT EXISTS (SELECT 1 FROM recovery_points AS point
    WHERE point.tenant_id = write_sessions.tenant_id AND point.snapshot = write_sessions.session)`;
const DROP_LOGINS = `DELETE FROM tokens WHERE id IN
  (SELECT id FROM tokens WHERE person_id IS NOT NULL AND coalesce(revoked_at, expires_at) < @before LIMIT @countMax)`;
const DROP_ENROLMENTS = `DELETE FROM enrolments WHERE id IN (SELECT id FROM enrolments WHERE expires_at < @before LIMIT @countMax)`;

const TRIM: Readonly<Record<HistoryKind, (sql: Sql, look: Look) => Trimmed>> = {
  runs: (sql, { before, after = '', countMax }) => {
    const rows = sql(OLD_RUNS).all({ after, upTo: firstId('run', new Date(before)), countMax });
    const last = rows.at(-1)?.['id'] as string | undefined;
    if (last === undefined) return { deleted: 0 };
    const deleted = sql(DROP_RUNS).run({ after, last, before }).changes;
    return rows.length < countMax ? { deleted } : { deleted, next: last };
  },
  events: (sql, { before, after = '0', countMax }) => {
    const rows = sql(OLD_EVENTS).all({ after: Number(after), countMax });
    const old = rows.filter((row) => (row['at'] as string) < before);
    const last = old.at(-1)?.['sequence'] as number | undefined;
    if (last === undefined) return { deleted: 0 };
    const range = { after: Number(after), last };
    sql(DROP_DELIVERIES).run(range);
    const deleted = sql(DROP_EVENTS).run(range).changes;
    return old.length < countMax ? { deleted } : { deleted, next: String(last) };
  },
  sessions: (sql, { before, after = '/', countMax }) => {
    const [openedAt, session] = after.split('/');
    const rows = sql(OLD_SESSIONS).all({ openedAt, session, before, countMax });
    const last = rows.at(-1);
    if (last === undefined) return { deleted: 0 };
    const [lastOpenedAt, lastSession] = [last['opened_at'], last['session']];
    const deleted = sql(DROP_SESSIONS).run({ openedAt, session, lastOpenedAt, lastSession }).changes;
    return rows.length < countMax ? { deleted } : { deleted, next: `${lastOpenedAt}/${lastSession}` };
  },
  logins: (sql, { before, countMax }) => {
    const logins = sql(DROP_LOGINS).run({ before, countMax }).changes;
    const enrolments = sql(DROP_ENROLMENTS).run({ before, countMax }).changes;
    const deleted = logins + enrolments;
    return Math.max(logins, enrolments) < countMax ? { deleted } : { deleted, next: 'more' };
  },
};

export function historyTable(executor: Executor): HistoryTable {
  return {
    trim: (kind, before, countMax, after) => executor.write((sql) => TRIM[kind](sql, { before, after, countMax })),
  };
}

// A catalogue out of a backup is older than the world around it. What must not come back with it is taken away before anybody uses it:
//
// - Somebody may hold a run under a fence that this catalogue has not given yet: fences jump, so that none is ever given twice.
// - What is used once (grants, enrolments) may have been used since; sessions of people may have been ended since.
// - What people have ordered and may have taken back, or have had done, since: restores, erasures that have not begun, deletions. They are asked for anew.
// - What people have put on hold since, or promised to keep, is not known: when this was is noted, and for a while no rule lets anything go.
// - Readers of events remember a sequence: the next ones are above any that was ever given.

import { Fault } from '../../base/faults.ts';
import type { Instant } from '../../model/instant.ts';
import type { RunFault } from '../../model/run.ts';
import { RESTORED_SETTING } from '../catalog.ts';
import { Connection } from './connection.ts';
import { migrate } from './migrate.ts';
import { sqliteFault } from './sqlite-fault.ts';

/** More than there can be between a backup and a restore. */
const JUMP = 1_000_000;

const CHANGES: readonly (readonly [sql: string, needsTime: boolean])[] = [
  [`UPDATE runs SET fence = fence + ${JUMP} WHERE state IN ('queued', 'running')`, false],
  ['DELETE FROM store_grants', false],
  ['UPDATE enrolments SET taken_at = ? WHERE taken_at IS NULL', true],
  ['UPDATE tokens SET revoked_at = ? WHERE person_id IS NOT NULL AND revoked_at IS NULL', true],
  [`UPDATE write_sessions SET state = 'abandoned' WHERE state = 'open'`, false],
  ['DELETE FROM answers WHERE status IS NULL', false],
  [`INSERT INTO settings VALUES ('${RESTORED_SETTING}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`, true],
  [`UPDATE sqlite_sequence SET seq = seq + ${JUMP} WHERE name = 'events'`, false],
];

const ORDERS = `UPDATE runs SET state = 'canceled', ended_at = @at, fault = @fault, claimed_by = NULL, lease_until = NULL
  WHERE state IN ('queued', 'running') AND (kind = 'restore' OR (kind = 'forget' AND json_extract(parameters, '$.snapshots') IS NOT NULL)
    OR (kind = 'erase' AND NOT EXISTS (SELECT 1 FROM settings WHERE name = 'erasure:' || runs.tenant_id)))`;
const FAULT: RunFault = {
  code: 'RUN_CANCELED',
  message: 'It was ordered before the catalogue came out of a backup; whether it was done, or taken back, since then is not known',
  hint: 'Ask for it again if it is still wanted.',
};

/** Checks the file (CATALOG_DAMAGED, CATALOG_NOT_ONE, CATALOG_TOO_NEW), brings it up to date and makes it fit to be used again. Once only. */
export function readyRestoredCatalog(path: string, at: Instant): void {
  try {
    const connection = new Connection(path, 'write');
    try {
      migrate(connection, path);
      const { database } = connection;
      const integrity = database.pragma('integrity_check', { simple: true });
      if (integrity !== 'ok' || (database.pragma('foreign_key_check') as unknown[]).length > 0)
        throw new Fault('CATALOG_DAMAGED', `The catalogue "${path}" is damaged.`);
      database.transaction(() => {
        database.prepare(ORDERS).run({ at, fault: JSON.stringify(FAULT) });
        for (const [sql, needsTime] of CHANGES) database.prepare(sql).run(...(needsTime ? [at] : []));
      })();
      // One file again: it is about to get its name.
      database.pragma('journal_mode = DELETE');
    } finally {
      connection.close();
    }
  } catch (error) {
    throw sqliteFault(error);
  }
}

// Sessions that the catalogue takes for open although their process is gone. The repository decides what became of them: a service that was
// killed between the commit in the store and its note of it finds the recovery point here, so that nobody makes it once more.

import { isFault } from '../base/faults.ts';
import type { Catalog, WriteSession } from '../catalog/catalog.ts';
import { recoveryPointOf } from '../model/recovery-point.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { writerOf } from '../repository/head-changes.ts';
import { isDeadFrom } from '../repository/process-state.ts';
import { readRegistered } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import { endWriters } from '../repository/writers.ts';

/** Ends writers that are dead for certain, and those of `rows` that have committed; answers the rows that are over now, as the catalogue
 *  knows them from here on. A session that may still run elsewhere is left alone. */
export async function settleSessions(
  catalog: Catalog,
  repository: Repository,
  rows: readonly WriteSession[],
): Promise<readonly WriteSession[]> {
  const names = new Set(rows.map(({ session }) => session));
  const isDead = isDeadFrom(repository.process);
  await endWriters(
    repository.heads,
    (writer) => (isDead(writer) ? 'revoke' : 'wait'),
    'the service that found it dead',
    (writer) => writer.kind === 'backup' && (isDead(writer) || names.has(writer.session)),
  );
  const settled: WriteSession[] = [];
  for (const row of rows) {
    // Out of the head it is over for good: what it says now it will always say.
    if (writerOf(await repository.heads.read(), row.session) !== undefined) continue;
    const snapshot = await registered(repository, row.session);
    settled.push(snapshot === undefined ? await noteAbandoned(catalog, row) : await noteCommitted(catalog, row, snapshot));
  }
  return settled;
}

/** Undefined: never committed, or forgotten since. */
export async function registered(repository: Repository, session: string): Promise<Snapshot | undefined> {
  try {
    return openSnapshot(repository, await readRegistered(repository.heads, session));
  } catch (error) {
    if (isFault(error, 'SNAPSHOT_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function noteAbandoned(catalog: Catalog, row: WriteSession): Promise<WriteSession> {
  const abandoned = { ...row, state: 'abandoned' as const };
  await catalog.sessions.put(abandoned);
  return abandoned;
}

async function noteCommitted(catalog: Catalog, row: WriteSession, snapshot: Snapshot): Promise<WriteSession> {
  const { tenantId, runId } = row;
  return catalog.transaction(async (tables) => {
    const committed = { ...((await tables.sessions.get(row.session)) ?? row), state: 'committed' as const };
    await tables.sessions.put(committed);
    const run = await tables.runs.get(tenantId, runId);
    // Somebody may have noted it meanwhile, and a verify may have proved it.
    if ((await tables.recoveryPoints.get(tenantId, snapshot.id)) === undefined)
      await tables.recoveryPoints.put(recoveryPointOf(snapshot, { tenantId, assetId: run?.assetId, runId }));
    return committed;
  });
}

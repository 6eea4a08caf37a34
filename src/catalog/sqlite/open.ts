// The embedded catalogue: one SQLite file, which several processes of one machine may have open at once.
//
// WAL with synchronous=FULL: what was acknowledged is on disk, readers never wait for a writer. Reads run on a connection of their own and
// see what is committed; writes go through the one writer of the process (writer.ts).

import { AsyncLocalStorage } from 'node:async_hooks';
import { open } from 'node:fs/promises';
import { Fault } from '../../base/faults.ts';
import { type Instant, instantOf } from '../../model/instant.ts';
import type { Catalog, CatalogTables } from '../catalog.ts';
import { agentTable, type Sightings } from './agents.ts';
import { answerTable } from './answers.ts';
import { approvalTable } from './approvals.ts';
import { assetTable } from './assets.ts';
import { auditTable } from './audit.ts';
import { backUpCatalog } from './backup.ts';
import { Connection } from './connection.ts';
import { deliveryTable } from './deliveries.ts';
import { eventTable } from './events.ts';
import { evidenceTable } from './evidence.ts';
import type { Executor } from './executor.ts';
import { failoverTable } from './failovers.ts';
import { historyTable } from './history.ts';
import { migrate } from './migrate.ts';
import { personTable } from './people.ts';
import { planTable } from './plans.ts';
import { policyTable } from './policies.ts';
import { promiseTable } from './promises.ts';
import { recoveryPointTable } from './recovery-points.ts';
import { runTable } from './runs.ts';
import { scheduleTable } from './schedules.ts';
import { sessionTable } from './sessions.ts';
import { settingTable } from './settings.ts';
import { directSightings, GatheredSightings } from './sightings.ts';
import { isBusy, sqliteFault } from './sqlite-fault.ts';
import { tenantTable } from './tenants.ts';
import { tokenTable } from './tokens.ts';
import { usageTable } from './usage.ts';
import { Writer } from './writer.ts';

const OPENING_MAX_MS = 30_000;
const PAUSE_MS = 20;

export type SqliteCatalogOptions = {
  /** Of the file; made when it is not there, its directory is not. */
  readonly path: string;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  /** Hears of failures that no caller waits for (signs of life that could not be written yet). */
  readonly onFailure?: (error: unknown) => void;
};

/** Throws CATALOG_TOO_NEW, CATALOG_NOT_ONE, CATALOG_DENIED, CATALOG_DAMAGED, CATALOG_BUSY. */
export async function openSqliteCatalog(options: SqliteCatalogOptions): Promise<Catalog> {
  const { path } = options;
  // Made here, because SQLite would make it readable for others.
  await (
    await open(path, 'a', 0o600).catch((error: Error) => {
      throw new Fault('CATALOG_DENIED', `The catalogue "${path}" cannot be opened: ${error.message}`, { cause: error });
    })
  ).close();
  const { writing, reading } = await patiently(() => connect(path));
  const openedAt = instantOf(options.now());
  const writer = new Writer(writing);
  const inTransaction = new AsyncLocalStorage<{ isOver: boolean }>();
  const sightings = new GatheredSightings(writer, options.onFailure ?? (() => {}));
  const executor: Executor = {
    read: async (work) => guarded(() => work(reading.sql)),
    write: async (work) => {
      refuseInside(inTransaction);
      return writer.small(work);
    },
  };
  return {
    ...tablesOn(executor, sightings, openedAt, options),
    transaction: async (work) => {
      refuseInside(inTransaction);
      const scope = { isOver: false };
      const inside = transactionExecutor(writing, scope);
      const tables = tablesOn(inside, directSightings(inside), openedAt, options);
      const over = (): void => {
        scope.isOver = true;
      };
      return writer.long(() => inTransaction.run(scope, () => work(tables)), over);
    },
    backUpTo: async (to, signal) => {
      await sightings.write();
      await backUpCatalog(path, to, signal);
    },
    check: async () => {
      await executor.write((sql) =>
        sql(`INSERT INTO settings VALUES ('checked', ?) ON CONFLICT DO UPDATE SET value = excluded.value`).run(
          instantOf(options.now()),
        ),
      );
      await executor.read((sql) => sql('SELECT count(*) FROM tenants').get());
    },
    close: async () => {
      try {
        await sightings.write();
      } finally {
        await writer.close();
        reading.close();
        writing.close();
      }
    },
  };
}

function tablesOn(
  executor: Executor,
  sightings: Sightings,
  openedAt: Instant,
  { now, random }: SqliteCatalogOptions,
): CatalogTables {
  return {
    tenants: tenantTable(executor),
    people: personTable(executor),
    tokens: tokenTable(executor),
    agents: agentTable(executor, sightings),
    assets: assetTable(executor),
    policies: policyTable(executor),
    plans: planTable(executor),
    evidence: evidenceTable(executor),
    failovers: failoverTable(executor),
    runs: runTable(executor, openedAt),
    recoveryPoints: recoveryPointTable(executor),
    sessions: sessionTable(executor, now),
    schedules: scheduleTable(executor),
    promises: promiseTable(executor),
    events: eventTable(executor, random),
    deliveries: deliveryTable(executor),
    approvals: approvalTable(executor),
    audit: auditTable(executor),
    usage: usageTable(executor),
    answers: answerTable(executor),
    settings: settingTable(executor),
    history: historyTable(executor),
  };
}

function connect(path: string): { readonly writing: Connection; readonly reading: Connection } {
  const writing = new Connection(path, 'write');
  try {
    migrate(writing, path);
    return { writing, reading: new Connection(path, 'read') };
  } catch (error) {
    writing.close();
    throw error;
  }
}

/** The transaction's own connection, while it lasts. */
function transactionExecutor(connection: Connection, scope: { readonly isOver: boolean }): Executor {
  const open = (): void => {
    if (scope.isOver) throw new Error('The transaction is over: something in it was not awaited.');
  };
  return {
    read: async (work) => {
      open();
      return guarded(() => work(connection.sql));
    },
    write: async (work) => {
      open();
      return guarded(() => connection.atomic(work));
    },
  };
}

/** It would wait for the transaction, and the transaction for it. */
function refuseInside(inTransaction: AsyncLocalStorage<{ isOver: boolean }>): void {
  if (inTransaction.getStore()?.isOver === false)
    throw new Error('Inside of a transaction everything is written through the tables that it was given.');
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw sqliteFault(error);
  }
}

/** Opening meets others that open, migrate or recover the same file. */
async function patiently<T>(work: () => T): Promise<T> {
  const until = performance.now() + OPENING_MAX_MS;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw sqliteFault(error);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

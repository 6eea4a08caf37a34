// Single tables, or a database, as they were at an instant, beside what lives in the asset's own server: nothing there is changed.

import { clusterFactsOf } from '../../src/engine/cluster-facts.ts';
import type { RecoveryPlan } from '../../src/engine/recovery-plan.ts';
import { ClusterExtractOrder } from '../../src/model/cluster-restore.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { type CopiedObjects, copyObjects, type ObjectsWish } from '../postgres/copy-objects.ts';
import { RecoveryProgress } from '../postgres/recovery-progress.ts';
import { serverFactsOf, usualPrograms } from '../postgres/server-programs.ts';
import { gaugeOf, openRemoteBase, PROGRAM, sandboxPlace } from './cluster-restore-run.ts';
import { postgresSourceOf, serverAddressOf } from './postgres-source.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';

const TABLES_TOLD_MAX = 200;

export async function clusterExtractRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, signal } = context;
  const order = readMessage(ClusterExtractOrder, { ...claimed.run.parameters }, 'The order of the extraction');
  const into = addressOf(context, order.extract);
  const began = performance.now();
  const remote = await openRemoteBase(context, order.incarnation);
  const progress = new RecoveryProgress();
  context.watch(() => gaugeOf(progress));
  try {
    const { reader, view } = remote;
    const copied = await copyObjects({
      repository: reader,
      cluster: clusterFactsOf(view, [reader.snapshot]),
      plan: { kind: 'plan', stopAt: undefined, ...order.plan } as RecoveryPlan,
      chosen: chosenOf(order.extract),
      into,
      directory: await sandboxPlace(context, remote, undefined),
      programs: usualPrograms(serverFactsOf(reader.snapshot), settings.serverPrograms),
      program: PROGRAM,
      helper: {},
      threads: settings.threads,
      signal,
      progress,
      onStep: () => {},
    });
    return outcomeOf(order, copied, Math.round(performance.now() - began));
  } finally {
    await remote.close();
  }
}

function addressOf({ claimed, home }: RunContext, { database, tables, secret }: ClusterExtractOrder['extract']): ServerAddress {
  const source = postgresSourceOf(claimed.asset);
  const address = serverAddressOf({ ...source, ...(secret === undefined ? {} : { secret }) }, home.secrets);
  return tables === undefined ? address : { ...address, database };
}

function chosenOf({ database, tables, as }: ClusterExtractOrder['extract']): ObjectsWish['chosen'] {
  return tables === undefined ? { kind: 'database', database, name: as } : { kind: 'tables', database, tables, schema: as };
}

function outcomeOf({ snapshot, requested, extract }: ClusterExtractOrder, copied: CopiedObjects, durationMs: number): RunOutcome {
  const { rows, leftOut, achieved, baseMs, logMs, loadMs } = copied;
  return {
    state: leftOut.length === 0 ? 'succeeded' : 'warned',
    result: {
      snapshot,
      requested,
      achieved:
        achieved === undefined ? null : { time: textOfMicros(achieved.time), lsn: formatLsn(achieved.position), xid: achieved.id },
      [extract.tables === undefined ? 'database' : 'schema']: extract.as,
      tables: rows.size,
      rows: [...rows.values()].reduce((sum, count) => sum + count, 0),
      rowsByTable: Object.fromEntries([...rows].slice(0, TABLES_TOLD_MAX)),
      leftOut: leftOut.slice(0, TABLES_TOLD_MAX),
      baseMs: Math.round(baseMs),
      logMs: Math.round(logMs),
      loadMs: Math.round(loadMs),
      durationMs,
    },
  };
}

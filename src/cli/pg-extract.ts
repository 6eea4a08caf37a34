// Brings single tables, or a database, back beside what is there now.

import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { describeServer, type ServerAddress } from '../../agents/postgres/connection-string.ts';
import { type ChosenDatabase, type ChosenTables, type CopiedObjects, copyObjects } from '../../agents/postgres/copy-objects.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import type { ServerFacts } from '../../agents/postgres/server-facts.ts';
import { usualPrograms } from '../../agents/postgres/server-programs.ts';
import { formatDuration } from '../base/units.ts';
import { baseFactsOf } from '../engine/cluster-facts.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn } from '../model/lsn.ts';
import { withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import { clusterOf } from './pg-cluster.ts';
import { watchRecovery } from './pg-progress.ts';
import { serverAt } from './pg-server.ts';
import { describe, helperOf, PROGRAM, planFor, requestedText, targetOf } from './pg-target.ts';
import { pinned } from './pinned.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

export async function pgExtract(invocation: Invocation): Promise<number> {
  const { options, output, signal, environment } = invocation;
  const target = targetOf(options);
  const chosen = chosenOf(options);
  const where = options.text('into');
  if (where === undefined) throw usage('Name the server that it goes to with --into');
  const into = serverAt(where, environment);
  return withRepository(invocation, async (repository) => {
    const began = performance.now();
    const { asset, cluster } = await clusterOf(invocation, repository);
    const plan = await planFor(invocation, asset, cluster, target);
    const server = JSON.parse(baseFactsOf(cluster.snapshots.get(plan.base.snapshot)!).server) as ServerFacts;
    const progress = new RecoveryProgress();
    const stop = watchRecovery(output, progress);
    let copied: CopiedObjects;
    try {
      copied = await copyObjects({
        repository,
        cluster,
        plan,
        chosen,
        into,
        directory: resolve(options.text('directory') ?? tmpdir()),
        programs: options.text('bin-dir') ?? usualPrograms(server),
        program: PROGRAM,
        helper: helperOf(invocation, asset),
        threads: threadsOf(options),
        hold: (base, work) => pinned(invocation, repository, base, work),
        signal,
        progress,
        onStep: (step) => output.detail(`extract: ${step}`),
      });
    } finally {
      stop();
    }
    report(invocation, asset, requestedText(target), chosen, into, copied, performance.now() - began);
    return 0;
  });
}

function chosenOf(options: OptionValues): ChosenTables | ChosenDatabase {
  const database = options.text('database');
  if (database === undefined) throw usage('Name the database with --database');
  const tables = options.texts('table');
  const as = options.text('as');
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  if (tables.length > 0) return { kind: 'tables', database, tables, schema: as ?? `restored_${stamp}` };
  return { kind: 'database', database, name: as ?? `${database}_restored_${stamp}` };
}

function report(
  { output }: Invocation,
  asset: string,
  requested: string,
  chosen: ChosenTables | ChosenDatabase,
  into: ServerAddress,
  { rows, leftOut, achieved, baseMs, logMs, loadMs }: CopiedObjects,
  durationMs: number,
): void {
  const name = chosen.kind === 'tables' ? chosen.schema : chosen.name;
  const sum = [...rows.values()].reduce((all, n) => all + n, 0);
  output.line(
    `${rows.size} tables with ${sum} rows are in the ${chosen.kind === 'tables' ? 'schema' : 'database'} ${name} of ${describeServer(into)}`,
  );
  output.line(`  requested ${requested}`);
  output.line(`  achieved  ${achieved === undefined ? 'the base backup' : describe(achieved)}`);
  output.line(
    `  base ${formatDuration(baseMs)}, log ${formatDuration(logMs)}, load ${formatDuration(loadMs)}; took ${formatDuration(durationMs)}`,
  );
  for (const what of leftOut) output.line(`  did not come along: ${what}`);
  output.summary('pg extract', {
    asset,
    requested,
    achieved:
      achieved === undefined
        ? null
        : { time: textOfMicros(achieved.time), position: formatLsn(achieved.position), transaction: achieved.id },
    kind: chosen.kind,
    name,
    rows: Object.fromEntries(rows),
    leftOut,
    durationMs: Math.round(durationMs),
  });
}

// Proves that a cluster can be brought back, by doing it.

import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { OwnerQuery } from '../../agents/postgres/owner-queries.ts';
import { type ClusterProof, proveCluster } from '../../agents/postgres/prove.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { EXIT } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn } from '../model/lsn.ts';
import { withRepository } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { clusterOf } from './pg-cluster.ts';
import { watchRecovery } from './pg-progress.ts';
import { describe, hasTarget, helperOf, PROGRAM, requestedText, targetOf } from './pg-target.ts';
import { pinned } from './pinned.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

export async function pgProve(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const queries = options.texts('query').map(queryOf);
  const instant = hasTarget(options) ? targetOf(options) : ({ kind: 'random', random: Math.random } as const);
  const programs = options.text('bin-dir');
  return withRepository(invocation, async (repository) => {
    const { asset, cluster } = await clusterOf(invocation, repository);
    const progress = new RecoveryProgress();
    const stop = watchRecovery(output, progress);
    let proof: ClusterProof;
    try {
      proof = await proveCluster({
        repository,
        cluster,
        instant,
        queries,
        directory: resolve(options.text('directory') ?? tmpdir()),
        ...(programs === undefined ? {} : { programs }),
        program: PROGRAM,
        helper: helperOf(invocation, asset),
        threads: threadsOf(options),
        hold: (base, work) => pinned(invocation, repository, base, work),
        signal,
        progress,
      });
    } finally {
      stop();
    }
    report(output, asset, proof);
    return proof.result === 'passed' ? 0 : EXIT.damage;
  });
}

/** "orders: SELECT count(*) > 0 FROM orders => t" */
function queryOf(text: string): OwnerQuery {
  const match = /^\s*([^:]+?)\s*:\s*((?!=>)\S.*?)\s*(?:=>\s*(.*?)\s*)?$/s.exec(text);
  if (match === null) throw usage(`"${text}" is not "DATABASE: SQL => EXPECTED"`);
  const [, database, sql, expected] = match;
  return { database: database!, sql: sql!, ...(expected === undefined ? {} : { expected }) };
}

function report(output: Output, asset: string, proof: ClusterProof): void {
  const { result, requested, achieved, checks, recoveryMs, phases, baseBytes, logBytes, base, timeline } = proof;
  output.line(`${asset} ${result === 'passed' ? 'is proven' : 'is NOT proven'}: brought back to ${requestedText(requested)}`);
  output.line(`  achieved  ${achieved === undefined ? 'nothing after the base backup' : describe(achieved)}`);
  const { planMs, baseMs, logMs, checkMs } = phases;
  output.line(
    `  recovery took ${formatDuration(recoveryMs)}: plan ${formatDuration(planMs)}, ${formatBytes(baseBytes)} of base ${formatDuration(baseMs)}, ${formatBytes(logBytes)} of log ${formatDuration(logMs)}; the checks ${formatDuration(checkMs)}`,
  );
  for (const { name, outcome, detail } of checks) {
    output.line(`  ${outcome.padEnd(8)}${name}: ${detail}`);
    output.record('check', { name, outcome, detail });
  }
  output.summary('pg prove', {
    asset,
    result,
    requested: requestedText(requested),
    achieved:
      achieved === undefined
        ? null
        : { time: textOfMicros(achieved.time), position: formatLsn(achieved.position), transaction: achieved.id },
    base,
    timeline,
    recoveryMs: Math.round(recoveryMs),
    phases: Object.fromEntries(Object.entries(phases).map(([name, ms]) => [name, Math.round(ms)])),
    baseBytes,
    logBytes,
  });
}

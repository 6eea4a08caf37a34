// Frees what no snapshot needs any more, while backups go on.

import { EXIT } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { isBase } from '../engine/cluster-facts.ts';
import { trimCluster } from '../engine/cluster-retention.ts';
import { type PruneOptions, PruneProgress, type PruneReport, prune as pruneRepository } from '../repository/prune.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import { hostOf, userOf } from './person.ts';
import { watch } from './progress-line.ts';
import type { Invocation } from './verb.ts';

export function prune(invocation: Invocation): Promise<number> {
  const limits = pruneLimits(invocation.options);
  return withRepository(invocation, async (repository) => {
    const { summary, exit } = await pruneAndTrim(invocation, repository, limits);
    invocation.output.summary('prune', { ...summary, durationMs: Math.round(performance.now()) });
    return exit;
  });
}

export type PruneLimits = Pick<PruneOptions, 'unusedShareMax' | 'revokeAfterMs'>;

/** Of --max-unused and --revoke-after. */
export function pruneLimits(options: OptionValues): PruneLimits {
  const share = options.text('max-unused');
  const hours = options.count('revoke-after');
  return {
    ...(share === undefined ? {} : { unusedShareMax: parseShare(share, '--max-unused') }),
    ...(hours === undefined ? {} : { revokeAfterMs: hours * 3_600_000 }),
  };
}

/** Prunes blocks and the log of databases, and prints what was done. */
export async function pruneAndTrim(
  invocation: Invocation,
  repository: Repository,
  limits: PruneLimits,
): Promise<{ readonly summary: PruneReport & Record<string, unknown>; readonly exit: number }> {
  const { options, output, signal } = invocation;
  const progress = new PruneProgress();
  const stop = watch(output, () => ({
    bytesDone: progress.bytesDone,
    bytesTotal: progress.bytesTotal > 0 ? progress.bytesTotal : undefined,
    notes: [
      progress.phase,
      `${progress.snapshotsDone} / ${progress.snapshotsTotal} snapshots`,
      `${progress.packsDone} / ${progress.packsTotal} packs moved`,
      `${progress.packsDeleted} deleted`,
    ],
    fields: { ...progress },
  }));
  try {
    const by = `${userOf()}@${hostOf(undefined)}`;
    const report = await pruneRepository(repository, { by, dryRun: options.flag('dry-run'), signal, progress, ...limits });
    stop();
    print(invocation, report);
    const log = await trimLogs(invocation, repository);
    return { summary: { ...report, ...log }, exit: report.damagedPacks.length > 0 ? EXIT.damage : 0 };
  } finally {
    stop();
  }
}

/** Log that no base backup needs any more goes with the blocks. */
async function trimLogs({ options, output, signal }: Invocation, repository: Repository): Promise<Record<string, number>> {
  const dryRun = options.flag('dry-run');
  const all = await listSnapshots(repository, await repository.heads.read({ signal }), { signal });
  let objects = 0;
  let bytes = 0;
  for (const asset of new Set(all.filter(isBase).map((snapshot) => snapshot.asset))) {
    const report = await trimCluster(repository, asset, { dryRun, signal });
    if (report === undefined || report.objects + report.epochs === 0) continue;
    objects += report.objects;
    bytes += report.bytes;
    output.line(
      `  log of ${asset}: ${report.objects} objects, ${formatBytes(report.bytes)} ${dryRun ? 'would be ' : ''}deleted; no base backup needs them`,
    );
  }
  return { logObjectsDeleted: objects, logBytesFreed: bytes };
}

/** "5%" or "0.05" -> 0.05 */
export function parseShare(text: string, option: string): number {
  const match = /^(\d{1,3}(?:\.\d+)?)\s*(%?)$/.exec(text.trim());
  const share = match === null ? Number.NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (!(share >= 0 && share <= 1)) throw usage(`${option} must be a share such as 5% or 0.05; "${text}" is not`);
  return share;
}

function print({ output }: Invocation, report: PruneReport): void {
  const would = report.dryRun ? 'would be ' : '';
  output.line(
    `${report.packsBefore} packs, ${formatBytes(report.bytesBefore)}; ${formatBytes(report.bytesUsed)} of it is needed by ${report.snapshots} snapshots`,
  );
  output.line(
    `  ${report.packsDropped} packs ${would}dropped, ${report.packsMoved} rewritten, ${report.packsOrphaned} left behind by writers that died`,
  );
  output.line(
    `  ${formatBytes(report.bytesFreed)} ${would}freed; ${formatBytes(report.bytesUnusedAfter)} stay unused; index objects ${report.indexesBefore} -> ${report.indexesAfter}`,
  );
  for (const writer of report.revoked) output.line(`  given up: the backup ${nameOf(writer)}`);
  for (const writer of report.waiting) output.line(`  waits for the backup ${nameOf(writer)}; a later prune frees the rest`);
  for (const pack of report.damagedPacks)
    output.warning(`The pack ${pack} is damaged and was left as it is; run "holdfast repair"`, { pack });
  if (!report.dryRun) output.line(`  took ${formatDuration(performance.now())}`);
}

function nameOf({ session, host, processId, startedAt }: PruneReport['revoked'][number]): string {
  return `${session.slice(0, 8)} on ${host} (process ${processId}, since ${startedAt})`;
}

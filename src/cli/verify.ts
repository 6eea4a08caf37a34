// Proves a repository: its structure, a sample of its packs, or every byte.

import { EXIT, isFault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import {
  type AffectedSnapshot,
  type DamagedThing,
  type VerifyDepth,
  VerifyProgress,
  verify as verifyRepository,
} from '../engine/verify.ts';
import { recordDamage, type VerifiedLogs } from '../engine/verify-log.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Repository } from '../repository/repository.ts';
import { withRepository } from './open.ts';
import { type OptionValues, usage } from './option.ts';
import type { Output } from './output.ts';
import { pathFields } from './paths.ts';
import { type Gauge, watch } from './progress-line.ts';
import { parseShare } from './prune.ts';
import { shortId } from './snapshot-fields.ts';
import { formatTime } from './table.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

export function verify(invocation: Invocation): Promise<number> {
  const { options, output, signal, early } = invocation;
  const depth = depthOf(options);
  return withRepository(invocation, async (repository) => {
    const progress = new VerifyProgress();
    const stop = watch(output, () => verifyGauge(progress));
    try {
      const { readThreads } = early;
      const report = await verifyRepository(repository, { depth, threads: threadsOf(options), readThreads, signal, progress });
      stop();
      await record(invocation, repository, report.logs);
      const { outcome, snapshots, nodes, packs, packsRead, bytesRead, damaged, damagedCount, affected, logs } = report;
      printDamage(output, damaged, damagedCount);
      printAffected(output, affected);
      output.line(
        `${outcome === 'clean' ? 'Clean' : `DAMAGED: ${damagedCount} damaged things, ${affected.length} affected snapshots`}: ${snapshots} snapshots, ${nodes} nodes of maps, ${packs} packs${logs.objects === 0 ? '' : `, ${logs.objects} log objects`}`,
      );
      output.line(
        `  ${packsRead === 0 ? 'no pack was read (--full reads all)' : `${packsRead} packs read, ${formatBytes(bytesRead)}`}; took ${formatDuration(performance.now())}`,
      );
      output.summary('verify', {
        depth: depth.kind,
        ...(depth.kind === 'sample' ? { share: depth.share, seed: depth.seed } : {}),
        outcome,
        snapshots,
        nodes,
        packs,
        packsRead,
        bytesRead,
        damaged: damagedCount,
        affected: affected.length,
        logObjects: logs.objects,
        logObjectsRead: logs.objectsRead,
        logDamaged: logs.damaged.length,
        durationMs: Math.round(performance.now()),
      });
      return outcome === 'clean' ? 0 : EXIT.damage;
    } finally {
      stop();
    }
  });
}

/** A window must not promise what was found damaged. Who may only read goes on without. */
async function record({ signal, output }: Invocation, repository: Repository, logs: VerifiedLogs): Promise<void> {
  try {
    await recordDamage(repository, logs, new Date(), { signal });
  } catch (error) {
    if (!isFault(error, 'STORE_DENIED', 'STORE_FULL')) throw error;
    output.warning(`The damage of the log is not written down, so windows still promise it: ${error.message}`, {});
  }
}

function depthOf(options: OptionValues): VerifyDepth {
  const sample = options.text('sample');
  if (sample === undefined) return { kind: options.flag('full') ? 'full' : 'structure' };
  if (options.flag('full')) throw usage('--full and --sample are two depths');
  return {
    kind: 'sample',
    share: parseShare(sample, '--sample'),
    seed: options.count('seed') ?? Math.floor(Math.random() * 2 ** 32),
  };
}

export function verifyGauge({
  phase,
  bytesDone,
  bytesTotal,
  packsDone,
  packsTotal,
  snapshotsDone,
  snapshotsTotal,
  nodesDone,
  damaged,
}: VerifyProgress): Gauge {
  const notes =
    phase === 'structure'
      ? [`${snapshotsDone} / ${snapshotsTotal} snapshots`, `${nodesDone} nodes`]
      : [`${packsDone} / ${packsTotal} packs`];
  if (damaged > 0) notes.push(`${damaged} DAMAGED`);
  return {
    bytesDone,
    bytesTotal: bytesTotal > 0 ? bytesTotal : undefined,
    notes,
    fields: { phase, packsDone, packsTotal, snapshotsDone, snapshotsTotal, nodesDone, damaged },
  };
}

export function printDamage(output: Output, damaged: readonly DamagedThing[], count: number): void {
  for (const { kind, id, pack, message } of damaged) {
    if (output.isJson) output.record('damage', { thing: kind, id, ...(pack === undefined ? {} : { pack }), message });
    else output.line(`damaged ${kind} ${id}: ${message}`);
  }
  if (count > damaged.length) output.line(`... and ${count - damaged.length} more`);
}

export function printAffected(output: Output, affected: readonly AffectedSnapshot[]): void {
  for (const { session, asset, startedAt, paths, pathsCount } of affected) {
    if (output.isJson) {
      output.record('affected', {
        snapshot: session,
        asset,
        startedAt,
        pathsCount,
        paths: paths.map(({ path, until }) => ({
          ...pathFields(path),
          ...(until === undefined ? {} : { until: pathFields(until).path }),
        })),
      });
      continue;
    }
    output.line(
      `snapshot ${shortId(session)}${asset === '' ? '' : ` of ${asset}, ${formatTime(startedAt)}`} cannot be restored whole:`,
    );
    for (const { path, until } of paths)
      output.line(
        `  ${displayPath(path === '' ? '.' : path)}${until === undefined ? '' : ` and what follows, ${until === '' ? 'to the end' : `up to ${displayPath(until)}`}`}`,
      );
    if (pathsCount > paths.length) output.line(`  ... and ${pathsCount - paths.length} more`);
  }
}

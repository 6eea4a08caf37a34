// Mends what verify finds: rebuilds the index, fetches packs from another copy, isolates what is lost and names what it belonged to.

import { EXIT } from '../base/faults.ts';
import { formatDuration } from '../base/units.ts';
import { RepairProgress, type RepairReport, rebuildHead, repair as repairRepository } from '../engine/repair.ts';
import type { Repository } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openStoreOf, withRepository } from './open.ts';
import { hostOf, userOf } from './person.ts';
import { watch } from './progress-line.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { printAffected, printDamage } from './verify.ts';

export function repair(invocation: Invocation): Promise<number> {
  const { options } = invocation;
  return withRepository(invocation, async (repository) => {
    const location = options.text('from');
    const from = location === undefined ? undefined : await openStoreOf(invocation, location, false);
    try {
      if (options.flag('rebuild-head')) {
        const status = await rebuild(invocation, repository);
        // Without a head there is nothing to look at.
        if (options.flag('dry-run')) return status;
        return Math.max(status, await mend(invocation, repository, from));
      }
      return await mend(invocation, repository, from);
    } finally {
      await from?.close();
    }
  });
}

async function rebuild({ options, output, signal }: Invocation, repository: Repository): Promise<number> {
  const { snapshots, indexes, packs, damaged } = await rebuildHead(repository, {
    by: `${userOf()}@${hostOf(undefined)}`,
    threads: threadsOf(options),
    dryRun: options.flag('dry-run'),
    signal,
  });
  output.line(
    `${options.flag('dry-run') ? 'Would make' : 'Made'} a new head: ${snapshots} snapshots, ${indexes} index objects, ${packs} packs`,
  );
  output.record('head', { snapshots, indexes, packs, damaged: damaged.length });
  for (const { session, fault } of damaged)
    output.warning(`The snapshot ${session} is lost: ${fault.message}`, { code: 'SNAPSHOT_DAMAGED', snapshot: session });
  if (options.flag('dry-run')) output.summary('repair', { dryRun: true, durationMs: Math.round(performance.now()) });
  return damaged.length > 0 ? EXIT.damage : 0;
}

async function mend(invocation: Invocation, repository: Repository, from: ObjectStore | undefined): Promise<number> {
  const { options, output, signal } = invocation;
  const progress = new RepairProgress();
  const stop = watch(output, () => ({
    bytesDone: progress.bytesDone,
    bytesTotal: progress.bytesTotal > 0 ? progress.bytesTotal : undefined,
    notes: [progress.phase, `${progress.packsDone} / ${progress.packsTotal} packs`],
    fields: { ...progress },
  }));
  try {
    const report = await repairRepository(repository, {
      by: `${userOf()}@${hostOf(undefined)}`,
      threads: threadsOf(options),
      readPacks: !options.flag('quick'),
      dryRun: options.flag('dry-run'),
      signal,
      progress,
      ...(from === undefined ? {} : { from }),
    });
    stop();
    print(invocation, report);
    return report.outcome === 'lost' ? EXIT.damage : 0;
  } finally {
    stop();
  }
}

const OUTCOMES: Readonly<Record<RepairReport['outcome'], string>> = {
  clean: 'Nothing is damaged',
  mended: 'Everything could be mended',
  lost: 'Some data is lost: what is named above cannot be restored whole, and the next backup stores anew what it meets',
};

function print({ output }: Invocation, report: RepairReport): void {
  const { damaged, affected, ...numbers } = report;
  printDamage(output, damaged, report.damagedCount);
  printAffected(output, affected);
  output.line(`${report.dryRun ? 'Dry run: ' : ''}${OUTCOMES[report.outcome]}`);
  output.line(
    `  ${report.indexesRebuilt} index objects rebuilt, ${report.packsFetched} packs fetched, ${report.packsSalvaged} salvaged; ${report.blocksSalvaged} blocks saved, ${report.blocksLost} lost; ${report.logsMended} log objects fetched; took ${formatDuration(performance.now())}`,
  );
  output.summary('repair', { ...numbers, affected: affected.length, durationMs: Math.round(performance.now()) });
}

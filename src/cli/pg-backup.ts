// Makes one base backup.

import { formatBytes, formatDuration } from '../base/units.ts';
import { BackupProgress } from '../engine/backup-progress.ts';
import { baseFactsOf } from '../engine/cluster-facts.ts';
import { withRepository } from './open.ts';
import { hostOf } from './person.ts';
import { assetOfServer, backUpCluster, serverOf } from './pg-server.ts';
import { watch } from './progress-line.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

export async function pgBackup(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const address = serverOf(invocation);
  return withRepository(invocation, async (repository) => {
    const asset = assetOfServer(invocation, address, hostOf(options));
    const progress = new BackupProgress();
    const stop = watch(output, () => ({
      bytesDone: progress.bytesDone,
      bytesTotal: undefined,
      notes: [`${progress.entriesDone} files`],
      fields: { bytesRead: progress.bytesRead, entriesDone: progress.entriesDone },
    }));
    try {
      const snapshot = await backUpCluster({
        invocation,
        repository,
        address,
        asset,
        progress,
        signal,
        fast: !options.flag('spread'),
        manifest: options.flag('sha256') ? 'SHA256' : 'CRC32C',
        keepCorruptPages: options.flag('keep-corrupt-pages'),
        stream: options.flag('stream'),
      });
      stop();
      const { bytesRead, bytesNew, bytesStored, durationMs } = snapshot.statistics;
      const { startPosition, stopPosition, timeline, streamedFor } = baseFactsOf(snapshot);
      output.line(
        `Base backup ${shortId(snapshot.id)} of ${asset}: log ${startPosition} to ${stopPosition} of timeline ${timeline}`,
      );
      output.line(
        `  ${formatBytes(bytesRead)} read, ${formatBytes(bytesNew)} new, ${formatBytes(bytesStored)} stored; took ${formatDuration(durationMs)}`,
      );
      output.line(`  the files were ${streamedFor === undefined ? 'read here' : `sent by the server: ${streamedFor}`}`);
      output.summary('pg backup', {
        snapshot: snapshot.id,
        asset,
        startPosition,
        stopPosition,
        timeline: Number(timeline),
        ...(streamedFor === undefined ? {} : { streamedFor }),
        bytesRead,
        bytesNew,
        bytesStored,
        durationMs,
      });
      return 0;
    } finally {
      stop();
    }
  });
}

// The line that tells how far a recovery is: base backup and log as one way, with an estimate of the rest.

import type { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import type { Output } from './output.ts';
import { watch } from './progress-line.ts';

const PHASES = { plan: 'planning', base: 'base backup', log: 'replaying the log', reached: 'done' } as const;

/** Draws until the answered function is called. */
export function watchRecovery(output: Output, progress: RecoveryProgress): () => void {
  return watch(output, () => {
    const { phase, allBytesDone, allBytesTotal, bytesFetched, bytesKept, logBytesDone, logBytesTotal } = progress;
    const remainingMs = progress.remainingMs(performance.now());
    return {
      bytesDone: allBytesDone,
      bytesTotal: allBytesTotal === 0 ? undefined : allBytesTotal,
      notes: [PHASES[phase]],
      fields: {
        phase,
        bytesFetched,
        bytesKept,
        logBytesDone,
        logBytesTotal,
        remainingMs: remainingMs === undefined ? null : Math.round(remainingMs),
      },
    };
  });
}

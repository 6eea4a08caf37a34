// Brings back what somebody has deleted or overwritten in a bucket that keeps versions.

import { EXIT } from '../base/faults.ts';
import { formatDuration } from '../base/units.ts';
import { UndeleteProgress, undelete as undeleteStore } from '../replica/undelete.ts';
import { locationOf, openStoreOf } from './open.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import { watch } from './progress-line.ts';
import type { Invocation } from './verb.ts';

const PARALLEL = 8;

export async function undelete(invocation: Invocation): Promise<number> {
  const { options, environment, output, signal } = invocation;
  const dryRun = options.flag('dry-run');
  const file = options.text('passphrase-file');
  const passphrase = await readPassphrase({ ...REPOSITORY_PASSPHRASE, file, isNew: false }, environment, output);
  const store = await openStoreOf(invocation, locationOf(options, environment), false);
  const progress = new UndeleteProgress();
  const stop = watch(output, () => ({
    bytesDone: 0,
    bytesTotal: undefined,
    notes: [`${progress.looked} looked at`, `${progress.returned} brought back`, `${progress.lostCount} lost`],
    fields: { looked: progress.looked, returned: progress.returned, lost: progress.lostCount },
  }));
  try {
    await undeleteStore({
      store,
      passphrase,
      dryRun,
      parallel: options.count('parallel') ?? PARALLEL,
      signal,
      progress,
    });
    stop();
    const { looked, returned, lost, lostCount } = progress;
    for (const key of lost) {
      if (output.isJson) output.record('damage', { thing: 'object', id: key, message: 'lost' });
      else output.line(`LOST ${key}`);
    }
    output.line(
      `${returned} of ${looked} objects ${dryRun ? 'would be ' : ''}brought back, ${lostCount} lost; took ${formatDuration(performance.now())}`,
    );
    output.summary('undelete', { looked, returned, lost: lostCount, dryRun, durationMs: Math.round(performance.now()) });
    return lostCount === 0 ? 0 : EXIT.damage;
  } finally {
    stop();
    await store.close();
  }
}

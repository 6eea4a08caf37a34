// Locks what can be restored, so that nobody can delete it for so many days.

import { join } from 'node:path';
import { EXIT } from '../base/faults.ts';
import { formatDuration } from '../base/units.ts';
import { LockProgress, lockContents, usualSlackMs } from '../replica/lock-contents.ts';
import { LockMarks } from '../replica/lock-marks.ts';
import { hex } from '../repository/layout.ts';
import { openRepository } from '../repository/open.ts';
import { systemTiming } from '../store/timing.ts';
import { cacheDirectoryOf, locationOf, openStoreOf } from './open.ts';
import { usage } from './option.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import { watch } from './progress-line.ts';
import type { Invocation } from './verb.ts';

const DAY_MS = 86_400_000;
const PARALLEL = 8;

export async function lock(invocation: Invocation): Promise<number> {
  const { options, environment, output, signal } = invocation;
  const days = options.count('days');
  if (days === undefined) throw usage('"holdfast lock" needs --days N');
  const slackDays = options.count('slack');
  const file = options.text('passphrase-file');
  const passphrase = await readPassphrase({ ...REPOSITORY_PASSPHRASE, file, isNew: false }, environment, output);
  const store = await openStoreOf(invocation, locationOf(options, environment), false);
  const progress = new LockProgress();
  const stop = watch(output, () => ({
    bytesDone: 0,
    bytesTotal: undefined,
    notes: [`${progress.locked} locked`, `${progress.skipped} are locked long enough`],
    fields: { ...progress },
  }));
  try {
    const { keyring, parameters } = await openRepository(store, passphrase);
    const marks = new LockMarks(join(cacheDirectoryOf(invocation), hex(parameters.id)), store.location, {
      nowMs: () => performance.now(),
      forget: options.flag('all'),
    });
    const { locked, skipped, missing, until } = await lockContents({
      store,
      keyring,
      // The next run is a day away.
      lockMs: (days + 1) * DAY_MS,
      slackMs: slackDays === undefined ? usualSlackMs(days * DAY_MS) : slackDays * DAY_MS,
      now: new Date(),
      marks,
      parallel: options.count('parallel') ?? PARALLEL,
      requestsPerSecond: options.count('requests'),
      timing: systemTiming,
      signal,
      progress,
    });
    stop();
    for (const key of missing) {
      if (output.isJson) output.record('damage', { thing: 'object', id: key, message: 'deleted' });
      else output.line(`MISSING ${key}`);
    }
    if (missing.length > 0)
      output.warning('Somebody has deleted what is needed; run "holdfast undelete"', { missing: missing.length });
    const byItselfMs = (await store.lockedForMs?.({ signal })) ?? 0;
    if (byItselfMs < days * DAY_MS)
      output.warning(
        `The bucket locks new objects for ${Math.floor(byItselfMs / DAY_MS)} days by itself: what is stored before the next "holdfast lock" is not safe for ${days}`,
        { bucketDays: Math.floor(byItselfMs / DAY_MS) },
      );
    output.line(
      `Locked ${locked} objects; ${skipped} were locked long enough; all until ${until.toISOString()} at least; took ${formatDuration(performance.now())}`,
    );
    output.summary('lock', {
      locked,
      skipped,
      missing: missing.length,
      until: until.toISOString(),
      bucketDays: Math.floor(byItselfMs / DAY_MS),
      durationMs: Math.round(performance.now()),
    });
    return missing.length === 0 ? 0 : EXIT.damage;
  } finally {
    stop();
    await store.close();
  }
}

// Proves, without any key, that the objects of a store are those that their names say.

import { EXIT, Fault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { scrub as scrubStore, VerifyProgress } from '../engine/verify.ts';
import { REPOSITORY_OBJECT } from '../repository/layout.ts';
import { locationOf, openStoreOf } from './open.ts';
import { watch } from './progress-line.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { verifyGauge } from './verify.ts';

export async function scrub(invocation: Invocation): Promise<number> {
  const { options, environment, output, signal } = invocation;
  const store = await openStoreOf(invocation, locationOf(options, environment), false);
  const progress = new VerifyProgress();
  const stop = watch(output, () => verifyGauge(progress));
  try {
    if ((await store.size(REPOSITORY_OBJECT, { signal })) === undefined)
      throw new Fault('FORMAT_NOT_A_REPOSITORY', `There is no repository at ${store.location}`);
    const { outcome, packs, indexes, logs, bytesRead, damaged, damagedCount } = await scrubStore(store, {
      threads: threadsOf(options),
      signal,
      progress,
    });
    stop();
    for (const { key, message } of damaged) {
      if (output.isJson) output.record('damage', { thing: 'object', id: key, message });
      else output.line(`damaged object ${key}: ${message}`);
    }
    if (damagedCount > damaged.length) output.line(`... and ${damagedCount - damaged.length} more`);
    output.line(
      `${outcome === 'clean' ? 'Clean' : `DAMAGED: ${damagedCount} objects`}: ${packs} packs, ${indexes} index objects and ${logs} log objects, ${formatBytes(bytesRead)}; took ${formatDuration(performance.now())}`,
    );
    output.summary('scrub', {
      outcome,
      packs,
      indexes,
      logs,
      bytesRead,
      damaged: damagedCount,
      durationMs: Math.round(performance.now()),
    });
    return outcome === 'clean' ? 0 : EXIT.damage;
  } finally {
    stop();
    await store.close();
  }
}

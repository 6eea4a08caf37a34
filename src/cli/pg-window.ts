// Lists what a cluster can be brought back to.

import { Fault } from '../base/faults.ts';
import { pathTo, recoveryWindow } from '../engine/recovery-plan.ts';
import { timesAround } from '../engine/verify-log.ts';
import { textOfMicros } from '../model/instant-text.ts';
import { formatLsn } from '../model/lsn.ts';
import { withRepository } from './open.ts';
import { clusterOf } from './pg-cluster.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

export async function pgWindow(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withRepository(invocation, async (repository) => {
    const { asset, cluster } = await clusterOf(invocation, repository);
    const timeline = options.count('timeline') ?? cluster.view.timeline;
    if (pathTo(timeline, cluster.facts.lineages) === undefined)
      throw new Fault('RECOVERY_REFUSED', `No history of timeline ${timeline} of "${asset}" is stored`);
    const intervals = await recoveryWindow(cluster.facts, timeline);
    output.line(`${asset}, timeline ${timeline}:`);
    for (const { from, to, bases, timeline: ends } of intervals) {
      const evidence =
        to.mark === undefined
          ? 'no transaction since the base backup'
          : `transaction ${to.mark.id} at ${formatLsn(to.mark.position)}`;
      output.line(`  ${textOfMicros(from.time)} to ${textOfMicros(to.time)}  (${evidence}; base ${bases.map(shortId).join(', ')})`);
      output.record('interval', {
        timeline: ends,
        bases,
        from: { time: textOfMicros(from.time), position: formatLsn(from.position) },
        to: {
          time: textOfMicros(to.time),
          position: formatLsn(to.position),
          transaction: to.mark?.id ?? null,
          at: to.mark === undefined ? null : formatLsn(to.mark.position),
        },
      });
    }
    if (intervals.length === 0) output.line('  nothing can be restored yet: there is no base backup whose log is stored');
    for (const { timeline: on, from, to, cause } of cluster.facts.gaps) {
      const { after, before } = await timesAround(cluster.view, on, from, to);
      const [since, until] = [after, before].map((micros) => (micros === 0 ? null : textOfMicros(micros)));
      output.line(
        `  gap: ${formatLsn(from)} to ${formatLsn(to)} of timeline ${on} (after ${since ?? 'the beginning'}, before ${until ?? 'the end'}): ${cause}`,
      );
      output.record('gap', { timeline: on, from: formatLsn(from), to: formatLsn(to), after: since, before: until, cause });
    }
    for (const { timeline: on, position, before, after } of cluster.facts.clockSteps) {
      output.line(
        `  clock: set back from ${textOfMicros(before)} to ${textOfMicros(after)} at ${formatLsn(position)} of timeline ${on}: what it passed twice is gone back to by --lsn`,
      );
      output.record('clockStep', {
        timeline: on,
        position: formatLsn(position),
        before: textOfMicros(before),
        after: textOfMicros(after),
      });
    }
    const last = intervals.at(-1);
    output.summary('pg window', {
      asset,
      timeline,
      intervals: intervals.length,
      gaps: cluster.facts.gaps.length,
      latest: last === undefined ? null : textOfMicros(last.to.time),
    });
    return 0;
  });
}

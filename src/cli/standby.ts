// Making a warm standby from a site's own repository, and saying how it is.

import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { serverFactsOf, usualPrograms } from '../../agents/postgres/server-programs.ts';
import { makeStandby, standbyWay } from '../../agents/standby/make-standby.ts';
import { measureStandby } from '../../agents/standby/measure.ts';
import { mustBeStandby } from '../../agents/standby/standby-directory.ts';
import { STANDBY_LIMITS, type StandbyHealth } from '../../agents/standby/standby-health.ts';
import { EXIT } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { formatLsn } from '../model/lsn.ts';
import type { Repository } from '../repository/repository.ts';
import { withRepository } from './open.ts';
import { usage } from './option.ts';
import { clusterOf } from './pg-cluster.ts';
import { watchRecovery } from './pg-progress.ts';
import { tablespacesOf } from './pg-restore.ts';
import { serverOf } from './pg-server.ts';
import { PROGRAM } from './pg-target.ts';
import { pinned } from './pinned.ts';
import { shortId } from './snapshot-fields.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

/** Between two looks, by which a server that stands still is known. */
const LOOK_AGAIN_MS = 3_000;

export async function standbyMake(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const target = options.text('target');
  if (target === undefined) throw usage('Name the data directory with --target');
  const dataDirectory = resolve(target);
  return withRepository(invocation, async (repository) => {
    const began = performance.now();
    const { asset, cluster } = await clusterOf(invocation, repository);
    const timeline = options.count('timeline') ?? cluster.view.timeline;
    const { base } = standbyWay(cluster, timeline);
    const snapshot = cluster.snapshots.get(base.snapshot)!;
    const progress = new RecoveryProgress();
    const stop = watchRecovery(output, progress);
    let facts: Awaited<ReturnType<typeof makeStandby>>;
    try {
      facts = await pinned(invocation, repository, snapshot, () =>
        makeStandby({
          repository,
          cluster,
          asset,
          timeline,
          dataDirectory,
          delta: options.flag('delta'),
          tablespaces: tablespacesOf(options),
          programs: options.text('bin-dir') ?? usualPrograms(serverFactsOf(snapshot)),
          program: PROGRAM,
          threads: threadsOf(options),
          now: () => new Date(),
          signal,
          progress,
        }),
      );
    } finally {
      stop();
    }
    const { bytesDone, bytesFetched, bytesKept } = progress;
    output.line(`${dataDirectory} is a standby of ${asset} on timeline ${timeline}, from the base ${shortId(base.snapshot)}`);
    output.line(
      `  ${formatBytes(bytesDone)} in its place, ${formatBytes(bytesFetched)} fetched${bytesKept > 0 ? `, ${formatBytes(bytesKept)} were there already` : ''}; took ${formatDuration(performance.now() - began)}`,
    );
    output.summary('standby make', { ...facts, bytesDone, bytesFetched, bytesKept });
    return 0;
  });
}

export async function standbyStatus(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const target = options.text('target');
  if (target === undefined) throw usage('Name the data directory with --target');
  const facts = mustBeStandby(resolve(target));
  const tell = async (repository: Repository): Promise<number> => {
    const look = (stillSeconds: number): Promise<StandbyHealth> =>
      measureStandby({ repository, facts, address: serverOf(invocation), stillSeconds, now: new Date() }, STANDBY_LIMITS, signal);
    let health = await look(0);
    if (health.condition === 'healthy' && health.behindBytes !== 0) {
      await sleep(LOOK_AGAIN_MS, undefined, { signal });
      const { replayed } = health;
      health = await look(0);
      if (health.replayed === replayed) health = await look(Number.POSITIVE_INFINITY);
    }
    const { condition, problem, note, replayed, furthest, behindBytes, behindSeconds, gap, replicaAgeSeconds } = health;
    output.line(
      `${facts.asset}, standby on timeline ${facts.timeline}: ${condition}${problem === undefined ? '' : `: ${problem}`}`,
    );
    const place = (position: number | undefined): string => (position === undefined ? 'unknown' : formatLsn(position));
    output.line(`  replayed ${place(replayed)}, stored here up to ${place(furthest)}`);
    if (behindBytes !== undefined)
      output.line(`  behind: ${formatBytes(behindBytes)}${behindSeconds === undefined ? '' : `, ${behindSeconds.toFixed(1)} s`}`);
    if (facts.sealed !== null) output.line(`  its log was sealed at ${formatLsn(facts.sealed)}`);
    if (note !== undefined) output.line(`  ${note}`);
    output.summary('standby status', {
      asset: facts.asset,
      condition,
      problem: problem ?? null,
      note: note ?? null,
      timeline: facts.timeline,
      replayed: replayed === undefined ? null : formatLsn(replayed),
      storedTo: furthest === undefined ? null : formatLsn(furthest),
      behindBytes: behindBytes ?? null,
      behindSeconds: behindSeconds ?? null,
      replicaAgeSeconds: replicaAgeSeconds ?? null,
      gap: gap === undefined ? null : { ...gap, from: formatLsn(gap.from), to: formatLsn(gap.to) },
      sealed: facts.sealed === null ? null : formatLsn(facts.sealed),
    });
    if (condition === 'healthy') return 0;
    return condition === 'lagging' ? EXIT.warnings : EXIT.damage;
  };
  return withRepository(invocation, tell, { isPatient: false });
}

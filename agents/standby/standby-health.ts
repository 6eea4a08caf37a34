// How a standby is. That it has replayed everything which is there says nothing: a hole in the log looks just the same. So its place is
// compared with the furthest that is stored, whatever lies between, and the replica itself must be known to be current.

import type { KnownGap } from '../../src/engine/recovery-plan.ts';
import { formatLsn } from '../../src/model/lsn.ts';

/** healthy: it has, or is about to have, all that is stored. lagging: it moves, and is too far behind. gap ahead: log that it needs is
 *  missing, and there is log behind. stalled: nothing moves although it should. broken: it is no working standby. */
export type StandbyCondition = 'healthy' | 'lagging' | 'gap ahead' | 'stalled' | 'broken';

export type StandbyLimits = {
  readonly lagBytes: number;
  readonly lagSeconds: number;
  /** Without replay although there is log. */
  readonly stallSeconds: number;
  /** Since the replication has looked at its source. */
  readonly replicaSeconds: number;
};

export const STANDBY_LIMITS: StandbyLimits = { lagBytes: 256 * 1024 * 1024, lagSeconds: 30, stallSeconds: 60, replicaSeconds: 60 };

export type StandbyServer = {
  readonly systemId: string;
  readonly isInRecovery: boolean;
  /** Undefined before it has replayed anything. */
  readonly replayed: number | undefined;
  /** Of the last transaction that was replayed, Unix microseconds; 0: none yet. */
  readonly lastTransaction: number;
};

/** What the repository has for it. */
export type StandbyLogState = {
  /** It could be replayed up to here. */
  readonly reach: number;
  /** The furthest that is stored on its timeline. */
  readonly furthest: number;
  /** Of the last transaction before `reach`; 0: none is known. */
  readonly lastTransaction: number;
  readonly gap: KnownGap | undefined;
  /** Newer than its own, whose history leads over it or not. */
  readonly newerTimeline: number | undefined;
};

export type StandbyMeasures = {
  readonly facts: { readonly systemId: string; readonly timeline: number; readonly sealed: number | null };
  /** Why there is none. */
  readonly server: StandbyServer | string;
  readonly log: StandbyLogState | string;
  /** Since the replication has looked at its source; undefined: the repository is no replica. */
  readonly replicaAgeSeconds: number | undefined;
  /** Since it has last replayed something, as far as anybody has looked. */
  readonly stillSeconds: number;
  /** What its helper waits for. */
  readonly trouble: { readonly code: string; readonly message: string } | undefined;
};

export type StandbyHealth = {
  readonly condition: StandbyCondition;
  readonly timeline: number;
  readonly replayed: number | undefined;
  readonly furthest: number | undefined;
  /** Stored and not replayed. */
  readonly behindBytes: number | undefined;
  /** By the database's clock: how much of what is stored is not replayed. */
  readonly behindSeconds: number | undefined;
  readonly replicaAgeSeconds: number | undefined;
  readonly gap: KnownGap | undefined;
  readonly problem: string | undefined;
  /** Worth knowing, and no fault of its own. */
  readonly note: string | undefined;
};

export function judgeStandby(measures: StandbyMeasures, limits: StandbyLimits): StandbyHealth {
  const { server, log, facts, replicaAgeSeconds } = measures;
  const known = typeof server === 'string' ? undefined : server;
  const stored = typeof log === 'string' ? undefined : log;
  const replayed = known?.replayed;
  const furthest = stored === undefined ? undefined : Math.min(stored.furthest, facts.sealed ?? Number.POSITIVE_INFINITY);
  const behindBytes = furthest === undefined || replayed === undefined ? undefined : Math.max(0, furthest - replayed);
  const behindMicros = behindBytes === 0 ? 0 : (stored?.lastTransaction ?? 0) - (known?.lastTransaction ?? 0);
  const isTimed = behindBytes === 0 || (behindBytes !== undefined && known!.lastTransaction > 0);
  const behindSeconds = isTimed ? Math.max(0, behindMicros) / 1_000_000 : undefined;
  const details = {
    timeline: facts.timeline,
    replayed,
    furthest,
    behindBytes,
    behindSeconds,
    replicaAgeSeconds,
    gap: stored?.gap,
    note: noteOf(measures),
  };
  return { ...details, ...conditionOf(measures, limits, { behindBytes, behindSeconds }) };
}

function noteOf({ log, facts }: StandbyMeasures): string | undefined {
  const newer = typeof log === 'string' ? undefined : log.newerTimeline;
  if (newer === undefined) return undefined;
  return `The log goes on with timeline ${newer}; this standby is pinned to ${facts.timeline} until a failover moves it`;
}

function conditionOf(
  { server, log, facts, replicaAgeSeconds, stillSeconds, trouble }: StandbyMeasures,
  { lagBytes, lagSeconds, stallSeconds, replicaSeconds }: StandbyLimits,
  { behindBytes, behindSeconds }: { readonly behindBytes: number | undefined; readonly behindSeconds: number | undefined },
): { readonly condition: StandbyCondition; readonly problem: string | undefined } {
  const is = (condition: StandbyCondition, problem?: string): ReturnType<typeof conditionOf> => ({ condition, problem });
  if (typeof log !== 'string' && log.gap !== undefined) {
    const { from, to, cause, timeline } = log.gap;
    return is('gap ahead', `The log of timeline ${timeline} is missing from ${formatLsn(from)} to ${formatLsn(to)}: ${cause}`);
  }
  if (typeof server === 'string' && trouble?.code === 'LOG_GAP') return is('gap ahead', trouble.message);
  if (typeof server === 'string') return is('broken', trouble === undefined ? server : `${server}; ${trouble.message}`);
  if (server.systemId !== facts.systemId)
    return is('broken', `The server is the cluster ${server.systemId}, not ${facts.systemId}`);
  if (!server.isInRecovery) return is('broken', 'The server does not recover: it was promoted, or was started as a primary');
  if (typeof log === 'string') return is('stalled', log);
  if (replicaAgeSeconds !== undefined && replicaAgeSeconds > replicaSeconds)
    return is('stalled', `The replication has not looked at its source for ${Math.round(replicaAgeSeconds)} s`);
  if (behindBytes === undefined) return is('lagging', trouble?.message ?? 'The server has not replayed anything yet');
  if (behindBytes > 0 && stillSeconds > stallSeconds)
    return is(
      'stalled',
      trouble?.message ?? `The server has replayed nothing for ${Math.round(stillSeconds)} s, and ${behindBytes} bytes wait`,
    );
  if (behindBytes > lagBytes || (behindSeconds ?? 0) > lagSeconds)
    return is(
      'lagging',
      `${behindBytes} bytes of log are not replayed${behindSeconds === undefined ? '' : `, ${behindSeconds.toFixed(1)} s`}`,
    );
  return is('healthy');
}

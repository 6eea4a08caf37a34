// What a standby's state is judged by, measured.

import { randomBytes } from 'node:crypto';
import { Fault, isFault } from '../../src/base/faults.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import type { KnownIndexes } from '../../src/engine/known-indexes.ts';
import type { LookOptions } from '../../src/engine/log-tail.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { type KnownGap, pathTo, wayFrom } from '../../src/engine/recovery-plan.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { registerCodec } from '../../src/repository/register-codec.ts';
import { readReplicaMark } from '../../src/repository/replica-mark.ts';
import type { LogRepository } from '../postgres/capture-options.ts';
import { PgConnection } from '../postgres/connection.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import type { StandbyFacts } from './standby-directory.ts';
import {
  judgeStandby,
  type StandbyHealth,
  type StandbyLimits,
  type StandbyLogState,
  type StandbyServer,
} from './standby-health.ts';

const STATE = `SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text,
  coalesce((extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint, 0)::text,
  (SELECT system_identifier FROM pg_control_system())::text`;

/** Why not, when it does not answer. */
export async function measureServer(address: ServerAddress, signal: AbortSignal): Promise<StandbyServer | string> {
  let sql: PgConnection | undefined;
  try {
    sql = await PgConnection.open({ address, signal });
    const [inRecovery, replayed, time, systemId] = (await sql.read(STATE)).rows[0]!;
    return {
      systemId: systemId ?? '',
      isInRecovery: inRecovery === 't',
      replayed: replayed === null || replayed === undefined ? undefined : Number(replayed),
      lastTransaction: Number(time),
    };
  } catch (error) {
    if (signal.aborted || !isFault(error)) throw error;
    return error.message;
  } finally {
    sql?.close();
  }
}

/** `replayed`: undefined: from the begin of what is stored of the timeline. */
async function measureLog(
  look: () => Promise<LogView>,
  timeline: number,
  replayed: number | undefined,
): Promise<StandbyLogState | string> {
  let view: LogView;
  try {
    view = await look();
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.message;
  }
  const { stretches, lineages } = view;
  const path = pathTo(timeline, lineages);
  if (path === undefined) return `The history of timeline ${timeline} is not stored`;
  const own = stretches.filter((one) => one.timeline === timeline);
  const furthest = own.reduce((max, { to }) => Math.max(max, to), 0);
  const newer = Math.max(0, ...view.epochs.map(({ reader }) => reader.epoch.timeline));
  const newerTimeline = newer > timeline ? newer : undefined;
  if (replayed === undefined)
    return { reach: furthest, furthest, lastTransaction: await lastTime(view, timeline, furthest), gap: undefined, newerTimeline };
  const first = path.find(({ until }) => until > replayed)?.timeline ?? timeline;
  const base = { snapshot: '', timeline: first, start: replayed, stop: replayed, stoppedAt: 0 };
  const end = wayFrom(base, timeline, { stretches, lineages })?.legs.at(-1) ?? { timeline: first, from: replayed, to: replayed };
  const reach = Math.max(replayed, end.to);
  const gap = gapBehind(view, end.timeline, reach, timeline);
  return { reach, furthest, lastTransaction: await lastTime(view, timeline, reach), gap, newerTimeline };
}

/** The hole that begins at `reach`, when there is log of the way behind it, or log that is known to be lost. */
function gapBehind(view: LogView, at: number, reach: number, timeline: number): KnownGap | undefined {
  const told = view.gaps.find((gap) => gap.timeline === at && gap.to > reach && gap.from <= reach);
  const behind = view.stretches
    .filter((one) => (one.timeline === at || (one.timeline === timeline && at !== timeline)) && one.to > reach && one.from > reach)
    .sort((a, b) => a.from - b.from)[0];
  if (told !== undefined) return { ...told, from: reach };
  if (behind === undefined) return undefined;
  const cause = `nothing is stored of it, and the log goes on at ${formatLsn(behind.from)}`;
  return { timeline: at, from: reach, to: behind.from, cause };
}

async function lastTime(view: LogView, timeline: number, to: number): Promise<number> {
  return (await view.last(timeline, 0, to, 'commit'))?.time ?? 0;
}

export type MeasuredStandby = {
  readonly repository: LogRepository;
  readonly facts: StandbyFacts;
  readonly address: ServerAddress;
  readonly now: Date;
  readonly stillSeconds: number;
  readonly trouble?: Fault;
  /** Of the looks before. */
  readonly known?: KnownIndexes;
};

/** How it is now, for whoever may read its repository and ask its server. */
export async function measureStandby(
  { repository, facts, address, now, stillSeconds, trouble, known }: MeasuredStandby,
  limits: StandbyLimits,
  signal: AbortSignal,
): Promise<StandbyHealth> {
  const server = await measureServer(address, signal);
  const replayed = typeof server === 'string' ? undefined : server.replayed;
  const [log, replicaAgeSeconds] = await Promise.all([
    measureLog(() => logOf(repository, facts, { signal, ...(known !== undefined && { known }) }), facts.timeline, replayed),
    measureReplica(repository, now, signal).catch(() => undefined),
  ]);
  return judgeStandby({ facts, server, log, replicaAgeSeconds, stillSeconds, trouble }, limits);
}

/** LOG_GAP when the asset has no log at all. */
export async function logOf(repository: LogRepository, { asset, systemId }: StandbyFacts, options: LookOptions): Promise<LogView> {
  const view = await LogView.open(repository, repository.keyring.assetId(asset), incarnationOf(systemId), options);
  if (view === undefined) throw new Fault('LOG_GAP', `The repository holds no log of "${asset}"`);
  return view;
}

/** Seconds since the replication has looked at its source; undefined when the repository is no replica. */
async function measureReplica({ store, keyring }: LogRepository, now: Date, signal: AbortSignal): Promise<number | undefined> {
  const mark = await readReplicaMark(store, registerCodec(keyring, randomBytes), { signal });
  if (mark === undefined || mark.value.state === 'released') return undefined;
  return Math.max(0, (now.getTime() - Date.parse(mark.value.asOf)) / 1000);
}

// The way back of an old primary: what it alone has written is exported, its repository becomes a copy of the one that went on, and its
// directory a standby of it, of which only what differs is fetched. Every step sees whether it was taken, so it may be asked for again after
// any crash; nothing is written over before the export is whole.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import type { EpochOfFailover, Rejoined, StandbyState } from '../../src/dr/site-control.ts';
import type { LogEnd } from '../../src/dr/writer-record.ts';
import { RestoreProgress } from '../../src/engine/restore-progress.ts';
import { segmentBytesIn, versionOf } from '../postgres/store-log-files.ts';
import { exportDivergence } from '../standby/export-divergence.ts';
import { makeStandby } from '../standby/make-standby.ts';
import type { SiteDatabase } from './site-database.ts';

const POLL_MS = 200;

export type RejoinOptions = {
  readonly database: SiteDatabase;
  /** Exports lie below it. */
  readonly directory: string;
  /** What helpers of servers are started by. */
  readonly helper: readonly string[];
  readonly threads: number;
  readonly now: () => Date;
};

export async function rejoin(
  options: RejoinOptions,
  { epoch, sealed }: EpochOfFailover & { readonly sealed: LogEnd },
  signal: AbortSignal,
): Promise<Rejoined> {
  const { database } = options;
  const { site, register, standby, seals, capture, replica, repository } = database.options;
  const { record } = await register.read({ signal });
  if (record.holder.name === site || record.epoch < epoch)
    throw refused(
      options,
      `the register says that epoch ${record.epoch} is written at "${record.holder.site}": nobody else has taken over`,
    );
  // Another failover has taken away what it held since: what it wrote then is for that one to export.
  const since = record.chain.findLast((start) => start.member.name === site && start.epoch >= epoch);
  if (since !== undefined)
    throw refused(options, `it has held epoch ${since.epoch} since: ask for the rejoin of the later failover`);
  // Whoever asks at another site does not know of the first: two would write over each other, and the gate would be opened under the second.
  await database.alone(async () => {
    if (standby.isOurs) return;
    await database.withoutGate(async () => {
      await capture.stop();
      if (seals.kept.exported?.epoch !== epoch) seals.keep({ exported: { epoch, directory: await exported(options, sealed) } });
      if (replica === undefined) throw refused(options, 'its configuration has no "copyFrom": nothing can come back here');
      // The copy that runs here makes this site's repository one of the other's (src/replica/rejoin.ts).
      await until(signal, async () => (await repository.replica(options.now(), signal))?.state === 'following');
      // Who has written to it remembers that it may.
      await repository.close();
      await made(options, sealed, signal);
    });
  });
  const state = await until<StandbyState>(signal, async () => (standby.state?.isHealthy === true ? standby.state : undefined));
  return { divergence: seals.kept.exported?.directory ?? null, standby: state };
}

async function exported(options: RejoinOptions, sealed: LogEnd): Promise<string | null> {
  const { database, directory, now } = options;
  const { asset, dataDirectory, programs } = database.options.config;
  // Its disk may only be away, with what nobody else has.
  if (!existsSync(join(dataDirectory, 'pg_wal')))
    throw refused(
      options,
      `there is no cluster in ${dataDirectory}, so what only it had cannot be exported: mount its disk; if that is gone for good, make the standby with "holdfast standby make" and ask for the rejoin again`,
    );
  const found = await exportDivergence({
    asset,
    dataDirectory,
    programs,
    segmentBytes: segmentBytesIn(join(dataDirectory, 'pg_wal')),
    version: versionOf(dataDirectory),
    sealed,
    directory,
    now,
  });
  return found?.directory ?? null;
}

/** Over the old directory. The base may be one that was made before it was left. */
async function made({ database, helper, threads, now }: RejoinOptions, sealed: LogEnd, signal: AbortSignal): Promise<void> {
  const { config, repository } = database.options;
  const { asset, dataDirectory, programs } = config;
  const cluster = await until(signal, async () => {
    const found = await repository.cluster(signal);
    // The log that follows the promotion has come, too.
    return found !== undefined && found.view.timeline > sealed.timeline ? found : undefined;
  });
  await makeStandby({
    repository: await repository.open(),
    cluster,
    asset,
    dataDirectory,
    delta: true,
    tablespaces: {},
    programs,
    program: helper,
    threads,
    now,
    signal,
    progress: new RestoreProgress(),
  });
}

async function until<T>(signal: AbortSignal, ask: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    await sleep(POLL_MS, undefined, { signal });
  }
}

function refused({ database }: RejoinOptions, why: string): Fault {
  return new Fault('SITE_REFUSED', `${database.options.config.asset}: ${why}`);
}

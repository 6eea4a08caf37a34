// A standby at work: its log is handed to its server, its state is measured, and it is brought exactly to where a log was sealed. Its server
// is started and stopped by the gate alone; whichever of the two is there first waits for the other, and each may be restarted.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { LogEnd } from '../../src/dr/writer-record.ts';
import { KnownIndexes } from '../../src/engine/known-indexes.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { RecentLog } from '../../src/engine/recent-log.ts';
import { pathTo, wayFrom } from '../../src/engine/recovery-plan.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import type { LogRepository } from '../postgres/capture-options.ts';
import { PgConnection } from '../postgres/connection.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { type HeartbeatRow, readHeartbeat, systemIdOf } from '../postgres/heartbeat.ts';
import { LogServer } from '../postgres/log-server.ts';
import { ownerOf } from '../postgres/restore.ts';
import { samePlace } from '../postgres/wal-records.ts';
import { sealedPlace, verifyChain } from './chain.ts';
import { type LogLoss, lossBehind } from './log-loss.ts';
import { measureServer, measureStandby } from './measure.ts';
import {
  configureStandby,
  endStandby,
  LOG_SOCKET,
  makeRunDirectory,
  mustBeStandby,
  type StandbyFacts,
  writeStandby,
} from './standby-directory.ts';
import { STANDBY_LIMITS, type StandbyHealth, type StandbyLimits } from './standby-health.ts';
import { StandbyLog } from './standby-log.ts';
import { WalSender } from './wal-sender.ts';

const POLL_MS = 50;

export type StandbyOptions = {
  /** Of its own site: the replica. */
  readonly repository: LogRepository;
  /** What this process stores of the log there. */
  readonly recent?: RecentLog;
  /** Absolute; made by `makeStandby`. */
  readonly dataDirectory: string;
  /** Of its server. */
  readonly address: ServerAddress;
  /** What the helper is started by: "holdfast". */
  readonly program: readonly string[];
  readonly limits?: StandbyLimits;
  readonly now: () => Date;
  /** Something that passes, or that somebody must look at. */
  readonly onTrouble: (error: unknown) => void;
};

export type CaughtUpStandby = {
  readonly replayed: LogEnd;
  /** Log that was proven on the way: every object opened, every record follows the one before it. */
  readonly verifiedBytes: number;
  /** Log of its timeline that is stored here behind the seal, and is not part of what was recovered. */
  readonly loss: LogLoss;
};

export class Standby {
  readonly #options: StandbyOptions;
  readonly #end = new AbortController();
  readonly #log: StandbyLog;
  readonly #known = new KnownIndexes();
  #facts: StandbyFacts;
  #files: LogServer | undefined;
  #sender: WalSender | undefined;
  #moved: { readonly at: number; readonly atMs: number } | undefined;

  private constructor(options: StandbyOptions, facts: StandbyFacts) {
    this.#options = options;
    this.#facts = facts;
    const { repository, recent = new RecentLog(), onTrouble } = options;
    this.#log = new StandbyLog({ repository, recent, facts: () => this.#facts, onTrouble, signal: this.#end.signal });
  }

  /** Hands out log from now on. STANDBY_NONE when the directory is none. */
  static async open(options: StandbyOptions): Promise<Standby> {
    const { dataDirectory, now, onTrouble } = options;
    const standby = new Standby(options, mustBeStandby(dataDirectory));
    const owner = ownerOf(dataDirectory);
    const run = makeRunDirectory(dataDirectory, owner);
    const socket = join(run, LOG_SOCKET);
    rmSync(socket, { force: true });
    const log = standby.#log;
    standby.#files = await LogServer.listen(socket, log, owner);
    standby.#sender = await WalSender.listen(run, owner, () => {
      const { systemId, timeline, serverVersion, sealed } = standby.#facts;
      const until = sealed ?? Number.POSITIVE_INFINITY;
      const history = (wanted: number): Promise<Uint8Array | undefined> => log.history(wanted);
      return { systemId, timeline, serverVersion, until, history, tail: (position) => log.tail(position), now, onTrouble };
    });
    return standby;
  }

  get facts(): StandbyFacts {
    return this.#facts;
  }

  /** What keeps its server waiting for log now. */
  get trouble(): Fault | undefined {
    return this.#log.trouble;
  }

  /** Ends the handing out of log. Its server waits for the next one that opens it. */
  async close(): Promise<void> {
    this.#end.abort(new Fault('INTERRUPTED', 'The standby is not served any more'));
    await this.#sender?.close();
    await this.#files?.close();
  }

  async health(signal: AbortSignal): Promise<StandbyHealth> {
    const { repository, limits = STANDBY_LIMITS, now, address } = this.#options;
    const stillSeconds = this.#moved === undefined ? 0 : (performance.now() - this.#moved.atMs) / 1000;
    const { trouble } = this.#log;
    const measured = {
      repository,
      facts: this.#facts,
      address,
      now: now(),
      stillSeconds,
      known: this.#known,
      ...(trouble === undefined ? {} : { trouble }),
    };
    const health = await measureStandby(measured, limits, signal);
    const { replayed } = health;
    if (replayed === undefined || this.#moved?.at === replayed) return health;
    this.#moved = { at: replayed, atMs: performance.now() };
    // It moves; what was measured took it for standing still.
    return health.condition === 'stalled' ? measureStandby({ ...measured, stillSeconds: 0 }, limits, signal) : health;
  }

  /** Brings it to where its log was sealed, exactly, and no further: what a demotion names is the shutdown checkpoint, which is replayed, too.
   *  LOG_GAP when the log between is not whole, STANDBY_REFUSED when it has replayed more, or cannot come there. Again: the same answer. */
  async catchUp(sealed: LogEnd, signal: AbortSignal): Promise<CaughtUpStandby> {
    const { timeline, segmentBytes } = this.#facts;
    if (sealed.timeline !== timeline)
      throw new Fault(
        'STANDBY_REFUSED',
        `The standby follows timeline ${timeline}; the log was sealed on timeline ${sealed.timeline}`,
      );
    const view = await this.#log.view();
    const place = await sealedPlace(view, sealed, segmentBytes);
    const { sealed: sealedBefore } = this.#facts;
    // First of all: from now on nothing behind it is handed out, whatever arrives.
    this.#change({ ...this.#facts, sealed: place });
    let before: number;
    try {
      before = await this.#mustReplay(signal);
      this.#mustNotBePast(before, place);
      await mustReach(view, timeline, before, place, segmentBytes);
    } catch (error) {
      this.#change({ ...this.#facts, sealed: sealedBefore });
      throw error;
    }
    const verifiedBytes = await verifyChain(view, { timeline, from: before, to: place, segmentBytes, signal });
    let replayed = before;
    while (replayed < place && !samePlace(replayed, place, segmentBytes)) {
      await sleep(POLL_MS, undefined, { signal });
      replayed = await this.#mustReplay(signal);
    }
    this.#mustNotBePast(replayed, place);
    const furthest = Math.max(place, ...view.stretches.flatMap((one) => (one.timeline === timeline ? [one.to] : [])));
    const loss = await lossBehind(view, timeline, place, furthest);
    return { replayed: { timeline, lsn: formatLsn(replayed) }, verifiedBytes, loss };
  }

  /** The seal is taken back: it follows its timeline again. */
  unseal(): void {
    this.#change({ ...this.#facts, sealed: null });
  }

  /** From its server's next start on it follows that timeline, which must come from where it is. LOG_GAP when its history is not stored,
   *  STANDBY_REFUSED when it has replayed log that is not on the way to it. Stop its server: the gate starts it again. */
  async moveTimeline(timeline: number, signal: AbortSignal): Promise<void> {
    const { dataDirectory, program } = this.#options;
    if (timeline === this.#facts.timeline && this.#facts.sealed === null) return;
    const view = await this.#log.view();
    const path = pathTo(timeline, view.lineages);
    if (path === undefined) throw new Fault('LOG_GAP', `The history of timeline ${timeline} is not stored`);
    const own = path.find((one) => one.timeline === this.#facts.timeline);
    const replayed = await this.#mustReplay(signal);
    if (own === undefined || replayed > own.until)
      throw new Fault(
        'STANDBY_REFUSED',
        `Timeline ${timeline} does not come from where the standby is: ${formatLsn(replayed)} of timeline ${this.#facts.timeline}`,
        { hint: 'Make it anew over its directory; only what differs is fetched.' },
      );
    this.#change({ ...this.#facts, timeline, sealed: null });
    configureStandby(dataDirectory, this.#facts, program, ownerOf(dataDirectory));
    this.#sender?.disconnect();
  }

  /** The newest heartbeat in its data. */
  async newestHeartbeat(signal: AbortSignal): Promise<{ readonly heartbeat: HeartbeatRow | undefined; readonly systemId: string }> {
    const sql = await PgConnection.open({ address: this.#options.address, signal });
    try {
      return { heartbeat: await readHeartbeat(sql), systemId: await systemIdOf(sql) };
    } finally {
      sql.close();
    }
  }

  /** Its server is a primary now: nothing of the standby is left, and this one is closed. STANDBY_REFUSED before. */
  async promoted(signal: AbortSignal): Promise<void> {
    const { address, dataDirectory } = this.#options;
    const server = await measureServer(address, signal);
    if (typeof server === 'string' || server.isInRecovery)
      throw new Fault('STANDBY_REFUSED', typeof server === 'string' ? server : 'The server still recovers');
    await this.close();
    endStandby(dataDirectory, ownerOf(dataDirectory));
    const sql = await PgConnection.open({ address, signal });
    try {
      await sql.query('SELECT pg_reload_conf()');
    } finally {
      sql.close();
    }
  }

  #change(facts: StandbyFacts): void {
    const { dataDirectory } = this.#options;
    writeStandby(dataDirectory, facts, ownerOf(dataDirectory));
    this.#facts = facts;
  }

  /** How far its server is; waits while it does not answer. */
  async #mustReplay(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const server = await measureServer(this.#options.address, signal);
      if (typeof server !== 'string') {
        if (!server.isInRecovery) throw new Fault('STANDBY_REFUSED', 'The server is a primary already');
        if (server.replayed !== undefined) return server.replayed;
      }
      const { trouble } = this.#log;
      if (isFault(trouble, 'LOG_GAP')) throw trouble;
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  #mustNotBePast(replayed: number, place: number): void {
    if (replayed <= place || samePlace(replayed, place, this.#facts.segmentBytes)) return;
    throw new Fault(
      'STANDBY_REFUSED',
      `The standby has replayed up to ${formatLsn(replayed)}, which is behind the seal at ${formatLsn(place)}: it holds what is no part of history`,
      { hint: 'Make it anew over its directory, then seal where its log ends.' },
    );
  }
}

async function mustReach(view: LogView, timeline: number, from: number, to: number, segmentBytes: number): Promise<void> {
  const { stretches, lineages } = view;
  const first = pathTo(timeline, lineages)?.find(({ until }) => until > from)?.timeline ?? timeline;
  const base = { snapshot: '', timeline: first, start: from, stop: from, stoppedAt: 0 };
  const reach = wayFrom(base, timeline, { stretches, lineages })?.legs.at(-1)?.to ?? from;
  if (reach >= to || samePlace(reach, to, segmentBytes)) return;
  const gap = view.gaps.find((one) => one.from <= reach && one.to > reach);
  throw new Fault(
    'LOG_GAP',
    `The log is whole up to ${formatLsn(reach)} only, and was sealed at ${formatLsn(to)}: ${gap?.cause ?? 'the rest has not arrived here'}`,
    { hint: 'Repair the replica from its source, wait for the rest, or decide to seal at that place and lose what follows.' },
  );
}

export function placeOf({ lsn }: LogEnd): number {
  return mustParseLsn(lsn);
}

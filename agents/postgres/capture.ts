// Capturing a cluster's log: from a physical replication slot into the store, for as long as the server lives. The server is told that log is
// flushed only when the store has acknowledged it, so what we have not stored the server still has. Of a primary on this host whose files can be
// read here the log is taken from those (WrittenLog), of all others from the server's sender (LogStream).
//
// A connection that breaks ends an epoch; the next one begins where the stored records end. A timeline that ends is followed to the one that
// the server names. When the server has removed log that is not stored, the gap is recorded and capture begins anew after it: whoever runs
// this must then make a base backup (`onGap`).
//
// Several may capture one cluster at once, from its nodes, each with a slot: one stores, the others are ready to (see log-writer.ts).

import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import { ClockWatch } from '../../src/engine/clock-runs.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { mustBeCluster } from './base-of-log.ts';
import type { CaptureOptions, CapturePatience } from './capture-options.ts';
import { PgConnection } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { mustContinue } from './continuation.ts';
import { LastLog } from './last-log.ts';
import { findLocalCluster } from './local-cluster.ts';
import type { LogSource } from './log-source.ts';
import { identifySystem, LogStream, type SystemFacts } from './replication-client.ts';
import { ReplicationSlot } from './replication-slot.ts';
import { knownFrom, type LogPlace, resumePoint, type StoredEnd, skipGaps, storedEnd, timeBefore } from './resume-point.ts';
import { sendInTurns } from './sender-turns.ts';
import { readServerFacts, type ServerFacts } from './server-facts.ts';
import { TimelineCapture } from './timeline-capture.ts';
import { readHistories } from './timeline-history.ts';
import { needsNoSender, READING_DATABASE, WrittenLog } from './written-log.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;

const PATIENCE: CapturePatience = { flushMs: 30_000, stallMs: 30_000, watchMs: 10_000 };

/** Until the signal; then what was received is stored before it returns. Faults that do not pass are thrown. */
export async function captureLog(options: CaptureOptions): Promise<void> {
  const { signal, events, patience = PATIENCE } = options;
  const lastLog = new LastLog(options);
  let waitMs = RETRY_FIRST_MS;
  let mayReadFiles = true;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      await new Capture({ ...options, patience, mayReadFiles, lastLog }).run();
      waitMs = RETRY_FIRST_MS;
    } catch (error) {
      if (signal.aborted) break;
      // What the server sends may be better than what its disk shows here: the next connection asks for that.
      const isOfFiles: boolean =
        mayReadFiles && lastLog.isKnown && (isFault(error, 'SOURCE_UNREADABLE') || isFault(error, 'PG_PROTOCOL'));
      mayReadFiles = !isOfFiles;
      if (!isOfFiles && (!isFault(error) || (error.retry === 'never' && error.code !== 'PG_NOT_READY'))) throw error;
      events.onTrouble(error);
      if (performance.now() - began > RETRY_MAX_MS) waitMs = RETRY_FIRST_MS;
      await sleep(waitMs, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await lastLog.store(signal);
      waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
    }
  }
  // Of a server that was stopped just before.
  await lastLog.store(AbortSignal.timeout(patience.flushMs));
}

type CaptureInside = CaptureOptions & {
  readonly patience: CapturePatience;
  readonly mayReadFiles: boolean;
  readonly lastLog: LastLog;
};

/** One connection. */
class Capture {
  readonly #options: CaptureInside;
  readonly #catalogue: LogCatalogueKeeper;
  readonly #assetId: Uint8Array;
  readonly #slot: ReplicationSlot;

  constructor(options: CaptureInside) {
    const { repository, asset, address, slot, signal } = options;
    this.#options = options;
    this.#assetId = repository.keyring.assetId(asset);
    this.#catalogue = new LogCatalogueKeeper(repository, this.#assetId);
    this.#slot = new ReplicationSlot(address, slot, signal);
  }

  async run(): Promise<void> {
    const { address, signal } = this.#options;
    const [facts, isStandby] = await this.#ask(async (sql) => [
      await readServerFacts(sql),
      (await sql.value('SELECT pg_is_in_recovery()')) === 't',
    ]);
    const connection = await PgConnection.open({ address, replication: 'true' });
    const close = (): void => connection.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      await this.#follow(connection, facts, isStandby);
    } finally {
      signal.removeEventListener('abort', close);
      connection.close();
    }
  }

  /** Takes one timeline after the other. */
  async #follow(connection: PgConnection, facts: ServerFacts, isStandby: boolean): Promise<void> {
    const { repository, address, events, signal, slot } = this.#options;
    const { segmentBytes } = facts;
    sendInTurns(connection);
    const system = await identifySystem(connection);
    const incarnation = incarnationOf(system.systemId);
    const view = await LogView.open(repository, this.#assetId, undefined, { signal });
    if (view !== undefined) mustBeCluster(view, this.#options.asset, { address, systemId: system.systemId });
    const ancestors = await this.#keepHistories(connection, incarnation, system.timeline);
    const stored = view === undefined ? undefined : storedEnd(view.epochs);
    const resume = resumePoint(stored, { ...system, ancestors, isStandby }, segmentBytes);
    if (resume.kind === 'behind') {
      const fault = behindFault(address, system, resume.stored);
      if (resume.lagging === undefined) throw fault;
      events.onTrouble(fault);
    }
    const slotStart = await this.#slot.ensure(segmentBytes);
    let at: LogPlace;
    if (resume.kind === 'begin') at = { timeline: system.timeline, position: slotStart, stored: undefined };
    else at = resume.kind === 'behind' ? resume.lagging! : skipGaps(resume, system.timeline, view);
    if (view !== undefined && resume.kind === 'resume' && at.stored !== undefined)
      await mustContinue({ ...at, stored: at.stored, address, view, keyring: repository.keyring, segmentBytes, signal });
    const clock = new ClockWatch(view === undefined ? 0 : await timeBefore(view, at));
    while (!signal.aborted) {
      const known = at.stored === undefined || view === undefined ? [] : await knownFrom(view, at.timeline, at.position);
      const { assetId, catalogue } = { assetId: this.#assetId, catalogue: this.#catalogue };
      const own = {
        ...this.#options,
        incarnation,
        segmentBytes,
        assetId,
        catalogue,
        at,
        known,
        clock,
        version: connection.version,
      };
      const { timeline, position } = at;
      const sql = isStandby || timeline !== system.timeline ? undefined : await this.#besideServer(facts, system.systemId);
      let capture: TimelineCapture;
      if (sql === undefined) {
        const source = (): Promise<LogSource> => LogStream.start(connection, slot, position, timeline);
        capture = new TimelineCapture({ ...own, connection, source });
      } else {
        // A server before 16 wakes its senders even where they have nothing to send.
        connection.close();
        this.#options.lastLog.follow(facts.dataDirectory, system.systemId);
        const { dataDirectory } = facts;
        const source = (): Promise<LogSource> =>
          WrittenLog.start({ sql, dataDirectory, slot, segmentBytes, timeline, position, signal });
        capture = new TimelineCapture({ ...own, connection: sql, source });
      }
      const ended = await capture.run().finally(() => sql?.close());
      if (ended === 'removed') {
        const from = Math.max(at.stored ?? at.position, capture.durableRecord);
        await this.#beginAnew(incarnation, at.timeline, from, segmentBytes);
        return;
      }
      if (ended === undefined) return;
      events.onTimeline(ended.timeline, ended.position);
      await this.#keepHistories(connection, incarnation, ended.timeline);
      at = { timeline: ended.timeline, position: Math.floor(ended.position / segmentBytes) * segmentBytes, stored: undefined };
    }
  }

  /** A session at a primary on this host whose files can be read here; undefined where there is none. */
  async #besideServer(facts: ServerFacts, systemId: string): Promise<PgConnection | undefined> {
    const { address, slot, mayReadFiles, signal } = this.#options;
    if (!mayReadFiles) return undefined;
    const sql = await openReading(address, signal);
    if (sql === undefined) return undefined;
    try {
      if ('directory' in (await findLocalCluster(sql, facts, systemId)) && (await needsNoSender(sql, slot))) return sql;
    } catch (error) {
      sql.close();
      throw error;
    }
    sql.close();
    return undefined;
  }

  /** Log is lost: says so, and has the server keep what it still has. The next connection begins there. */
  async #beginAnew(incarnation: string, timeline: number, from: number, segmentBytes: number): Promise<void> {
    const to = await this.#slot.renew(segmentBytes);
    if (to <= from)
      throw new Fault('PG_UNREACHABLE', `The server has removed log that its slot "${this.#options.slot}" should hold`);
    const { events, now, signal } = this.#options;
    const cause = `the server had removed the log before ${formatLsn(to)} when capture came to it`;
    await this.#catalogue.addGap({ incarnation, timeline, from, to, cause, at: now().toISOString() }, { signal });
    events.onGap({ timeline, from, to, cause });
  }

  async #keepHistories(
    connection: PgConnection,
    incarnation: string,
    timeline: number,
  ): Promise<readonly { timeline: number; until: number }[]> {
    const { signal } = this.#options;
    const histories = await readHistories(connection, timeline);
    for (const { timeline: own, ancestors, file } of histories)
      await this.#catalogue.addHistory({ incarnation, timeline: own, ancestors, file: file.toString('base64') }, { signal });
    return histories[0]?.ancestors ?? [];
  }

  async #ask<T>(question: (sql: PgConnection) => Promise<T>): Promise<T> {
    const { address, signal } = this.#options;
    const sql = await PgConnection.open({ address, signal });
    try {
      return await question(sql);
    } finally {
      sql.close();
    }
  }
}

/** Undefined: it is not let in where its session is in nobody's way. */
async function openReading(address: ServerAddress, signal: AbortSignal): Promise<PgConnection | undefined> {
  try {
    return await PgConnection.open({ address: { ...address, database: READING_DATABASE }, signal });
  } catch (error) {
    if (isFault(error, 'PG_REFUSED') || isFault(error, 'PG_DENIED')) return undefined;
    throw error;
  }
}

function behindFault(address: ServerAddress, { position, timeline }: SystemFacts, stored: StoredEnd): Fault {
  return new Fault(
    'PG_NOT_READY',
    `The server at ${describeServer(address)} is at ${formatLsn(position)} of timeline ${timeline}, behind the log that is stored (${formatLsn(stored.position)} of timeline ${stored.timeline}): it was demoted or set back, or it is a standby that lags`,
    { hint: 'Capture from the server that is the primary now.' },
  );
}

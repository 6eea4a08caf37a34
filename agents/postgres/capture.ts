// Capturing a cluster's log: from a physical replication slot into the store, for as long as the server lives. The server is told that log is
// flushed only when the store has acknowledged it, so what we have not stored the server still has.
//
// A connection that breaks ends an epoch; the next one begins where the stored records end. A timeline that ends is followed to the one that
// the server names. When the server has removed log that is not stored, the gap is recorded and capture begins anew after it: whoever runs
// this must then make a base backup (`onGap`).

import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../../src/base/faults.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { type KnownStretch, LogWriter, type ShipPolicy } from '../../src/engine/log-writer.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { PgConnection } from './connection.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';
import { createSlot, dropSlot, identifySystem, LogStream, literal } from './replication-client.ts';
import { resumePoint, storedEnd } from './resume-point.ts';
import { readServerFacts } from './server-facts.ts';
import { readHistories } from './timeline-history.ts';
import { type LogNote, WalReader } from './wal-reader.ts';

const TICK_MS = 50;
const REPORT_MS = 5_000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
/** For storing the rest when it ends. */
const FLUSH_MS = 30_000;

export type CaptureStatus = {
  readonly timeline: number;
  /** Received, stored, and what the server has. */
  readonly received: number;
  readonly durable: number;
  readonly server: number;
  /** Time of the last transaction that is stored (the server's clock, Unix microseconds); 0: none yet. */
  readonly lastTransaction: number;
};

export type CaptureEvents = {
  /** Log is being received. */
  readonly onStreaming: (at: { readonly timeline: number; readonly position: number }) => void;
  readonly onProgress: (status: CaptureStatus) => void;
  readonly onGap: (gap: { readonly timeline: number; readonly from: number; readonly to: number; readonly cause: string }) => void;
  readonly onTimeline: (timeline: number, position: number) => void;
  /** A base backup that is made now holds it; older ones can be brought over it only on another host. */
  readonly onTablespace: (tablespace: { readonly oid: string; readonly location: string }) => void;
  /** Something that passes, or that somebody must look at; capture goes on trying. */
  readonly onTrouble: (error: unknown) => void;
};

export type CaptureOptions = {
  readonly address: ServerAddress;
  readonly repository: Repository;
  readonly asset: string;
  readonly slot: string;
  readonly host: string;
  readonly policy: ShipPolicy;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly events: CaptureEvents;
};

/** Until the signal; then what was received is stored before it returns. Faults that do not pass are thrown. */
export async function captureLog(options: CaptureOptions): Promise<void> {
  const { signal, events } = options;
  let waitMs = RETRY_FIRST_MS;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      await new Capture(options).run();
      waitMs = RETRY_FIRST_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (!isFault(error) || (error.retry === 'never' && error.code !== 'PG_NOT_READY')) throw error;
      events.onTrouble(error);
      if (performance.now() - began > RETRY_MAX_MS) waitMs = RETRY_FIRST_MS;
      await sleep(waitMs, undefined, { signal }).catch(() => {});
      waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
    }
  }
}

/** One connection. */
class Capture {
  readonly #options: CaptureOptions;
  readonly #catalogue: LogCatalogueKeeper;
  readonly #assetId: Uint8Array;
  #writer: LogWriter | undefined;
  #lastTransaction = 0;
  #serverEnd = 0;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#assetId = options.repository.keyring.assetId(options.asset);
    this.#catalogue = new LogCatalogueKeeper(options.repository, this.#assetId);
  }

  async run(): Promise<void> {
    const { address, signal } = this.#options;
    const facts = await this.#ask((sql) => readServerFacts(sql));
    const connection = await PgConnection.open({ address, replication: 'true' });
    const close = (): void => connection.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      await this.#follow(connection, facts.segmentBytes);
    } finally {
      signal.removeEventListener('abort', close);
      connection.close();
    }
  }

  /** Streams one timeline after the other. */
  async #follow(connection: PgConnection, segmentBytes: number): Promise<void> {
    const { repository, address, events, signal } = this.#options;
    const system = await identifySystem(connection);
    const incarnation = incarnationOf(system.systemId);
    const view = await LogView.open(repository, this.#assetId);
    if (view !== undefined && view.incarnation !== incarnation)
      throw new Fault(
        'PG_OTHER_CLUSTER',
        `The server at ${describeServer(address)} is the cluster ${system.systemId}; the log of "${this.#options.asset}" is that of the cluster ${BigInt(`0x${view.incarnation}`)}`,
      );
    const ancestors = await this.#keepHistories(connection, incarnation, system.timeline);
    const resume = resumePoint(view === undefined ? undefined : storedEnd(view.epochs), { ...system, ancestors }, segmentBytes);
    if (resume.kind === 'behind')
      throw new Fault(
        'PG_NOT_READY',
        `The server at ${describeServer(address)} is at ${formatLsn(system.position)} of timeline ${system.timeline}, behind the log that is stored (${formatLsn(resume.stored.position)} of timeline ${resume.stored.timeline}): it was demoted or set back`,
        { hint: 'Capture from the server that is the primary now.' },
      );
    const slotStart = await this.#ensureSlot(segmentBytes);
    let at =
      resume.kind === 'begin'
        ? { timeline: system.timeline, position: slotStart, stored: undefined }
        : skipGap(resume, system.timeline, view);
    while (!signal.aborted) {
      const { timeline, position, stored } = at;
      const known = stored === undefined || view === undefined ? [] : await knownFrom(view, timeline, position);
      const ended = await this.#stream(connection, { incarnation, timeline, position, known, segmentBytes });
      if (ended === 'removed') {
        const from = Math.max(stored ?? position, this.#writer?.durableRecord ?? 0);
        await this.#beginAnew(incarnation, timeline, from, segmentBytes);
        return;
      }
      if (ended === undefined) return;
      events.onTimeline(ended.timeline, ended.position);
      await this.#keepHistories(connection, incarnation, ended.timeline);
      at = { timeline: ended.timeline, position: Math.floor(ended.position / segmentBytes) * segmentBytes, stored: undefined };
    }
  }

  /** Log is lost: says so, and has the server keep what it still has. The next connection begins there. */
  async #beginAnew(incarnation: string, timeline: number, from: number, segmentBytes: number): Promise<void> {
    const to = await this.#newSlot(segmentBytes);
    if (to <= from)
      throw new Fault('PG_UNREACHABLE', `The server has removed log that its slot "${this.#options.slot}" should hold`);
    const cause = `the server had removed the log before ${formatLsn(to)} when capture came to it`;
    await this.#catalogue.addGap({ incarnation, timeline, from, to, cause, at: this.#options.now().toISOString() });
    this.#options.events.onGap({ timeline, from, to, cause });
  }

  /** Until the timeline ends (answers the next one), the capture is to end, or the server says that it has removed what is asked for. */
  async #stream(
    connection: PgConnection,
    from: {
      readonly incarnation: string;
      readonly timeline: number;
      readonly position: number;
      readonly known: readonly KnownStretch[];
      readonly segmentBytes: number;
    },
  ): Promise<{ readonly timeline: number; readonly position: number } | 'removed' | undefined> {
    const { signal, events, now, repository, host, policy, slot } = this.#options;
    const stream = await this.#start(connection, slot, from);
    if (stream === 'removed') return 'removed';
    const giveUp = new AbortController();
    const records = new WalReader(from.position, from.segmentBytes, connection.version);
    const writer = new LogWriter({
      repository,
      catalogue: this.#catalogue,
      assetId: this.#assetId,
      incarnation: from.incarnation,
      timeline: from.timeline,
      from: from.position,
      host,
      now,
      policy,
      known: from.known,
      signal: giveUp.signal,
      onTrouble: events.onTrouble,
      onDurable: () => report(),
    });
    this.#writer = writer;
    let isOver = false;
    const report = (): void => {
      if (isOver) return;
      stream.report(writer.end, writer.durableRecord, now().getTime() * 1000);
      events.onProgress({
        timeline: from.timeline,
        received: writer.end,
        durable: writer.durable,
        server: this.#serverEnd,
        lastTransaction: this.#lastTransaction,
      });
    };
    let reportedAt = performance.now();
    const timer = setInterval(() => {
      try {
        writer.tick();
        if (performance.now() - reportedAt < REPORT_MS) return;
        reportedAt = performance.now();
        report();
      } catch {
        // The stream ends with what the writer failed with.
        connection.close();
      }
    }, TICK_MS);
    events.onStreaming({ timeline: from.timeline, position: from.position });
    try {
      for (;;) {
        const event = await stream.next();
        if (event.kind === 'ended') {
          await writer.flush();
          return event;
        }
        this.#serverEnd = event.serverEnd;
        if (event.kind === 'keepalive') {
          if (event.wantsReply) report();
          continue;
        }
        if (event.start !== writer.end)
          throw new Fault(
            'PG_PROTOCOL',
            `The server sent log from ${formatLsn(event.start)} where ${formatLsn(writer.end)} follows`,
          );
        await this.#take(records, writer, event.bytes);
      }
    } catch (error) {
      writer.tick();
      await this.#flushWithin(writer, giveUp);
      if (signal.aborted) return undefined;
      if (isFault(error, 'PG_LOG_REMOVED')) return 'removed';
      throw error;
    } finally {
      isOver = true;
      clearInterval(timer);
      giveUp.abort(new Fault('INTERRUPTED', 'The capture ended'));
    }
  }

  async #start(
    connection: PgConnection,
    slot: string,
    { position, timeline }: { readonly position: number; readonly timeline: number },
  ): Promise<LogStream | 'removed'> {
    try {
      return await LogStream.start(connection, slot, position, timeline);
    } catch (error) {
      if (isFault(error, 'PG_LOG_REMOVED')) return 'removed';
      throw error;
    }
  }

  #noted(note: LogNote): void {
    if ('tablespace' in note) this.#options.events.onTablespace(note.tablespace);
  }

  async #take(records: WalReader, writer: LogWriter, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      await writer.ready();
      const piece = bytes.subarray(at, at + Math.min(bytes.length - at, writer.room));
      const marks = records.push(piece);
      writer.append(piece, marks, records.recordFrom);
      for (const mark of marks) if (mark.kind === 'note') this.#noted(JSON.parse(mark.text) as LogNote);
      this.#lastTransaction = marks.findLast(({ time }) => time > 0)?.time ?? this.#lastTransaction;
      at += piece.length;
    }
  }

  /** What was received is not asked for again if it can be stored now; if it cannot, the server still has it. */
  async #flushWithin(writer: LogWriter, giveUp: AbortController): Promise<void> {
    const timer = setTimeout(() => giveUp.abort(new Fault('INTERRUPTED', 'The store did not take the rest in time')), FLUSH_MS);
    try {
      await writer.flush();
    } catch (error) {
      this.#options.events.onTrouble(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #keepHistories(
    connection: PgConnection,
    incarnation: string,
    timeline: number,
  ): Promise<readonly { timeline: number; until: number }[]> {
    const histories = await readHistories(connection, timeline);
    for (const { timeline: own, ancestors, file } of histories)
      await this.#catalogue.addHistory({ incarnation, timeline: own, ancestors, file: file.toString('base64') });
    return histories[0]?.ancestors ?? [];
  }

  /** Makes the slot when there is none; answers the start of the segment that it holds. */
  async #ensureSlot(segmentBytes: number): Promise<number> {
    const found = await this.#slotState();
    if (found === undefined || found.status === 'lost') return this.#newSlot(segmentBytes);
    return Math.floor(found.position / segmentBytes) * segmentBytes;
  }

  async #newSlot(segmentBytes: number): Promise<number> {
    const { address, slot } = this.#options;
    const found = await this.#slotState();
    const connection = await PgConnection.open({ address, replication: 'true' });
    try {
      if (found !== undefined) await dropSlot(connection, slot);
      await createSlot(connection, slot);
    } finally {
      connection.close();
    }
    const made = await this.#slotState();
    if (made === undefined) throw new Fault('PG_PROTOCOL', `The server does not show the slot "${slot}" that was made`);
    return Math.floor(made.position / segmentBytes) * segmentBytes;
  }

  async #slotState(): Promise<{ readonly status: string; readonly position: number } | undefined> {
    const { slot } = this.#options;
    const columns = "slot_type, coalesce(wal_status, ''), coalesce((restart_lsn - '0/0'::pg_lsn)::text, '0')";
    const row = await this.#ask(
      async (sql) => (await sql.query(`SELECT ${columns} FROM pg_replication_slots WHERE slot_name = ${literal(slot)}`)).rows[0],
    );
    if (row === undefined) return undefined;
    const [type, status, position] = row;
    if (type !== 'physical') throw new Fault('PG_REFUSED', `The replication slot "${slot}" is a ${type} one`);
    return { status: Number(position) === 0 ? 'lost' : (status ?? ''), position: Number(position) };
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

  get durable(): number {
    return this.#writer?.durable ?? 0;
  }
}

/** A gap that was recorded is not asked for again. */
function skipGap(
  { timeline, position, stored }: { readonly timeline: number; readonly position: number; readonly stored: number | undefined },
  serverTimeline: number,
  view: LogView | undefined,
): { readonly timeline: number; readonly position: number; readonly stored: number | undefined } {
  const at = stored ?? position;
  const gap = view?.gaps.findLast((one) => one.timeline === timeline && one.from <= at && one.to > at);
  return gap === undefined ? { timeline, position, stored } : { timeline: serverTimeline, position: gap.to, stored: undefined };
}

/** What is stored of a timeline from a position on, object by object. */
async function knownFrom(view: LogView, timeline: number, position: number): Promise<KnownStretch[]> {
  const known: KnownStretch[] = [];
  let end = position;
  for (const { reader } of view.epochs) {
    if (reader.epoch.timeline !== timeline || reader.end <= position) continue;
    for await (const { from, to, digest } of reader.indexes(position)) {
      if (from < end || to <= end) continue;
      known.push({ from, to, digest });
      end = to;
    }
  }
  return known.sort((a, b) => a.to - b.to);
}

// Storing one timeline's log over one connection, from the start of a segment on.

import { Fault, isFault } from '../../src/base/faults.ts';
import type { ClockWatch } from '../../src/engine/clock-runs.ts';
import type { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import type { KnownStretch } from '../../src/engine/log-coverage.ts';
import { EpochsOfOthers } from '../../src/engine/log-others.ts';
import { persist } from '../../src/engine/log-persist.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { CaptureOptions, CapturePatience } from './capture-options.ts';
import type { PgConnection } from './connection.ts';
import { describeServer } from './connection-string.ts';
import type { LogSource } from './log-source.ts';
import type { LogPlace } from './resume-point.ts';
import { type LogNote, WalReader } from './wal-reader.ts';

const TICK_MS = 50;
const REPORT_MS = 5_000;

export type TimelineCaptureOptions = CaptureOptions & {
  readonly patience: CapturePatience;
  /** Whose end ends what waits for `source`. */
  readonly connection: PgConnection;
  readonly source: () => Promise<LogSource>;
  readonly catalogue: LogCatalogueKeeper;
  readonly assetId: Uint8Array;
  /** Of the server, major. */
  readonly version: number;
  readonly incarnation: string;
  readonly segmentBytes: number;
  readonly at: LogPlace;
  readonly known: readonly KnownStretch[];
  /** Of the database's clock, as far as the log was looked at. */
  readonly clock: ClockWatch;
};

export class TimelineCapture {
  readonly #options: TimelineCaptureOptions;
  readonly #records: WalReader;
  readonly #writer: LogWriter;
  /** Ends what the store was asked for. */
  readonly #giveUp = new AbortController();
  #source: LogSource | undefined;
  #failure: { readonly error: unknown } | undefined;
  #lastTransaction = 0;
  #serverEnd = 0;
  #isOver = false;
  #reportedAt = performance.now();
  #watchedAt = performance.now();
  #isStalled = false;
  #isLate = false;

  constructor(options: TimelineCaptureOptions) {
    const { repository, catalogue, assetId, incarnation, segmentBytes, version, address, host, slot, now, policy, known } = options;
    const { timeline, position } = options.at;
    this.#options = options;
    this.#records = new WalReader(position, segmentBytes, version);
    const log = { repository, catalogue, assetId, incarnation, timeline, from: position, signal: this.#giveUp.signal };
    // Two that read from one server, or run on one host, are two.
    const name = `${host}, from ${describeServer(address)} by ${slot}`;
    const others = new EpochsOfOthers({ ...log, host: name });
    const { onTrouble } = options.events;
    this.#writer = new LogWriter({ ...log, host: name, now, policy, known, others, onTrouble, onDurable: () => this.#report() });
  }

  get durableRecord(): number {
    return this.#writer.durableRecord;
  }

  /** Until the timeline ends (answers the next one), the capture is to end, or the server says that it has removed what is asked for. */
  async run(): Promise<{ readonly timeline: number; readonly position: number } | 'removed' | undefined> {
    const { signal, events, at } = this.#options;
    try {
      this.#source = await this.#options.source();
    } catch (error) {
      if (isFault(error, 'PG_LOG_REMOVED')) return 'removed';
      throw error;
    }
    events.onStreaming({ timeline: at.timeline, position: at.position });
    const ticking = setInterval(() => this.#tick(), TICK_MS);
    // Whatever it waits for then, it ends.
    let ending: NodeJS.Timeout | undefined;
    const onAbort = (): void => {
      ending = this.#giveUpLater();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#receive(this.#source);
    } catch (error) {
      await this.#storeRest();
      if (signal.aborted) return undefined;
      if (isFault(error, 'PG_LOG_REMOVED')) return 'removed';
      throw this.#failure?.error ?? error;
    } finally {
      this.#isOver = true;
      clearInterval(ticking);
      clearTimeout(ending);
      signal.removeEventListener('abort', onAbort);
      this.#giveUp.abort(new Fault('INTERRUPTED', 'The capture ended'));
    }
  }

  async #receive(source: LogSource): Promise<{ readonly timeline: number; readonly position: number }> {
    for (;;) {
      const event = await source.next();
      if (event.kind === 'ended') {
        await this.#writer.flush();
        return event;
      }
      this.#serverEnd = event.serverEnd;
      if (event.kind === 'keepalive') {
        if (event.wantsReply) this.#report();
        continue;
      }
      if (event.start !== this.#writer.end)
        throw new Fault(
          'PG_PROTOCOL',
          `The server sent log from ${formatLsn(event.start)} where ${formatLsn(this.#writer.end)} follows`,
        );
      await this.#take(event.bytes);
    }
  }

  async #take(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      await this.#writer.ready();
      const piece = bytes.subarray(at, at + Math.min(bytes.length - at, this.#writer.room));
      const marks = this.#records.push(piece);
      await this.#keepClockSteps(marks);
      await this.#keepBarriers(marks);
      this.#writer.append(piece, marks, this.#records.recordFrom);
      for (const mark of marks) if (mark.kind === 'note') this.#noted(JSON.parse(mark.text) as LogNote);
      this.#lastTransaction = marks.findLast(({ time }) => time > 0)?.time ?? this.#lastTransaction;
      at += piece.length;
    }
  }

  /** Before the log is stored in which they are. */
  async #keepClockSteps(marks: readonly LogMark[]): Promise<void> {
    const { clock, catalogue, incarnation, at, events } = this.#options;
    const steps = clock.look(marks).map((step) => ({ ...step, incarnation, timeline: at.timeline }));
    if (steps.length === 0) return;
    const { signal } = this.#giveUp;
    const added = await persist(() => catalogue.addClockSteps(steps, { signal }), signal, events.onTrouble);
    for (const { before, after, position } of added)
      events.onTrouble(
        new Fault(
          'PG_CONCERN',
          `The server's clock was set back from ${textOfMicros(before)} to ${textOfMicros(after)}, at ${formatLsn(position)}: a time that it passes twice cannot be gone back to by its time`,
          {
            hint: 'Let the clock be corrected in small steps (chronyd and the like do). What lies there can be had by its position.',
          },
        ),
      );
  }

  /** Before the log is stored in which they are: what follows can be had from a later base only. */
  async #keepBarriers(marks: readonly LogMark[]): Promise<void> {
    const { catalogue, incarnation, at, events, now } = this.#options;
    const { signal } = this.#giveUp;
    for (const { kind, text, position: from, end: to } of marks) {
      if (kind !== 'note' || !('isMinimal' in (JSON.parse(text) as LogNote))) continue;
      const { timeline } = at;
      const cause = `the server went on with wal_level=minimal from ${formatLsn(from)}: changes are missing in such log, and no server replays it`;
      const gap = { incarnation, timeline, from, to, cause, at: now().toISOString(), isStored: true } as const;
      await persist(() => catalogue.addGap(gap, { signal }), signal, events.onTrouble);
      events.onGap({ timeline, from, to, cause });
    }
  }

  #noted(note: LogNote): void {
    if ('tablespace' in note) this.#options.events.onTablespace(note.tablespace);
  }

  #tick(): void {
    const { patience, connection } = this.#options;
    try {
      this.#writer.tick();
      const now = performance.now();
      if (now - this.#reportedAt >= REPORT_MS) this.#report();
      this.#tellStall();
      if (now - this.#watchedAt < patience.watchMs) return;
      this.#watchedAt = now;
      this.#watch().catch((error: unknown) => this.#options.events.onTrouble(error));
    } catch (error) {
      // What waits for the server ends with it.
      this.#failure ??= { error };
      connection.close();
    }
  }

  #report(): void {
    if (this.#isOver || this.#source === undefined) return;
    const { now, events, at } = this.#options;
    const { end, durable, durableRecord, stalledMs } = this.#writer;
    this.#reportedAt = performance.now();
    this.#source.report(end, durableRecord, now().getTime() * 1000);
    const [server, lastTransaction] = [this.#serverEnd, this.#lastTransaction];
    events.onProgress({ timeline: at.timeline, received: end, durable, server, lastTransaction, stalledMs });
  }

  /** A store that neither answers nor fails is told of once, and once more each time it stops again. */
  #tellStall(): void {
    const { patience, events } = this.#options;
    const { stalledMs, end, durable } = this.#writer;
    const isStalled = stalledMs >= patience.stallMs;
    if (isStalled && !this.#isStalled) {
      this.#report();
      events.onTrouble(
        new Fault(
          'LOG_NOT_STORED',
          `The store has taken nothing for ${Math.round(stalledMs / 1000)} s; ${end - durable} bytes of log wait here, and the server keeps all log from ${formatLsn(this.#writer.durableRecord)} on`,
        ),
      );
    }
    this.#isStalled = isStalled;
  }

  /** A server that goes on with a timeline that others have left is no primary any more. One look is not enough: a standby may be about to
   *  follow. */
  async #watch(): Promise<void> {
    const { catalogue, incarnation, at, address, connection } = this.#options;
    const newest = await catalogue.newestTimeline(incarnation, { signal: this.#giveUp.signal });
    const wasLate = this.#isLate;
    this.#isLate = newest > at.timeline;
    if (!wasLate || !this.#isLate || this.#isOver) return;
    const error = new Fault(
      'PG_NOT_READY',
      `The server at ${describeServer(address)} writes timeline ${at.timeline}, and the cluster has gone on with timeline ${newest}: it was demoted, and what it writes is not part of production`,
      { hint: 'Capture from the server that is the primary now.' },
    );
    this.#failure ??= { error };
    connection.close();
  }

  #giveUpLater(): NodeJS.Timeout {
    const reason = new Fault('INTERRUPTED', 'The store did not take the rest in time');
    return setTimeout(() => this.#giveUp.abort(reason), this.#options.patience.flushMs);
  }

  /** What was received is not asked for again if it can be stored now; if it cannot, the server still has it. */
  async #storeRest(): Promise<void> {
    const timer = this.#giveUpLater();
    try {
      await this.#writer.flush();
    } catch (error) {
      if (this.#failure === undefined) this.#options.events.onTrouble(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

// The log of a server on this host, from the files into which it writes it, a few times a second. A sender of the server would be woken by each of
// its commits: on two busy cores that costs who commits more than all that a capture does with the log (bench/README.md).
//
// A file is read up to where the server says that it has flushed its log: so much is written and never changes. The slot keeps the files, and is
// moved on by SQL; while nobody streams from it, a lock of this session says that it has a reader.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { PgConnection } from './connection.ts';
import { describeServer } from './connection-string.ts';
import { LOG_FILES, readSegment } from './log-segments.ts';
import type { LogEvent, LogSource } from './log-source.ts';
import { literal, translated } from './replication-client.ts';

const LOOK_MS = 200;
const ADVANCE_MS = 5_000;
const PIECE_BYTES = 1024 * 1024;
/** Those for whom commits wait, and, from 17 on, the slots for which logical senders wait. */
const WAITED_FOR = "current_setting('synchronous_standby_names'), current_setting('synchronized_standby_slots', true)";

/** A session there is in nobody's way: databases of its users are dropped and copied while nobody is connected to them. */
export const READING_DATABASE = 'postgres';

/** Since it was told to; a line of this file says so. */
const STOPPING = 'stopping';

export type WrittenLogOptions = {
  /** Of the server that writes the files: a session of its own. */
  readonly sql: PgConnection;
  readonly dataDirectory: string;
  readonly slot: string;
  readonly segmentBytes: number;
  /** The server's, of now: while the session lasts it is no other. */
  readonly timeline: number;
  readonly position: number;
  readonly signal: AbortSignal;
};

/** Whether a server can do without a sender for us: nobody waits for what it tells, and its log is not filled with our questions. */
export async function needsNoSender(sql: PgConnection, slot: string): Promise<boolean> {
  const shown = ['log_statement', 'log_min_duration_statement', 'log_duration'].map((name) => `current_setting(${literal(name)})`);
  const [logged, slow, durations, ...waited] = (await sql.query(`SELECT ${shown.join(', ')}, ${WAITED_FOR}`)).rows[0] ?? [];
  return !isWaitedFor(slot, waited) && logged !== 'all' && slow !== '0' && durations !== 'on';
}

function isWaitedFor(slot: string, [standbys, slots]: readonly (string | null | undefined)[]): boolean {
  const named = (slots ?? '').split(',').map((one) => one.trim().replaceAll('"', ''));
  return /\*|holdfast/.test(standbys ?? '') || named.includes(slot);
}

export class WrittenLog implements LogSource {
  readonly #options: WrittenLogOptions;
  readonly #look: string;
  #position: number;
  #flushed = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Told to us, and to the server. */
  #durable = 0;
  #advanced = 0;
  #advancedAt = performance.now();

  private constructor(options: WrittenLogOptions) {
    const slot = literal(options.slot);
    this.#options = options;
    this.#position = options.position;
    this.#look = `SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text, active, wal_status, ${WAITED_FOR} FROM (SELECT) one LEFT JOIN pg_replication_slots ON slot_name = ${slot}`;
  }

  static async start(options: WrittenLogOptions): Promise<WrittenLog> {
    const { sql, slot } = options;
    const isAlone = await sql.value(`SELECT pg_try_advisory_lock(hashtext('holdfast'), hashtext(${literal(slot)}))`);
    if (isAlone !== 't') throw new Fault('PG_SLOT_BUSY', `Somebody else reads the log that the slot "${slot}" keeps`);
    const log = new WrittenLog(options);
    await log.#ask();
    await log.#mustWrite();
    return log;
  }

  async next(): Promise<LogEvent> {
    const { signal } = this.#options;
    if (this.#position >= this.#flushed) {
      await sleep(Math.max(0, this.#lookedAt + LOOK_MS - performance.now()), undefined, { signal });
      await this.#mustStay();
      await this.#advance();
      await this.#ask();
    }
    const serverEnd = this.#flushed;
    if (this.#position >= serverEnd) return { kind: 'keepalive', serverEnd, wantsReply: false };
    const bytes = await this.#read(Math.min(serverEnd - this.#position, PIECE_BYTES));
    const start = this.#position;
    this.#position += bytes.length;
    return { kind: 'data', start, bytes, serverEnd };
  }

  report(_written: number, flushed: number): void {
    this.#durable = flushed;
  }

  async #read(length: number): Promise<Buffer> {
    const files = join(this.#options.dataDirectory, LOG_FILES);
    const place = { ...this.#options, position: this.#position };
    const where = `The log at ${formatLsn(this.#position)} in ${files}`;
    let bytes: Buffer | undefined;
    try {
      bytes = await readSegment(files, place, length);
    } catch (cause) {
      throw new Fault('SOURCE_UNREADABLE', `${where} cannot be read here: ${(cause as Error).message}`, { cause });
    }
    // Whether it is gone for good the server says.
    if (bytes === undefined || bytes.length === 0) throw new Fault('SOURCE_UNREADABLE', `${where} is not there`);
    return bytes;
  }

  /** Another connection said which timeline it is: files of one that has ended may go on with what is no part of it. */
  async #mustWrite(): Promise<void> {
    const { sql, timeline } = this.#options;
    const name = (await sql.value('SELECT pg_walfile_name(pg_current_wal_insert_lsn())')) ?? '';
    const written = Number.parseInt(name.slice(0, 8), 16);
    if (written !== timeline) throw new Fault('PG_CONCERN', `The server writes timeline ${written} now, no more ${timeline}`);
  }

  async #ask(): Promise<void> {
    const { sql, slot } = this.#options;
    this.#lookedAt = performance.now();
    const [flushed, isActive, status, ...waited] = (await sql.query(this.#look)).rows[0] ?? [];
    if (isActive === null) throw new Fault('PG_CONCERN', `The slot "${slot}" was dropped; it is made anew`);
    if (isActive === 't') throw new Fault('PG_SLOT_BUSY', `Somebody else reads from the slot "${slot}"`);
    if (status === 'lost') throw new Fault('PG_LOG_REMOVED', `The slot "${slot}" keeps no log any more`);
    if (isWaitedFor(slot, waited))
      throw new Fault('PG_CONCERN', 'Others wait for a sender of the server now: capture goes on with one');
    this.#flushed = Number(flushed);
  }

  /** A server that is shut down "smart" waits for its sessions. */
  async #mustStay(): Promise<void> {
    const { sql, dataDirectory } = this.#options;
    const lines = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
    if (lines.split('\n').some((line) => line.trim() === STOPPING))
      throw new Fault('PG_UNREACHABLE', `The server at ${describeServer(sql.address)} shuts down`);
  }

  /** Also where nothing is new: a slot that nobody touches is idle. */
  async #advance(): Promise<void> {
    const { sql, slot, segmentBytes } = this.#options;
    const isDue = performance.now() - this.#advancedAt >= ADVANCE_MS || this.#durable - this.#advanced >= segmentBytes;
    if (!isDue || this.#durable === 0) return;
    try {
      // It refuses to go back, to the start of the segment where this began.
      const [name, to] = [literal(slot), literal(formatLsn(this.#durable))];
      await sql.query(
        `SELECT pg_replication_slot_advance(${name}, ${to}) FROM pg_replication_slots WHERE slot_name = ${name} AND restart_lsn <= ${to}`,
      );
    } catch (error) {
      throw translated(error);
    }
    this.#advanced = this.#durable;
    this.#advancedAt = performance.now();
  }
}

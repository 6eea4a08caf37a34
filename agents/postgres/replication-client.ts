// The commands of PostgreSQL's replication protocol (13 and newer), over a connection that was opened with `replication`. See "Streaming
// Replication Protocol" in PostgreSQL's documentation.

import { Fault } from '../../src/base/faults.ts';
import { formatLsn, mustParseLsn, pgMicros } from '../../src/model/lsn.ts';
import { CHECKPOINT_MS, IDLE_TIMEOUT_MS, type Message, type PgConnection, ServerError, textRow } from './connection.ts';
import type { LogEvent, LogSource } from './log-source.ts';

export type SystemFacts = {
  /** Decimal text, as the server prints it. */
  readonly systemId: string;
  readonly timeline: number;
  readonly position: number;
};

export async function identifySystem(connection: PgConnection): Promise<SystemFacts> {
  const [systemId, timeline, position] = (await connection.query('IDENTIFY_SYSTEM')).rows[0] ?? [];
  if (typeof systemId !== 'string' || !/^\d+$/.test(systemId))
    throw new Fault('PG_PROTOCOL', 'The server does not say which cluster it is');
  return { systemId, timeline: Number(timeline), position: mustParseLsn(position) };
}

/** The server keeps all log from the last checkpoint on for this slot, from now on. */
export async function createSlot(connection: PgConnection, slot: string): Promise<void> {
  const words = connection.version >= 15 ? 'PHYSICAL (RESERVE_WAL)' : 'PHYSICAL RESERVE_WAL';
  await connection.query(`CREATE_REPLICATION_SLOT ${identifier(slot)} ${words}`);
}

export async function dropSlot(connection: PgConnection, slot: string): Promise<void> {
  await connection.query(`DROP_REPLICATION_SLOT ${identifier(slot)} WAIT`);
}

export async function showParameter(connection: PgConnection, name: string): Promise<string | undefined> {
  return connection.value(`SHOW ${name}`);
}

/** The content of a timeline's history file, as the server has it. */
export async function readTimelineHistory(
  connection: PgConnection,
  timeline: number,
): Promise<{ readonly name: string; readonly text: string }> {
  const [name, text] = (await connection.query(`TIMELINE_HISTORY ${timeline}`)).rows[0] ?? [];
  if (typeof name !== 'string' || typeof text !== 'string')
    throw new Fault('PG_PROTOCOL', `The server does not give the history of timeline ${timeline}`);
  return { name, text };
}

export type BaseBackupEvent =
  | { readonly kind: 'start'; readonly position: number; readonly timeline: number }
  | { readonly kind: 'tablespaces'; readonly tablespaces: readonly TablespaceFacts[] }
  /** `oid` is undefined for the data directory itself. */
  | { readonly kind: 'archive'; readonly oid: string | undefined }
  | { readonly kind: 'manifest' }
  /** Of the archive or manifest that began last. */
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'end'; readonly position: number; readonly timeline: number };

export type TablespaceFacts = { readonly oid: string; readonly location: string; readonly sizeKib: number | undefined };

/** The server computes SHA-256 at about 60 MB/s (measured, 15.18), CRC-32C at the speed of its disk. */
export type ManifestChecksums = 'CRC32C' | 'SHA256';

export type BaseBackupOptions = {
  readonly label: string;
  readonly fast: boolean;
  readonly verifyChecksums: boolean;
  readonly manifest: ManifestChecksums;
};

/** BASE_BACKUP with a manifest and the tablespace map, without the log. Ends when the server has said that it is complete. */
export async function* baseBackup(connection: PgConnection, options: BaseBackupOptions): AsyncGenerator<BaseBackupEvent> {
  const isModern = connection.version >= 15;
  connection.send('Q', Buffer.from(`${isModern ? modernCommand(options) : olderCommand(options)}\0`));
  const [position, timeline] = (await resultRows(connection, CHECKPOINT_MS))[0] ?? [];
  yield { kind: 'start', position: mustParseLsn(position), timeline: Number(timeline) };
  const spaces = (await resultRows(connection)).map(([oid, location, size]) => ({ oid, location, size }));
  const tablespaces = spaces.flatMap(({ oid, location, size }) =>
    typeof oid === 'string' && typeof location === 'string'
      ? [{ oid, location, sizeKib: size === null ? undefined : Number(size) }]
      : [],
  );
  yield { kind: 'tablespaces', tablespaces };
  if (isModern) yield* modernCopy(connection);
  else yield* olderCopy(connection, [...spaces.map(({ oid }) => oid ?? undefined)]);
  const [endPosition, endTimeline] = await resultRow(connection);
  for (let type = ''; type !== 'Z'; ) {
    const message = await connection.receive();
    type = message.type;
    if (type === 'E') throw connection.refusalOf(message.body);
  }
  yield { kind: 'end', position: mustParseLsn(endPosition), timeline: Number(endTimeline) };
}

function modernCommand({ label, fast, verifyChecksums, manifest }: BaseBackupOptions): string {
  const words = [
    `LABEL ${literal(label)}`,
    `CHECKPOINT '${fast ? 'fast' : 'spread'}'`,
    'WAL false',
    // Not for the archiver, which may stand still: the log comes to us by itself.
    'WAIT false',
    'TABLESPACE_MAP true',
    'PROGRESS true',
  ];
  words.push("MANIFEST 'yes'", `MANIFEST_CHECKSUMS '${manifest}'`, `VERIFY_CHECKSUMS ${verifyChecksums}`);
  return `BASE_BACKUP (${words.join(', ')})`;
}

function olderCommand({ label, fast, verifyChecksums, manifest }: BaseBackupOptions): string {
  const words = [`LABEL ${literal(label)}`, 'PROGRESS', ...(fast ? ['FAST'] : []), 'NOWAIT', 'TABLESPACE_MAP'];
  if (!verifyChecksums) words.push('NOVERIFY_CHECKSUMS');
  words.push("MANIFEST 'yes'", `MANIFEST_CHECKSUMS '${manifest}'`);
  return `BASE_BACKUP ${words.join(' ')}`;
}

/** 15 and newer: one copy stream, whose messages say what they are. */
async function* modernCopy(connection: PgConnection): AsyncGenerator<BaseBackupEvent> {
  await expect(connection, 'H');
  for (;;) {
    const { type, body } = await connection.receive();
    if (type === 'c') return;
    if (type === 'E') throw connection.refusalOf(body);
    if (type !== 'd') throw unexpected(type);
    const what = String.fromCharCode(body[0]!);
    if (what === 'd') yield { kind: 'data', bytes: body.subarray(1) };
    else if (what === 'm') yield { kind: 'manifest' };
    else if (what === 'n') yield { kind: 'archive', oid: /^(\d+)\.tar$/.exec(body.toString('utf8', 1, body.indexOf(0, 1)))?.[1] };
    else if (what !== 'p') throw unexpected(`copy ${what}`);
  }
}

/** 13 and 14: a copy stream for each tablespace in the order of the list, then one for the manifest. */
async function* olderCopy(connection: PgConnection, oids: readonly (string | undefined)[]): AsyncGenerator<BaseBackupEvent> {
  for (let n = 0; n <= oids.length; n++) {
    await expect(connection, 'H');
    yield n === oids.length ? { kind: 'manifest' } : { kind: 'archive', oid: oids[n] };
    for (;;) {
      const { type, body } = await connection.receive();
      if (type === 'c') break;
      if (type === 'E') throw connection.refusalOf(body);
      if (type !== 'd') throw unexpected(type);
      yield { kind: 'data', bytes: body };
    }
  }
}

const LOG = 'w'.charCodeAt(0);
const KEEPALIVE = 'k'.charCodeAt(0);
/** Its kind, where it begins, where the server's log ends, and when it was sent. */
const LOG_HEAD_BYTES = 25;
/** A server sends its log after each of its flushes, thousands of times a second. What is durable is told every few hundred milliseconds. */
const GATHER_MS = 10;
const JOINED_BYTES_MAX = 1024 * 1024;

export class LogStream implements LogSource {
  readonly #connection: PgConnection;
  /** Came behind what was joined. */
  #held: Message | undefined;

  private constructor(connection: PgConnection) {
    this.#connection = connection;
  }

  /** Without a slot: only to look. PG_LOG_REMOVED when the server has the log no more; PG_SLOT_BUSY when somebody else reads from the slot. */
  static async start(connection: PgConnection, slot: string | undefined, position: number, timeline: number): Promise<LogStream> {
    const from = slot === undefined ? '' : `SLOT ${identifier(slot)} `;
    connection.send('Q', Buffer.from(`START_REPLICATION ${from}PHYSICAL ${formatLsn(position)} TIMELINE ${timeline}\0`));
    const { type, body } = await connection.receive();
    if (type === 'E') throw translated(connection.refusalOf(body));
    // "T": the timeline has ended at this very position; `next` reads that from the result.
    const stream = new LogStream(connection);
    connection.gather(GATHER_MS);
    if (type === 'T') stream.#endedAtOnce = true;
    else if (type !== 'W') throw unexpected(type);
    return stream;
  }

  #endedAtOnce = false;

  /** Undefined when nothing came within `timeoutMs`. */
  async next(timeoutMs = IDLE_TIMEOUT_MS): Promise<LogEvent> {
    if (this.#endedAtOnce) return this.#ended(undefined);
    for (;;) {
      const { type, body } = this.#take() ?? (await this.#connection.receive(timeoutMs));
      if (type === 'E') throw translated(this.#connection.refusalOf(body));
      if (type === 'c') {
        this.#connection.send('c', new Uint8Array(0));
        return this.#ended('T');
      }
      // The server shuts down.
      if (type === 'C') throw new Fault('PG_UNREACHABLE', 'The server has ended the stream of its log: it shuts down');
      if (type !== 'd') throw unexpected(type);
      if (body[0] === LOG) return this.#joined(body);
      if (body[0] === KEEPALIVE)
        return { kind: 'keepalive', serverEnd: Number(body.readBigUInt64BE(1)), wantsReply: body[17] === 1 };
    }
  }

  /** With what follows and is here already: a few large pieces cost less than many small ones. */
  #joined(first: Buffer): LogEvent {
    const start = Number(first.readBigUInt64BE(1));
    const pieces = [first.subarray(LOG_HEAD_BYTES)];
    let last = first;
    for (let end = start + pieces[0]!.length; end - start < JOINED_BYTES_MAX; end += last.length - LOG_HEAD_BYTES) {
      this.#held = this.#connection.received();
      const { type, body } = this.#held ?? {};
      if (type !== 'd' || body?.[0] !== LOG || Number(body.readBigUInt64BE(1)) !== end) break;
      pieces.push(body.subarray(LOG_HEAD_BYTES));
      last = body;
      this.#held = undefined;
    }
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    return { kind: 'data', start, serverEnd: Number(last.readBigUInt64BE(9)), bytes };
  }

  #take(): Message | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  report(written: number, flushed: number, nowUnixMicros: number): void {
    const body = Buffer.alloc(34);
    body.write('r', 0, 'latin1');
    body.writeBigUInt64BE(BigInt(written), 1);
    body.writeBigUInt64BE(BigInt(flushed), 9);
    body.writeBigUInt64BE(0n, 17);
    body.writeBigInt64BE(pgMicros(nowUnixMicros), 25);
    this.#connection.send('d', body);
  }

  async #ended(expected: 'T' | undefined): Promise<LogEvent> {
    let next: LogEvent | undefined;
    let type = expected === undefined ? 'T' : '';
    for (; type !== 'Z'; ) {
      const message = await this.#connection.receive();
      type = message.type;
      if (type === 'E') throw translated(this.#connection.refusalOf(message.body));
      if (type === 'D') {
        const [timeline, position] = textRow(message.body);
        next = { kind: 'ended', timeline: Number(timeline), position: mustParseLsn(position) };
      }
    }
    if (next === undefined) throw new Fault('PG_UNREACHABLE', 'The server ended the stream of its log');
    return next;
  }
}

/** What a server says of a slot or its log, by our names. */
export function translated(error: unknown): unknown {
  if (!(error instanceof Fault) || !(error.cause instanceof ServerError)) return error;
  const { cause, message } = error;
  if (cause.sqlState === '55006') return new Fault('PG_SLOT_BUSY', message, { cause });
  const isLost =
    cause.sqlState === '58P01' ||
    /has already been removed|can no longer get changes|has been invalidated|cannot read from replication slot/.test(cause.message);
  return isLost ? new Fault('PG_LOG_REMOVED', message, { cause }) : error;
}

async function expect(connection: PgConnection, wanted: string): Promise<void> {
  const { type, body } = await connection.receive();
  if (type === 'E') throw connection.refusalOf(body);
  if (type !== wanted) throw unexpected(type);
}

async function resultRow(connection: PgConnection): Promise<readonly (string | null)[]> {
  return (await resultRows(connection))[0] ?? [];
}

/** One result set, up to its completion. */
async function resultRows(connection: PgConnection, timeoutMs = IDLE_TIMEOUT_MS): Promise<(string | null)[][]> {
  const rows: (string | null)[][] = [];
  for (;;) {
    const { type, body } = await connection.receive(timeoutMs);
    if (type === 'E') throw connection.refusalOf(body);
    if (type === 'D') rows.push(textRow(body));
    else if (type === 'C') return rows;
    else if (type !== 'T') throw unexpected(type);
  }
}

function unexpected(what: string): Fault {
  return new Fault('PG_PROTOCOL', `The server sent a message "${what}" where none belongs`);
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

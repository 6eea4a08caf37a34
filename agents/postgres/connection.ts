// A connection to a PostgreSQL server: start-up, authentication, simple queries, and the copy streams that replication uses. One thing at a
// time: a caller awaits what it asked for. Every wait has a time limit and ends with the signal.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, createSecureContext } from 'node:tls';
import { Fault, type FaultCode } from '../../src/base/faults.ts';
import { describeServer, isSocket, type ServerAddress } from './connection-string.ts';
import { MessageReader } from './message-reader.ts';
import { Scram } from './scram.ts';
import { LOOK_AT_SESSION, mustBeWanted } from './wanted-session.ts';

const PROTOCOL = 196_608;
const HEAD_BYTES = 5;
/** A socket that is paused reads no more, where it would go on until so much waits. */
const READ_WHEN_ASKED = { readableHighWaterMark: 1 };
const SSL_REQUEST = 80_877_103;
/** The server sends nothing longer: a CopyData of a base backup has 32 KiB to some hundred. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 15_000;
/** Without a byte while an answer is awaited. */
export const IDLE_TIMEOUT_MS = 120_000;
/** While a spread checkpoint is awaited: it takes as long as the server's settings say. */
export const CHECKPOINT_MS = 3_600_000;

/** By OpenSSL's names of what is wrong with a certificate. */
const CERTIFICATE_HINTS: readonly (readonly [RegExp, string])[] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'Name the host as its certificate does; sslmode=verify-ca does not look at the name.'],
  [/^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/, 'Renew the certificate on the server; if it is valid, look at the clock of this host.'],
  [/SELF_SIGNED|UNABLE_TO|CERT_UNTRUSTED/, 'Name the certificate of the authority that signed it: sslrootcert=/path/of/ca.crt'],
];

export type ConnectOptions = {
  readonly address: ServerAddress;
  readonly replication?: 'true' | 'database';
  readonly applicationName?: string;
  readonly signal?: AbortSignal;
  readonly idleTimeoutMs?: number;
};

/** What a standby says of a question that its replay would not wait for. */
const SERIALIZATION_FAILURE = '40001';
const READS_MAX = 10;

export type Message = { readonly type: string; readonly body: Buffer };
type MessageHead = { readonly type: string; readonly length: number };
/** Rows of one result: values as text. */
export type Rows = { readonly columns: readonly string[]; readonly rows: readonly (readonly (string | null)[])[] };

/** What the server said when it refused. */
export class ServerError extends Error {
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.sqlState = sqlState;
  }
}

export class PgConnection {
  readonly address: ServerAddress;
  /** As the server reports them: server_version, TimeZone, ... */
  readonly parameters = new Map<string, string>();
  #socket: Socket;
  #reader: MessageReader;
  /** Of the message whose body has not come. */
  #head: MessageHead | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #idleTimeoutMs: number;
  #onAbort: (() => void) | undefined;
  #isClosed = false;
  #serverProcess: number | undefined;

  private constructor(options: ConnectOptions, socket: Socket) {
    this.address = options.address;
    this.#signal = options.signal;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    this.#socket = socket;
    this.#reader = new MessageReader(socket, () => this.#gone());
    this.#onAbort = () => {
      this.#reader.fail(options.signal?.reason);
      this.#socket.destroy();
    };
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** PG_UNREACHABLE, PG_DENIED, PG_REFUSED. */
  static async open(options: ConnectOptions): Promise<PgConnection> {
    const { address, signal } = options;
    signal?.throwIfAborted();
    const { host, port } = address;
    const place = isSocket(address) ? { path: `${host.replace(/^@/, '\0')}/.s.PGSQL.${port}` } : { host, port };
    const socket = connectSocket({ ...place, ...READ_WHEN_ASKED });
    await opened(socket, address);
    if (signal?.aborted === true) {
      socket.destroy();
      throw signal.reason;
    }
    const connection = new PgConnection(options, socket);
    try {
      await connection.#encrypt();
      await connection.#startUp(options);
      // Whoever replicates has asked the same server before.
      if (address.session !== undefined && options.replication === undefined)
        mustBeWanted(address, (await connection.query(LOOK_AT_SESSION)).rows[0] ?? []);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The number of the server's process, where that runs. */
  get serverProcess(): number | undefined {
    return this.#serverProcess;
  }

  /** Major version. */
  get version(): number {
    return Number.parseInt(this.parameters.get('server_version') ?? '0', 10);
  }

  /** Runs statements without parameters; answers the last result that has rows. */
  async query(sql: string): Promise<Rows> {
    return (await this.queryAll(sql)).at(-1) ?? { columns: [], rows: [] };
  }

  /** A question that changes nothing. A standby ends one that stands in the way of its replay: it is asked again then. */
  async read(sql: string): Promise<Rows> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.query(sql);
      } catch (error) {
        const { cause } = error as { readonly cause?: unknown };
        if (!(cause instanceof ServerError) || cause.sqlState !== SERIALIZATION_FAILURE || attempt === READS_MAX) throw error;
      }
    }
  }

  /** The results that have rows, in order. */
  async queryAll(sql: string): Promise<Rows[]> {
    this.send('Q', cString(sql));
    const results: Rows[] = [];
    let failure: ServerError | undefined;
    for (;;) {
      const { type, body } = await this.receive();
      if (type === 'T') results.push({ columns: columnsOf(body), rows: [] });
      else if (type === 'D') (results.at(-1)!.rows as (string | null)[][]).push(textRow(body));
      else if (type === 'E') failure = errorOf(body);
      else if (type === 'Z') break;
      else if (!'CIS'.includes(type)) throw new Fault('PG_PROTOCOL', `The server answered a query with a message "${type}"`);
    }
    if (failure !== undefined) throw this.refusal(failure);
    return results;
  }

  /** The value in the first row's first column; undefined when there is none. */
  async value(sql: string): Promise<string | undefined> {
    return (await this.query(sql)).rows[0]?.[0] ?? undefined;
  }

  send(type: string, body: Uint8Array): void {
    const message = Buffer.allocUnsafe(5 + body.length);
    message.write(type, 0, 'latin1');
    message.writeInt32BE(4 + body.length, 1);
    message.set(body, 5);
    this.#socket.write(message);
  }

  /** The next message that is not a notice or a parameter. */
  async receive(timeoutMs: number = this.#idleTimeoutMs): Promise<Message> {
    for (;;) {
      const message = this.received();
      if (message !== undefined) return message;
      await this.#timed(this.#reader.wait(this.#head?.length ?? HEAD_BYTES), timeoutMs);
    }
  }

  /** As `receive`, of what is there already. */
  received(): Message | undefined {
    for (;;) {
      if (this.#head === undefined && this.#reader.has(HEAD_BYTES)) this.#head = headOf(this.#reader.take(HEAD_BYTES));
      if (this.#head === undefined || !this.#reader.has(this.#head.length)) return undefined;
      const { type, length } = this.#head;
      this.#head = undefined;
      const body = this.#reader.take(length);
      if (type === 'S') this.#noteParameter(body);
      else if (type !== 'N' && type !== 'A') return { type, body };
    }
  }

  /** See MessageReader. */
  gather(ms: number): void {
    this.#reader.gather(ms);
  }

  /** The fault for an error message of the server. */
  refusal(error: ServerError): Fault {
    return new Fault(codeOf(error), `The server at ${describeServer(this.address)} refused: ${error.message}`, { cause: error });
  }

  refusalOf(body: Buffer): Fault {
    return this.refusal(errorOf(body));
  }

  /** At once: what is under way fails. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    if (!this.#socket.destroyed) {
      this.send('X', new Uint8Array(0));
      this.#socket.end();
      this.#socket.destroySoon();
    }
  }

  async #timed<T>(read: Promise<T>, timeoutMs: number): Promise<T> {
    const timer = setTimeout(() => {
      this.#reader.fail(
        new Fault('PG_UNREACHABLE', `The server at ${describeServer(this.address)} was silent for ${timeoutMs} ms`),
      );
      this.#socket.destroy();
    }, timeoutMs);
    try {
      return await read;
    } catch (error) {
      if (error instanceof Fault || this.#signal?.aborted === true)
        throw this.#signal?.aborted === true ? this.#signal.reason : error;
      throw unreachable(this.address, error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #encrypt(): Promise<void> {
    const { host, tls } = this.address;
    if (tls === 'disable' || isSocket(this.address)) return;
    const certificates = certificatesOf(this.address);
    const request = Buffer.alloc(8);
    request.writeInt32BE(8, 0);
    request.writeInt32BE(SSL_REQUEST, 4);
    this.#socket.write(request);
    const answer = (await this.#timed(this.#reader.read(1), CONNECT_TIMEOUT_MS)).toString('latin1');
    if (answer !== 'S') {
      if (tls === 'prefer') return;
      throw new Fault('PG_DENIED', `The server at ${describeServer(this.address)} does not encrypt, and sslmode asks for it`);
    }
    this.#reader.release();
    const secure = connectTls({
      socket: this.#socket,
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      rejectUnauthorized: tls === 'verify-full' || tls === 'verify-ca',
      ...(tls === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
      ...certificates,
    });
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', resolve);
      secure.once('error', (error) => reject(notEncrypted(this.address, error)));
    });
    this.#socket = secure;
    this.#reader = new MessageReader(secure, () => this.#gone());
  }

  async #startUp({ address, replication, applicationName = 'holdfast' }: ConnectOptions): Promise<void> {
    const words = ['user', address.user, 'database', address.database, 'application_name', applicationName];
    words.push('client_encoding', 'UTF8', 'DateStyle', 'ISO', 'TimeZone', 'UTC');
    if (replication !== undefined) words.push('replication', replication);
    const body = Buffer.concat([...words.map(cString), Buffer.alloc(1)]);
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + body.length, 0);
    head.writeInt32BE(PROTOCOL, 4);
    this.#socket.write(Buffer.concat([head, body]));
    let scram: Scram | undefined;
    for (;;) {
      const { type, body: answer } = await this.receive(CONNECT_TIMEOUT_MS);
      if (type === 'E') throw this.refusalOf(answer);
      if (type === 'Z') return;
      if (type === 'K') this.#serverProcess = answer.readInt32BE(0);
      if (type === 'R') scram = this.#authenticate(answer, scram);
    }
  }

  /** One step. */
  #authenticate(body: Buffer, scram: Scram | undefined): Scram | undefined {
    const { user } = this.address;
    const kind = body.readInt32BE(0);
    const text = body.toString('utf8', 4);
    if (kind === 3) this.send('p', cString(this.#password()));
    else if (kind === 5) {
      const inner = md5(this.#password() + user);
      this.send('p', cString(`md5${md5(Buffer.concat([Buffer.from(inner), body.subarray(4, 8)]))}`));
    } else if (kind === 10) {
      if (!text.split('\0').includes('SCRAM-SHA-256'))
        throw this.#denied('it asks for a way to authenticate that is not known here');
      const started = new Scram(this.#password());
      const first = Buffer.from(started.first());
      const length = Buffer.alloc(4);
      length.writeInt32BE(first.length);
      this.send('p', Buffer.concat([cString('SCRAM-SHA-256'), length, first]));
      return started;
    } else if (kind === 11) {
      const answer = scram?.answer(text);
      if (answer === undefined) throw this.#denied('its part of the authentication makes no sense');
      this.send('p', Buffer.from(answer));
    } else if (kind === 12) {
      if (scram?.isServer(text) !== true) throw this.#denied('it does not know the password: this may be another server');
    } else if (kind !== 0) throw this.#denied(`it asks for a way to authenticate (${kind}) that is not known here`);
    return scram;
  }

  #password(): string {
    if (this.address.password === undefined) throw this.#denied('it asks for a password, and none was given');
    return this.address.password;
  }

  #denied(why: string): Fault {
    return new Fault('PG_DENIED', `The server at ${describeServer(this.address)} does not let us in: ${why}`);
  }

  #noteParameter(body: Buffer): void {
    const [name, value] = body.toString('utf8').split('\0');
    this.parameters.set(name!, value!);
  }

  #gone(): Fault {
    return new Fault('PG_UNREACHABLE', `The server at ${describeServer(this.address)} closed the connection`);
  }
}

async function opened(socket: Socket, address: ServerAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no connection after ${CONNECT_TIMEOUT_MS} ms`)), CONNECT_TIMEOUT_MS);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve();
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(unreachable(address, error));
    });
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30_000);
}

/** Read anew for each connection: they are renewed under a capture that lasts for months. USAGE. */
function certificatesOf({ tlsFiles }: ServerAddress): ConnectionOptions {
  const read = (word: string, path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new Fault('USAGE', `The file "${path}" that ${word} names cannot be read: ${code}`, { cause });
    }
  };
  const found = {
    ca: read('sslrootcert', tlsFiles?.root),
    cert: read('sslcert', tlsFiles?.certificate),
    key: read('sslkey', tlsFiles?.key),
  };
  try {
    return { secureContext: createSecureContext(found) };
  } catch (cause) {
    throw new Fault('USAGE', `The certificates that the connection string names are none: ${(cause as Error).message}`, { cause });
  }
}

/** A certificate that does not count is no matter of the network. */
function notEncrypted(address: ServerAddress, cause: Error & { readonly code?: string }): Fault {
  const { code = '', message } = cause;
  const hint = CERTIFICATE_HINTS.find(([pattern]) => pattern.test(code))?.[1];
  if (hint === undefined) return unreachable(address, cause);
  return new Fault('PG_UNREACHABLE', `The certificate of the server at ${describeServer(address)} does not count: ${message}`, {
    cause,
    hint,
  });
}

/** `length`: of the body. */
function headOf(bytes: Buffer): MessageHead {
  const length = bytes.readInt32BE(1) - 4;
  if (length < 0 || length > MESSAGE_BYTES_MAX) throw new Fault('PG_PROTOCOL', 'The server sent a message of an impossible length');
  return { type: String.fromCharCode(bytes[0]!), length };
}

function unreachable(address: ServerAddress, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Fault('PG_UNREACHABLE', `The server at ${describeServer(address)} cannot be reached: ${why}`, { cause });
}

/** "cannot_connect_now" and its like pass; a wrong password does not. */
function codeOf({ sqlState }: ServerError): FaultCode {
  if (sqlState.startsWith('28') || sqlState === '42501') return 'PG_DENIED';
  return sqlState.startsWith('57P') || sqlState.startsWith('53') || sqlState.startsWith('08') ? 'PG_UNREACHABLE' : 'PG_REFUSED';
}

export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

function md5(bytes: string | Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

function columnsOf(body: Buffer): string[] {
  const names: string[] = [];
  let at = 2;
  for (let n = body.readInt16BE(0); n > 0; n--) {
    const end = body.indexOf(0, at);
    names.push(body.toString('utf8', at, end));
    at = end + 19;
  }
  return names;
}

/** The columns of a DataRow, as text. */
export function textRow(body: Buffer): (string | null)[] {
  const values: (string | null)[] = [];
  let at = 2;
  for (let n = body.readInt16BE(0); n > 0; n--) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length === -1 ? null : body.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return values;
}

function errorOf(body: Buffer): ServerError {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .filter((field) => field !== '')
      .map((field) => [field[0], field.slice(1)]),
  );
  const detail = fields.get('D');
  return new ServerError(fields.get('C') ?? '', `${fields.get('M')}${detail === undefined ? '' : ` (${detail})`}`);
}

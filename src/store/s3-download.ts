// A lean way for the bytes of objects: GET over a plain socket, read by the kernel straight into the buffer that the caller gets.
//
// Why not node:http: it hands every 64 KiB over in a buffer of its own, which costs 1.0 to 1.6 CPU seconds a GiB and ends at 0.6
// GB/s in one process; this costs 0.2 and ends at 3. Only the plain case is done here: an answer of HTTP/1.1 with a
// Content-Length. Anything else (chunks, an interim answer, no length) makes it drop the connection and answer undefined, and the
// caller asks again by node:http, which understands everything.

import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { OBJECT_BYTES_MAX } from './object-store.ts';
import { connectionFault } from './s3-faults.ts';
import { AttemptTimer, type S3Timeouts } from './s3-timeouts.ts';

export type Download = {
  /** "https:" or "http:". */
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
};

export type DownloadAnswer = {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

const HEAD_BYTES_MAX = 32 * 1024;
const IDLE_CONNECTIONS_MAX = 16;
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;

export class S3Downloads {
  readonly #timeouts: S3Timeouts;
  readonly #idle: Connection[] = [];

  constructor(timeouts: S3Timeouts) {
    this.#timeouts = timeouts;
  }

  async get(download: Download, signal: AbortSignal | undefined): Promise<DownloadAnswer | undefined> {
    for (;;) {
      const connection = this.#idle.pop() ?? new Connection(download);
      const { reused } = connection;
      try {
        const answer = await connection.exchange(download, this.#timeouts, signal);
        if (connection.usable) this.#keep(connection);
        return answer;
      } catch (error) {
        // The store closed an idle connection at the moment when we used it again; there are fewer of those each time.
        if (!reused || connection.answered || signal?.aborted || (error instanceof Fault && error.code === 'STORE_TIMEOUT'))
          throw error;
      }
    }
  }

  destroy(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  #keep(connection: Connection): void {
    if (this.#idle.length >= IDLE_CONNECTIONS_MAX) {
      connection.destroy();
      return;
    }
    connection.rest(() => {
      const place = this.#idle.indexOf(connection);
      if (place !== -1) this.#idle.splice(place, 1);
    });
    this.#idle.push(connection);
  }
}

type Exchange = {
  readonly what: string;
  readonly timer: AttemptTimer;
  readonly settle: (answer: DownloadAnswer | undefined) => void;
  readonly fail: (error: unknown) => void;
};

type Head = { readonly statusCode: number; readonly headers: Readonly<Record<string, string>>; readonly length: number };

class Connection {
  reused = false;
  answered = false;
  usable = false;
  readonly #socket: Socket;
  readonly #scratch = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX);
  #scratchBytes = 0;
  #head: Head | undefined;
  #body = Buffer.alloc(0);
  #bodyBytes = 0;
  #exchange: Exchange | undefined;
  #onGone: () => void = () => {};

  constructor({ protocol, host, port }: Download) {
    const onread = { buffer: () => this.#space(), callback: (bytes: number) => this.#take(bytes) };
    const common = { host, port, onread, noDelay: true, keepAlive: true };
    this.#socket =
      protocol === 'https:' ? connectTls({ ...common, ...(isIP(host) === 0 && { servername: host }) }) : connectTcp(common);
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('timeout', () => this.#exchange?.timer.idle());
    this.#socket.on('end', () => this.destroy());
    this.#socket.on('close', () => {
      this.#onGone();
      this.#fail(this.#cut());
    });
  }

  /** Sends a request and reads its answer. Undefined when the answer is not of the plain kind. */
  async exchange(download: Download, timeouts: S3Timeouts, signal: AbortSignal | undefined): Promise<DownloadAnswer | undefined> {
    const socket = this.#socket;
    const what = `GET ${download.protocol}//${download.host}:${download.port}${download.path.split('?')[0]}`;
    this.answered = this.usable = false;
    this.#head = undefined;
    this.#scratchBytes = 0;
    this.#onGone = () => {};
    const { promise, resolve: settle, reject: fail } = Promise.withResolvers<DownloadAnswer | undefined>();
    const timer = new AttemptTimer(timeouts, what, (fault) => this.#fail(fault));
    this.#exchange = { what, timer, settle, fail };
    const onAbort = () => this.#fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      socket.ref().setTimeout(timeouts.idleMs);
      if (socket.connecting) timer.connecting(socket, download.protocol === 'https:' ? 'secureConnect' : 'connect');
      timer.extend(0);
      socket.write(requestHead(download), 'latin1');
      return await promise;
    } catch (error) {
      this.destroy();
      if (signal?.aborted) throw signal.reason;
      throw connectionFault(error, what);
    } finally {
      this.#exchange = undefined;
      timer.stop();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Lets the connection wait for its next use, without keeping the process alive. `onGone` is called when the store closes it. */
  rest(onGone: () => void): void {
    this.reused = true;
    this.#onGone = onGone;
    this.#head = undefined;
    this.#body = Buffer.alloc(0);
    this.#socket.setTimeout(0).unref();
  }

  destroy(): void {
    this.usable = false;
    this.#socket.destroy();
  }

  #fail(error: unknown): void {
    this.#exchange?.fail(error);
  }

  #cut(): Error {
    if (this.#head === undefined) return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
    const why = `the answer ended after ${this.#bodyBytes} of ${this.#body.length} bytes`;
    return new Fault('STORE_CORRUPT_ANSWER', `${this.#exchange?.what}: ${why}`);
  }

  /** Where the next bytes are to be read to. */
  #space(): Uint8Array {
    if (this.#head !== undefined && this.#bodyBytes < this.#body.length) return this.#body.subarray(this.#bodyBytes);
    return this.#scratch.subarray(this.#scratchBytes % HEAD_BYTES_MAX);
  }

  #take(bytes: number): boolean {
    // Bytes that nobody asked for.
    if (this.#exchange === undefined) {
      this.destroy();
      return true;
    }
    this.answered = true;
    if (this.#head === undefined) this.#takeHead(bytes, this.#exchange);
    else this.#bodyBytes += bytes;
    if (this.#head !== undefined && this.#bodyBytes === this.#body.length) this.#end(this.#head, this.#exchange);
    return true;
  }

  #takeHead(bytes: number, exchange: Exchange): void {
    this.#scratchBytes += bytes;
    const seen = this.#scratch.subarray(0, this.#scratchBytes);
    const end = seen.indexOf('\r\n\r\n');
    if (end === -1 && this.#scratchBytes < HEAD_BYTES_MAX) return;
    const head = end === -1 ? undefined : parseHead(seen.toString('latin1', 0, end));
    const rest = seen.subarray(end + 4);
    if (head === undefined || rest.length > head.length) {
      this.destroy();
      exchange.settle(undefined);
      return;
    }
    if (head.length > OBJECT_BYTES_MAX) {
      exchange.fail(new Fault('STORE_CORRUPT_ANSWER', `${exchange.what}: an answer of ${head.length} bytes is too large`));
      return;
    }
    exchange.timer.extend(head.length);
    this.#body = Buffer.allocUnsafeSlow(head.length);
    this.#body.set(rest);
    this.#bodyBytes = rest.length;
    this.#head = head;
  }

  #end(head: Head, exchange: Exchange): void {
    this.usable = head.headers.connection?.toLowerCase() !== 'close';
    if (!this.usable) this.#socket.destroy();
    this.#scratchBytes = 0;
    exchange.settle({ statusCode: head.statusCode, headers: head.headers, body: this.#body });
  }
}

/** Undefined when the answer is not of the plain kind. */
function parseHead(text: string): Head | undefined {
  const [first, ...lines] = text.split('\r\n');
  const [, status] = /^HTTP\/1\.1 ([2-5][0-9]{2})( .*)?$/.exec(first) ?? [];
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined) return undefined;
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  const length = headers['content-length'];
  const plain = status !== undefined && /^[0-9]{1,15}$/.test(length ?? '') && headers['transfer-encoding'] === undefined;
  return plain ? { statusCode: Number(status), headers, length: Number(length) } : undefined;
}

function requestHead({ path, headers }: Download): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  invariant(![path, ...lines].some((line) => /[\r\n]/.test(line)), 'a request has no line breaks in it');
  return [`GET ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n');
}

// The HTTP handler under the AWS SDK: one attempt of one request, with every wait bounded.
//
// Why not the SDK's own: this one reads the answer inside the attempt, so that its time limits cover the body, a body that ends early
// is noticed, and no answer is larger than it may be; the body of a request goes to the socket in one write, without a copy, also from
// shared memory; and the caller's signal destroys the socket.
//
// Limits of an attempt: `connectMs` until the connection stands, `idleMs` without a byte in either direction, and in all `totalMs` plus
// the time that the bytes of both bodies take at `slowestBytesPerSecond`.

import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { Readable } from 'node:stream';
import { Fault } from '../base/faults.ts';
import { OBJECT_BYTES_MAX } from './object-store.ts';
import { connectionFault } from './s3-faults.ts';

export type S3Timeouts = {
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly slowestBytesPerSecond: number;
};

export const S3_TIMEOUTS: S3Timeouts = { connectMs: 5_000, idleMs: 30_000, totalMs: 60_000, slowestBytesPerSecond: 32 * 1024 };

/** Answers of anything but a read of an object: XML. A listing of 1,000 keys is about 0.5 MiB. */
const CONTROL_BYTES_MAX = 16 * 1024 * 1024;

const STALE_CONNECTIONS_MAX = 32;

/** What the SDK hands to its HTTP handler. */
type SdkRequest = {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly method: string;
  readonly path: string;
  readonly query?: Record<string, string | string[] | null>;
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array | string;
};

type SdkResponse = { readonly statusCode: number; readonly headers: Record<string, string>; readonly body: Readable };

type Answer = { readonly message: IncomingMessage; readonly body: Buffer };

export class S3Transport {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #timeouts: S3Timeouts;
  readonly #http = new HttpAgent({ keepAlive: true, scheduling: 'lifo' });
  readonly #https = new HttpsAgent({ keepAlive: true, scheduling: 'lifo' });

  constructor(timeouts: S3Timeouts) {
    this.#timeouts = timeouts;
  }

  async handle(request: SdkRequest, options?: { readonly abortSignal?: unknown }): Promise<{ readonly response: SdkResponse }> {
    const { message, body } = await this.#attempt(request, options?.abortSignal as AbortSignal | undefined);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(message.headers))
      headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
    // The SDK wants a stream. This one hands over all bytes as one chunk.
    const stream = Readable.from(body.length === 0 ? [] : [body], { objectMode: false });
    return { response: { statusCode: message.statusCode ?? 0, headers, body: stream } };
  }

  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  httpHandlerConfigs(): object {
    return {};
  }

  updateHttpClientConfig(): void {}

  async #attempt(request: SdkRequest, signal: AbortSignal | undefined): Promise<Answer> {
    const agent = request.protocol === 'https:' ? this.#https : this.#http;
    for (let stale = 0; ; stale++) {
      const attempt = new Attempt(request, this.#timeouts, agent);
      try {
        return await attempt.run(signal);
      } catch (error) {
        // The store closed an idle connection at the moment when we used it again. Repeating is safe, as every request of ours is.
        if (stale === STALE_CONNECTIONS_MAX || !attempt.foundStaleConnection(error)) throw error;
      }
    }
  }
}

class Attempt {
  readonly #what: string;
  readonly #request: SdkRequest;
  readonly #timeouts: S3Timeouts;
  readonly #outgoing: ClientRequest;
  readonly #bodyBytesMax: number;
  #answered = false;
  #totalTimer: NodeJS.Timeout | undefined;

  constructor(request: SdkRequest, timeouts: S3Timeouts, agent: HttpAgent | HttpsAgent) {
    const options: RequestOptions = {
      host: request.hostname,
      port: request.port ?? null,
      method: request.method,
      path: request.path + queryString(request.query),
      headers: request.headers,
      agent,
    };
    this.#request = request;
    this.#timeouts = timeouts;
    this.#what = `${request.method} ${request.protocol}//${request.hostname}${request.port === undefined ? '' : `:${request.port}`}${request.path}`;
    this.#bodyBytesMax = request.query?.['x-id'] === 'GetObject' ? OBJECT_BYTES_MAX : CONTROL_BYTES_MAX;
    this.#outgoing = request.protocol === 'https:' ? requestHttps(options) : requestHttp(options);
  }

  foundStaleConnection(error: unknown): boolean {
    const errno = error instanceof Fault ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined;
    return this.#outgoing.reusedSocket && !this.#answered && (errno === 'ECONNRESET' || errno === 'EPIPE');
  }

  async run(signal: AbortSignal | undefined): Promise<Answer> {
    const outgoing = this.#outgoing;
    if (signal?.aborted) {
      outgoing.destroy();
      outgoing.on('error', () => {});
      throw signal.reason;
    }
    const onAbort = () => outgoing.destroy(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise<Answer>((resolve, reject) => this.#exchange(resolve, reject));
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw connectionFault(error, this.#what);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      clearTimeout(this.#totalTimer);
    }
  }

  #exchange(resolve: (answer: Answer) => void, reject: (error: unknown) => void): void {
    const outgoing = this.#outgoing;
    const { connectMs, idleMs } = this.#timeouts;
    const { body } = this.#request;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body && Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    outgoing.on('error', reject);
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => this.#giveUp(`no connection after ${connectMs} ms`), connectMs);
      const done = () => clearTimeout(timer);
      socket.once(this.#request.protocol === 'https:' ? 'secureConnect' : 'connect', done).once('close', done);
    });
    outgoing.setTimeout(idleMs, () => this.#giveUp(`no byte for ${idleMs} ms`));
    this.#limitTotal(bytes?.length ?? 0);
    outgoing.on('response', (message) => {
      this.#answered = true;
      this.#limitTotal(Math.min(Number(message.headers['content-length'] ?? 0), this.#bodyBytesMax));
      this.#collect(message).then((collected) => resolve({ message, body: collected }), reject);
    });
    outgoing.end(bytes);
  }

  /** Starts the time for the whole attempt anew, once at the start and once when the size of the answer is known. */
  #limitTotal(bodyBytes: number): void {
    const { totalMs, slowestBytesPerSecond } = this.#timeouts;
    const limitMs = Math.ceil(totalMs + (bodyBytes / slowestBytesPerSecond) * 1000);
    clearTimeout(this.#totalTimer);
    this.#totalTimer = setTimeout(() => this.#giveUp(`not done after ${limitMs} ms`), limitMs);
  }

  #giveUp(why: string): void {
    this.#outgoing.destroy(new Fault('STORE_TIMEOUT', `${this.#what}: ${why}`));
  }

  #collect(message: IncomingMessage): Promise<Buffer> {
    const declared = message.headers['content-length'];
    const length = declared === undefined ? undefined : Number(declared);
    const corrupt = (why: string) => new Fault('STORE_CORRUPT_ANSWER', `${this.#what}: ${why}`);
    if (length !== undefined && !(length <= this.#bodyBytesMax)) {
      this.#outgoing.destroy();
      return Promise.reject(corrupt(`an answer of ${declared} bytes is too large`));
    }
    const sink = length === undefined ? new GrowingSink() : new FixedSink(length);
    return new Promise((resolve, reject) => {
      message.on('data', (chunk: Buffer) => {
        if (sink.size + chunk.length <= this.#bodyBytesMax && sink.write(chunk)) return;
        this.#outgoing.destroy();
        reject(corrupt('the answer is longer than it may be'));
      });
      message.on('end', () => resolve(sink.bytes()));
      message.on('error', (error) => {
        const cut = (error as NodeJS.ErrnoException).code === 'ECONNRESET';
        reject(cut ? corrupt(`the answer ended after ${sink.size} of ${declared ?? 'unknown'} bytes`) : error);
      });
    });
  }
}

class FixedSink {
  readonly #buffer: Buffer;
  size = 0;

  constructor(length: number) {
    this.#buffer = Buffer.allocUnsafeSlow(length);
  }

  write(chunk: Buffer): boolean {
    if (this.size + chunk.length > this.#buffer.length) return false;
    this.#buffer.set(chunk, this.size);
    this.size += chunk.length;
    return true;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }
}

class GrowingSink {
  readonly #chunks: Buffer[] = [];
  size = 0;

  write(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    this.size += chunk.length;
    return true;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.size);
  }
}

function queryString(query: SdkRequest['query']): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) => {
    if (value === null) return [encode(name)];
    return [value].flat().map((one) => `${encode(name)}=${encode(one)}`);
  });
  return pairs.length === 0 ? '' : `?${pairs.sort().join('&')}`;
}

/** As SigV4 signs it. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

// The HTTP handler under the AWS SDK: one attempt of one request, with every wait bounded.
//
// Why not the SDK's own: this one reads the answer inside the attempt, so that its time limits cover the body, a body that ends
// early is noticed, and no answer is larger than it may be; the body of a request goes to the socket in one write, without a
// copy, also from shared memory; and the caller's signal destroys the socket.
//
// Large reads take a way of their own (s3-download.ts).

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
import { S3Downloads } from './s3-download.ts';
import { connectionFault } from './s3-faults.ts';
import { AttemptTimer, type S3Timeouts } from './s3-timeouts.ts';

/** Answers of anything but a read of an object: XML. A listing of 1,000 keys is about 0.5 MiB. */
const CONTROL_BYTES_MAX = 16 * 1024 * 1024;

const STALE_CONNECTIONS_MAX = 32;

/** Reads of at least so much are downloads. */
const DOWNLOAD_BYTES_MIN = 64 * 1024;

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

type Answer = { readonly statusCode: number; readonly headers: Record<string, string>; readonly body: Buffer };

export class S3Transport {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #timeouts: S3Timeouts;
  readonly #http = new HttpAgent({ keepAlive: true, scheduling: 'lifo' });
  readonly #https = new HttpsAgent({ keepAlive: true, scheduling: 'lifo' });
  readonly #downloads: S3Downloads;

  constructor(timeouts: S3Timeouts) {
    this.#timeouts = timeouts;
    this.#downloads = new S3Downloads(timeouts);
  }

  async handle(request: SdkRequest, options?: { readonly abortSignal?: unknown }): Promise<{ readonly response: SdkResponse }> {
    const signal = options?.abortSignal as AbortSignal | undefined;
    const { statusCode, headers, body } = (await this.#download(request, signal)) ?? (await this.#attempt(request, signal));
    // The SDK wants a stream. This one hands over all bytes as one chunk.
    const stream = Readable.from(body.length === 0 ? [] : [body], { objectMode: false });
    return { response: { statusCode, headers, body: stream } };
  }

  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
    this.#downloads.destroy();
  }

  httpHandlerConfigs(): object {
    return {};
  }

  updateHttpClientConfig(): void {}

  async #download(request: SdkRequest, signal: AbortSignal | undefined): Promise<Answer | undefined> {
    if (!isDownload(request)) return undefined;
    const { protocol, headers } = request;
    const port = request.port ?? (protocol === 'https:' ? 443 : 80);
    return this.#downloads.get({ protocol, host: hostOf(request), port, path: pathOf(request), headers }, signal);
  }

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
  readonly #timer: AttemptTimer;
  #answered = false;

  constructor(request: SdkRequest, timeouts: S3Timeouts, agent: HttpAgent | HttpsAgent) {
    const options: RequestOptions = {
      host: hostOf(request),
      port: request.port ?? null,
      method: request.method,
      path: pathOf(request),
      headers: request.headers,
      agent,
    };
    this.#request = request;
    this.#timeouts = timeouts;
    this.#what = `${request.method} ${request.protocol}//${request.hostname}${request.port === undefined ? '' : `:${request.port}`}${request.path}`;
    this.#timer = new AttemptTimer(timeouts, this.#what, (fault) => this.#outgoing.destroy(fault));
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
      this.#timer.stop();
    }
  }

  #exchange(resolve: (answer: Answer) => void, reject: (error: unknown) => void): void {
    const outgoing = this.#outgoing;
    const { body } = this.#request;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body && Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    outgoing.on('error', reject);
    outgoing.on('socket', (socket) => {
      if (socket.connecting) this.#timer.connecting(socket, this.#request.protocol === 'https:' ? 'secureConnect' : 'connect');
    });
    outgoing.setTimeout(this.#timeouts.idleMs, () => this.#timer.idle());
    this.#timer.extend(bytes?.length ?? 0);
    outgoing.on('response', (message) => {
      this.#answered = true;
      this.#timer.extend(Math.min(Number(message.headers['content-length'] ?? 0), this.#bodyBytesMax));
      const answer = { statusCode: message.statusCode ?? 0, headers: headersOf(message) };
      this.#collect(message).then((collected) => resolve({ ...answer, body: collected }), reject);
    });
    outgoing.end(bytes);
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

/** Reads of objects that are large, or may be. Registers (whose names end in "~") are small. */
function isDownload({ method, query, path, headers }: SdkRequest): boolean {
  if (method !== 'GET' || query?.['x-id'] !== 'GetObject' || path.endsWith('~')) return false;
  const { range } = headers;
  if (range === undefined) return true;
  const [, first, last] = /^bytes=(-?[0-9]+)(?:-([0-9]+))?$/.exec(range) ?? [];
  return (last === undefined ? -Number(first) : Number(last) - Number(first) + 1) >= DOWNLOAD_BYTES_MIN;
}

function hostOf({ hostname }: SdkRequest): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function pathOf(request: SdkRequest): string {
  return request.path + queryString(request.query);
}

function headersOf(message: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  return headers;
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

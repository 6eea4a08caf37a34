// Sends requests to the store that the service has signed: straight to the bucket, or, for a directory, to the service itself.

import type { Readable } from 'node:stream';
import { Fault } from '../base/faults.ts';
import type { AgentTransport } from '../protocol/agent-transport.ts';
import type { StoreRequest } from '../protocol/session-messages.ts';
import { s3Fault } from '../store/s3-faults.ts';
import { S3_TIMEOUTS, type S3Timeouts } from '../store/s3-timeouts.ts';
import { S3Transport } from '../store/s3-transport.ts';
import { problemOf } from './service-client.ts';

const TIMEOUT_MS = 5 * 60_000;

export class StoreClient {
  readonly #transport: AgentTransport;
  readonly #store: S3Transport;
  /** Of objects. */
  bytesStored = 0;
  bytesFetched = 0;

  constructor(transport: AgentTransport, timeouts: Partial<S3Timeouts> = {}) {
    this.#transport = transport;
    this.#store = new S3Transport({ ...S3_TIMEOUTS, ...timeouts });
  }

  /** 'exists': an earlier attempt has stored it. GRANT_REFUSED when the request is too old, or used. STORE_STRANGE_ANSWER when a page of somebody
   *  else says that it is done. */
  async put(request: StoreRequest, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'> {
    const { status, body, isOfStore } = await this.#send(request, bytes, signal);
    if (status === 412) return 'exists';
    if (status < 200 || status > 299) throw refusal(request, status, body);
    // Else the server would be told that its log is stored, and forget it.
    if (!isOfStore) throw new Fault('STORE_STRANGE_ANSWER', `${nameOf(request)}: the store answered ${status} without an ETag`);
    this.bytesStored += bytes.length;
    return 'created';
  }

  /** STORE_NOT_FOUND; GRANT_REFUSED when the request is too old. */
  async get(request: StoreRequest, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { status, body } = await this.#send(request, undefined, signal);
    if (status !== 200 && status !== 206) throw refusal(request, status, body);
    if (body.length !== length)
      throw new Fault('STORE_CORRUPT_ANSWER', `${nameOf(request)}: got ${body.length} bytes, not ${length}`);
    this.bytesFetched += length;
    return body;
  }

  close(): void {
    this.#store.destroy();
  }

  async #send(
    request: StoreRequest,
    body: Uint8Array | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly status: number; readonly body: Uint8Array; readonly isOfStore: boolean }> {
    const { method, url, headers } = request;
    if (url.startsWith('/')) {
      const contentType = headers['content-type'];
      const answer = await this.#transport.request(method, url, body, {
        timeoutMs: TIMEOUT_MS,
        ...(contentType === undefined ? {} : { contentType }),
        ...(signal === undefined ? {} : { signal }),
      });
      if (answer.status < 200 || answer.status > 299) throw problemOf(answer, `${method} of an object`);
      return { ...answer, isOfStore: true };
    }
    const { protocol, hostname, port, pathname, searchParams } = new URL(url);
    const { response } = await this.#store.handle(
      {
        protocol,
        hostname,
        ...(port === '' ? {} : { port: Number(port) }),
        method,
        path: pathname,
        query: Object.fromEntries(searchParams),
        headers: { ...headers },
        ...(body === undefined ? {} : { body }),
      },
      signal === undefined ? {} : { abortSignal: signal },
    );
    const isOfStore = response.headers['etag'] !== undefined;
    return { status: response.statusCode, body: await bytesOf(response.body), isOfStore };
  }
}

/** In the words of the table of faults. */
function refusal(request: StoreRequest, status: number, body: Uint8Array): Fault {
  const code = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(Buffer.from(body).toString('utf8'))?.[1] ?? 'Unknown';
  const what = nameOf(request);
  // Signed too long ago, or by a clock that is off: another grant helps, or shows that it does not.
  if (status === 403) return new Fault('GRANT_REFUSED', `${what}: the store answered 403 ${code}`);
  return s3Fault(Object.assign(new Error(code), { name: code, $metadata: { httpStatusCode: status } }), what);
}

/** Without anything that would let others send it. */
function nameOf({ method, url }: StoreRequest): string {
  return url.startsWith('/') ? `${method} of an object` : `${method} ${new URL(url).origin}${new URL(url).pathname}`;
}

/** The transport gives all bytes as one chunk, or none. */
async function bytesOf(body: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

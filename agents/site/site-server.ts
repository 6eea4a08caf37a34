// The daemon's side of its messages (site-message.ts): one address, two paths. What is not signed by a key of the configuration is told nothing
// but that.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import { isNonce, SIGNATURE_HEADERS } from '../../src/protocol/request-signature.ts';
import { ReplayGuard } from './replay-guard.ts';
import { SharedCalls } from './shared-calls.ts';
import {
  BODY_BYTES_MAX,
  CALL_PATH,
  type CallAnswer,
  type CallMessage,
  HELLO_PATH,
  type Hello,
  HOLD_MS,
  isRequestSigned,
  signAnswer,
} from './site-message.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 256;

export type SiteServerOptions = {
  readonly site: string;
  readonly pair: SigningPair;
  /** Public keys of those who may ask, by the name that they give. */
  readonly callers: ReadonlyMap<string, Uint8Array>;
  /** Of this life of the daemon. */
  readonly life: string;
  /** Never goes back. */
  readonly nowMs: () => number;
  /** The work. It may wait; the same message joins it. */
  readonly answer: (from: string, message: CallMessage, signal: AbortSignal) => Promise<unknown>;
};

export class SiteServer {
  readonly #options: SiteServerOptions;
  readonly #guard: ReplayGuard;
  readonly #calls = new SharedCalls();
  readonly #server: Server;

  constructor(options: SiteServerOptions) {
    this.#options = options;
    this.#guard = new ReplayGuard(options.life, options.nowMs);
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Answers the port. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) =>
        reject(new Fault('SITE_CONFIG', `The daemon cannot listen at ${host}:${port}: ${cause.message}`, { cause })),
      );
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  async close(): Promise<void> {
    this.#calls.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    if (body === undefined) return send(response, 413);
    const { url = '', method = '' } = request;
    const header = (name: keyof typeof SIGNATURE_HEADERS): string => String(request.headers[SIGNATURE_HEADERS[name]] ?? '');
    const nonce = header('nonce');
    if (method === 'GET' && url === HELLO_PATH && isNonce(nonce)) {
      const { site, life, nowMs } = this.#options;
      return this.#reply(response, nonce, { site, life, nowMs: Math.round(nowMs()) } satisfies Hello);
    }
    if (method !== 'POST' || url !== CALL_PATH) return send(response, 404);
    const key = this.#options.callers.get(header('agent'));
    const parts = { method, target: url, time: header('time'), nonce, body };
    if (key === undefined || !isRequestSigned(key, parts, header('signature'))) return send(response, 401);
    const admitted = this.#guard.admit(parts.time, nonce);
    if (admitted === 'replayed') return send(response, 409);
    const answer = admitted === 'stale' ? ({ kind: 'stale' } as const) : await this.#answer(header('agent'), body);
    this.#reply(response, nonce, answer);
  }

  async #answer(from: string, body: Uint8Array): Promise<CallAnswer> {
    try {
      const message = readMessage(body);
      const { verb, asset, argument } = message;
      const key = JSON.stringify([from, verb, asset, argument]);
      return await this.#calls.join(key, HOLD_MS, (signal) => this.#options.answer(from, message, signal));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { kind: 'fault', code: isFault(error) ? error.code : 'INTERNAL', message };
    }
  }

  #reply(response: ServerResponse, nonce: string, value: unknown): void {
    const body = Buffer.from(JSON.stringify(value));
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': body.length,
      [SIGNATURE_HEADERS.signature]: signAnswer(this.#options.pair, nonce, body),
    });
    response.end(body);
  }
}

function readMessage(body: Uint8Array): CallMessage {
  let value: Partial<CallMessage>;
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8')) as Partial<CallMessage>;
  } catch {
    value = {};
  }
  if (typeof value?.verb !== 'string' || typeof value.asset !== 'string')
    throw new Fault('MESSAGE_INVALID', 'The message is none that a site daemon knows');
  return { verb: value.verb, asset: value.asset, argument: value.argument };
}

/** Undefined: it is too long. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request) {
    length += (piece as Buffer).length;
    if (length > BODY_BYTES_MAX) return undefined;
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces);
}

function send(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0, connection: 'close' });
  response.end();
}

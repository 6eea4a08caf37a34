// An agent's requests over HTTP: signed, on connections that are kept, with an end to every wait. Redirects are answers like any other:
// whoever wants to send an agent elsewhere must change its configuration.

import { type KeyObject, sign } from 'node:crypto';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { Fault } from '../../src/base/faults.ts';
import type { AgentAnswer, AgentCallOptions, AgentMethod, AgentTransport } from '../../src/protocol/agent-transport.ts';
import { NONCE_BYTES, SIGNATURE_HEADERS, textToSign } from '../../src/protocol/request-signature.ts';
import { PROTOCOL_VERSION, VERSION_HEADER } from '../../src/protocol/version.ts';

const TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const SOCKETS_MAX = 8;
const NO_BODY = new Uint8Array(0);

export type HttpTransportOptions = {
  /** http(s)://host:port, with the path that a proxy has before the service. */
  readonly url: string;
  /** Signs with this; `agentId` is absent while it enrols. */
  readonly key: KeyObject;
  readonly agentId?: string;
  /** PEM; the system's authorities otherwise. */
  readonly ca?: string;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  /** Of the protocol; for tests. */
  readonly version?: string;
  readonly timeoutMs?: number;
};

export class HttpTransport implements AgentTransport {
  readonly #options: HttpTransportOptions;
  readonly #base: URL;
  readonly #agent: HttpAgent;

  /** USAGE when the URL is none. */
  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#base = parseService(options.url);
    const keeping = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: SOCKETS_MAX };
    const isSecure = this.#base.protocol === 'https:';
    this.#agent = isSecure
      ? new HttpsAgent({ ...keeping, minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) })
      : new HttpAgent(keeping);
  }

  request(method: AgentMethod, path: string, body: Uint8Array | undefined, options: AgentCallOptions = {}): Promise<AgentAnswer> {
    const { signal, timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS, answerBytesMax = ANSWER_BYTES_MAX } = options;
    const name = `${method} ${this.#base.origin}${path.replace(/\?.*/, '')}`;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const request = this.#open(method, path, body, options.contentType);
      const timers = new Set<NodeJS.Timeout>();
      const settle = (finish: () => void): void => {
        for (const timer of timers) clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      const fail = (error: unknown): void => {
        settle(() => reject(error));
        request.destroy();
      };
      const onAbort = (): void => fail(signal!.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      timers.add(
        setTimeout(() => fail(new Fault('SERVICE_TIMEOUT', `${name} had no whole answer after ${timeoutMs} ms`)), timeoutMs),
      );
      limitConnecting(request, timers, () =>
        fail(new Fault('SERVICE_UNREACHABLE', `${name}: no connection within ${CONNECT_TIMEOUT_MS} ms`)),
      );
      request.on('error', (error) => fail(faultOfConnection(error, name)));
      request.on('response', (response) => {
        readBody(response, answerBytesMax, name).then((bytes) => settle(() => resolve(answerOf(response, bytes))), fail);
      });
      request.end(body ?? NO_BODY);
    });
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  #open(method: AgentMethod, path: string, body: Uint8Array | undefined, contentType: string | undefined): ClientRequest {
    const { key, agentId, now, random, version = PROTOCOL_VERSION } = this.#options;
    const time = now().toISOString();
    const nonce = Buffer.from(random(NONCE_BYTES)).toString('base64url');
    const text = textToSign({ method, target: path, time, nonce, body: body ?? NO_BODY });
    const type = contentType ?? (method === 'POST' ? 'application/json' : undefined);
    const url = new URL(`${this.#base.href.replace(/\/+$/, '')}${path}`);
    const open = url.protocol === 'https:' ? requestHttps : requestHttp;
    return open(url, {
      method,
      agent: this.#agent,
      headers: {
        [VERSION_HEADER]: version,
        [SIGNATURE_HEADERS.time]: time,
        [SIGNATURE_HEADERS.nonce]: nonce,
        [SIGNATURE_HEADERS.signature]: sign(null, Buffer.from(text), key).toString('base64url'),
        ...(agentId === undefined ? {} : { [SIGNATURE_HEADERS.agent]: agentId }),
        ...(type === undefined || body === undefined ? {} : { 'content-type': type }),
        ...(method === 'GET' ? {} : { 'content-length': String(body?.length ?? 0) }),
      },
    });
  }
}

/** USAGE. */
export function parseService(url: string): URL {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // Said below.
  }
  const isGood = parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.username === '' && parsed.search === '';
  if (!isGood) throw new Fault('USAGE', `"${url}" is no address of a service`, { hint: 'Give http(s)://host:port.' });
  return parsed!;
}

function limitConnecting(request: ClientRequest, timers: Set<NodeJS.Timeout>, onTimeout: () => void): void {
  request.on('socket', (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(onTimeout, CONNECT_TIMEOUT_MS);
    timers.add(timer);
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => clearTimeout(timer));
  });
}

async function readBody(response: IncomingMessage, bytesMax: number, name: string): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of response) {
      length += (piece as Buffer).length;
      if (length > bytesMax) throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${name} is longer than ${bytesMax} bytes`);
      pieces.push(piece as Buffer);
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${name} was cut: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.concat(pieces);
}

function answerOf(response: IncomingMessage, body: Uint8Array): AgentAnswer {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) headers[name] = String(value);
  return { status: response.statusCode ?? 0, headers, body };
}

const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|HOSTNAME_MISMATCH/;

function faultOfConnection(error: NodeJS.ErrnoException, name: string): Fault {
  const code = error.code ?? error.message;
  if (code === 'EPROTO')
    return new Fault('SERVICE_UNREACHABLE', `${name}: ${code}`, {
      cause: error,
      hint: 'It does not speak TLS there. Give http://, or the port for https://.',
    });
  const isUntrusted = UNTRUSTED.test(code);
  return new Fault(isUntrusted ? 'SERVICE_UNTRUSTED' : 'SERVICE_UNREACHABLE', `${name}: ${code}`, { cause: error });
}

// One POST to somebody else's server: over TLS, no redirects, an answer of bounded size in bounded time, and never to an address of the own
// network unless the channel allows it (then also without TLS). Nothing of the address's path or query gets into messages: robots have their
// token there.

import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { isIP } from 'node:net';
import { isPublicAddress, PrivateAddressError, publicLookup } from './address-guard.ts';
import { failed, messageOf, type SendOutcome } from './send.ts';

const ANSWER_BYTES_MAX = 64 * 1024;
const TIMEOUT_MS = 10_000;

export type PostRequest = {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivate?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal: AbortSignal;
};

export type PostAnswer = { readonly kind: 'answered'; readonly status: number; readonly body: string };

export async function post(options: PostRequest): Promise<PostAnswer | SendOutcome> {
  const { allowPrivate = false, timeoutMs = TIMEOUT_MS } = options;
  const url = URL.parse(options.url);
  if (url === null) return failed('The address of the channel is none');
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) {
    return failed(`${url.origin} is not reached over TLS: use https, or allowPrivate for a server of the own network`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) {
    return failed(`${url.origin} is an address of the own network; allowPrivate permits it`);
  }
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    return await exchange(url, options, allowPrivate, AbortSignal.any([options.signal, timeout]));
  } catch (error) {
    if (error instanceof PrivateAddressError) return failed(`${error.message}; allowPrivate permits it`);
    if (timeout.aborted) return failed(`${url.origin} did not answer within ${timeoutMs} ms`);
    return failed(`${url.origin} was not reached: ${messageOf(error)}`);
  }
}

function exchange(url: URL, { body, headers }: PostRequest, allowPrivate: boolean, signal: AbortSignal): Promise<PostAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<PostAnswer>();
  const bytes = Buffer.from(body);
  const send = url.protocol === 'https:' ? requestTls : requestPlain;
  const request = send(url, {
    method: 'POST',
    // A connection of its own: none that was made before the rules changed.
    agent: false,
    signal,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'user-agent': 'holdfast',
      ...headers,
      'content-length': String(bytes.length),
    },
    ...(allowPrivate ? {} : { lookup: publicLookup }),
  });
  request.on('error', reject);
  request.on('response', (response) => {
    readBounded(response).then((text) => resolve({ kind: 'answered', status: response.statusCode ?? 0, body: text }), reject);
  });
  request.end(bytes);
  return promise;
}

/** Reads what is there up to the limit and drops the rest with the connection. */
async function readBounded(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length >= ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(pieces).subarray(0, ANSWER_BYTES_MAX).toString('utf8');
}

/** 2xx is success. */
export function outcomeOfStatus(url: string, status: number): SendOutcome {
  if (status >= 200 && status < 300) return { kind: 'sent' };
  const origin = URL.parse(url)?.origin ?? 'The server';
  if (status >= 300 && status < 400) return failed(`${origin} answered with a redirect (${status}), which is not followed`);
  return failed(`${origin} answered with status ${status}`);
}

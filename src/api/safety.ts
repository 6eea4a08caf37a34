// What every response carries, and what is said to bytes that are no HTTP.

import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest, RawRequestDefaultExpression } from 'fastify';
import { Fault } from '../base/faults.ts';
import { problemOf } from './problem.ts';

const GIVEN_ID = /^[A-Za-z0-9._-]{8,64}$/;
/** Nothing that the API answers is to be shown as a page, framed, or remembered. */
const API_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** An id that the caller gave and that cannot do harm in a log, or a new one. */
export function newRequestId(random: (bytes: number) => Uint8Array): (request: RawRequestDefaultExpression) => string {
  return ({ headers }) => {
    const given = headers['x-request-id'];
    return typeof given === 'string' && GIVEN_ID.test(given) ? given : Buffer.from(random(12)).toString('base64url');
  };
}

export function secureHeaders(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('x-request-id', request.id);
  reply.header('x-content-type-options', 'nosniff');
  reply.header('referrer-policy', 'no-referrer');
  reply.header('x-frame-options', 'DENY');
  if (!reply.hasHeader('content-security-policy')) reply.header('content-security-policy', API_POLICY);
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  if (request.protocol === 'https') reply.header('strict-transport-security', 'max-age=31536000');
}

const TOO_LARGE = 'HPE_HEADER_OVERFLOW';
const TIMED_OUT = 'ERR_HTTP_REQUEST_TIMEOUT';

export function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const code = error.code === TOO_LARGE ? 'REQUEST_TOO_LARGE' : error.code === TIMED_OUT ? 'REQUEST_TIMEOUT' : 'REQUEST_INVALID';
  const problem = problemOf(new Fault(code, 'The request is no HTTP that can be read'), 'none');
  const body = JSON.stringify(problem);
  const head = `HTTP/1.1 ${problem.status} ${problem.title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
}

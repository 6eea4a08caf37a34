// How faults reach agents: problem details with the fault's code. What is not a fault is answered without details and logged.

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Fault, type FaultCode, isFault } from '../base/faults.ts';
import { ClockSkew } from './agent-auth.ts';

/** 409 for all that are not named and will fail again, 503 for those that may succeed later. */
const STATUS: Partial<Record<FaultCode, number>> = {
  AGENT_UNKNOWN: 401,
  AGENT_SIGNATURE_BAD: 401,
  AGENT_CLOCK_SKEW: 401,
  AGENT_REPLAYED: 401,
  AGENT_REVOKED: 403,
  AGENT_ENROLMENT_REFUSED: 403,
  AGENT_SOURCE_DENIED: 403,
  AGENT_VERSION_UNSUPPORTED: 426,
  AGENT_BUSY: 503,
  TENANT_SUSPENDED: 403,
  TENANT_CLOSED: 403,
  MESSAGE_INVALID: 400,
  INTERNAL: 500,
};

export function statusOfAgentFault({ code, retry }: Fault): number {
  return STATUS[code] ?? (retry === 'later' ? 503 : 409);
}

export function sendAgentProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const fault = faultOf(error);
  const status = statusOfAgentFault(fault);
  if (status >= 500) request.log.warn({ err: error, code: fault.code }, 'a request of an agent failed');
  void reply
    .code(status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:holdfast:fault:${fault.code}`,
        title: fault.code,
        status,
        code: fault.code,
        detail: fault.message.slice(0, 4000),
        hint: fault.hint,
        ...(fault instanceof ClockSkew && fault.skewMs !== undefined ? { skewMs: fault.skewMs } : {}),
      }),
    );
}

function faultOf(error: unknown): Fault {
  if (isFault(error)) return error;
  const { statusCode, message } = error as FastifyError;
  // Fastify's own: too large, not JSON, of an unknown type.
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new Fault('MESSAGE_INVALID', message);
  return new Fault('INTERNAL', 'The service failed at this request; its log says more');
}

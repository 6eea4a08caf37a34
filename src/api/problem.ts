// Every failure as RFC 9457 says: a stable code, what failed, what to do. One table from fault codes to statuses; what is not in it is 500
// and keeps its details to itself (they are in the log, under the request's id).

import type { Static } from 'typebox';
import { FAULTS, Fault, type FaultCode, isFault } from '../base/faults.ts';
import { Type } from '../base/type.ts';

export const STATUS_OF_FAULT = {
  REQUEST_INVALID: 400,
  POLICY_INVALID: 400,
  POLICY_NOT_FOUND: 400,
  REQUEST_UNAUTHENTICATED: 401,
  LOGIN_REFUSED: 401,
  LOGIN_CODE_NEEDED: 401,
  REQUEST_FORBIDDEN: 403,
  REQUEST_SOURCE_REFUSED: 403,
  REQUEST_NOT_FOUND: 404,
  REQUEST_TIMEOUT: 408,
  APPROVAL_OF_PERSONS: 403,
  APPROVAL_OWN_REQUEST: 403,
  APPROVAL_TWICE: 409,
  APPROVAL_NOT_FOUND: 404,
  APPROVAL_NOT_OPEN: 409,
  REQUEST_CONFLICT: 409,
  REQUEST_KEY_BUSY: 409,
  REQUEST_ANSWERED_ONCE: 409,
  REQUEST_STALE: 412,
  REQUEST_TOO_LARGE: 413,
  REQUEST_MEDIA_TYPE: 415,
  REQUEST_KEY_REUSED: 422,
  RECOVERY_REFUSED: 422,
  LOG_GAP: 422,
  REQUEST_NEEDS_VERSION: 428,
  REQUEST_RATE_LIMITED: 429,
  SERVICE_NOT_READY: 503,
  SERVICE_STOPPING: 503,
} as const satisfies Partial<Record<FaultCode, number>>;

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'urn:holdfast:fault:CODE' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    code: Type.String({ description: 'stable; see ops/runbooks/faults.md' }),
    detail: Type.String({ description: 'what failed, and on what' }),
    hint: Type.String({ description: 'what to do' }),
    retry: Type.Union([Type.Literal('never'), Type.Literal('later')]),
    requestId: Type.String(),
    errors: Type.Optional(
      Type.Array(Type.Object({ field: Type.String(), message: Type.String() }, { additionalProperties: false }), {
        description: 'which fields, as JSON pointers below body, query or headers',
      }),
    ),
  },
  { additionalProperties: false, $id: 'Problem' },
);
export type Problem = Static<typeof Problem>;

export type FieldError = { readonly field: string; readonly message: string };

/** A request that says something wrong in certain fields. */
export class FieldFault extends Fault {
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[]) {
    super('REQUEST_INVALID', errors.map(({ field, message }) => `${field} ${message}`).join('; '));
    this.errors = errors;
  }
}

/** The one answer for what does not exist and for what belongs to others. */
export function notFound(): Fault {
  return new Fault('REQUEST_NOT_FOUND', 'There is no such thing here');
}

export function fieldFault(field: string, message: string): Fault {
  return new FieldFault([{ field, message }]);
}

export function problemOf(error: unknown, requestId: string): Problem {
  const fault = asFault(error);
  const status = (STATUS_OF_FAULT as Partial<Record<FaultCode, number>>)[fault.code] ?? 500;
  const shown =
    status === 500 ? new Fault('INTERNAL', 'The service failed to answer; its log knows more', { hint: INTERNAL_HINT }) : fault;
  const { code, message, hint, retry } = shown;
  return {
    type: `urn:holdfast:fault:${code}`,
    title: titleOf(code),
    status,
    code,
    detail: message,
    hint,
    retry,
    requestId,
    ...(fault instanceof FieldFault && status !== 500 ? { errors: [...fault.errors] } : {}),
  };
}

const INTERNAL_HINT = 'Give the requestId to whoever runs the service: the log has the cause under it.';

function titleOf(code: FaultCode): string {
  const words = code.toLowerCase().replaceAll('_', ' ');
  return words[0]!.toUpperCase() + words.slice(1);
}

/** What Fastify itself refuses, by its status. */
const CODE_OF_STATUS: Readonly<Record<number, FaultCode>> = {
  400: 'REQUEST_INVALID',
  401: 'REQUEST_UNAUTHENTICATED',
  403: 'REQUEST_FORBIDDEN',
  404: 'REQUEST_NOT_FOUND',
  405: 'REQUEST_NOT_FOUND',
  408: 'REQUEST_TIMEOUT',
  413: 'REQUEST_TOO_LARGE',
  414: 'REQUEST_TOO_LARGE',
  415: 'REQUEST_MEDIA_TYPE',
  429: 'REQUEST_RATE_LIMITED',
  431: 'REQUEST_TOO_LARGE',
  503: 'SERVICE_NOT_READY',
};

type Refusal = {
  readonly statusCode?: number;
  readonly message?: string;
  readonly validation?: readonly Violation[];
  readonly validationContext?: string;
};
type Violation = { readonly instancePath: string; readonly message?: string; readonly params?: Readonly<Record<string, unknown>> };
const VIOLATIONS_MAX = 10;

const CATALOG_AILMENTS: Readonly<Record<string, string>> = {
  CATALOG_FULL: "The disk of the service's catalogue is full",
  CATALOG_DAMAGED: "The service's catalogue is damaged",
  CATALOG_DENIED: 'The service may not write to its catalogue',
};

/** SERVICE_NOT_READY for what the catalogue failed with: what ails it, in words without a place. The log has the rest. */
export function notReady(error: unknown): Fault {
  const ailment = isFault(error) ? CATALOG_AILMENTS[error.code] : undefined;
  if (ailment === undefined) return new Fault('SERVICE_NOT_READY', 'The catalogue does not answer', { cause: error });
  return new Fault('SERVICE_NOT_READY', ailment, { cause: error, hint: (error as Fault).hint });
}

function asFault(error: unknown): Fault {
  if (isFault(error) && error.code.startsWith('CATALOG_')) return notReady(error);
  if (isFault(error)) return error;
  const { validation, validationContext, statusCode, message } = (error ?? {}) as Refusal;
  if (validation !== undefined) {
    // An id that cannot be one is an id of nothing.
    if (validationContext === 'params') return notFound();
    const where = validationContext === 'querystring' ? 'query' : (validationContext ?? 'body');
    return new FieldFault(validation.slice(0, VIOLATIONS_MAX).map((one) => fieldErrorOf(where, one)));
  }
  const code = statusCode === undefined ? undefined : CODE_OF_STATUS[statusCode];
  if (code === 'REQUEST_NOT_FOUND') return notFound();
  return code === undefined
    ? new Fault('INTERNAL', String(message ?? error), { cause: error })
    : new Fault(code, message ?? FAULTS[code].hint);
}

function fieldErrorOf(where: string, { instancePath, message, params = {} }: Violation): FieldError {
  const more = params.missingProperty ?? params.additionalProperty;
  const field = `${where}${instancePath}${more === undefined ? '' : `/${String(more).slice(0, 100)}`}`;
  if (params.missingProperty !== undefined) return { field, message: 'is missing' };
  if (params.additionalProperty !== undefined) return { field, message: 'is not known' };
  const choices = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(', ')}` : '';
  return { field, message: `${message ?? 'is wrong'}${choices}` };
}

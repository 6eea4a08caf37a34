// Puts a route of the table onto Fastify: door, validation, the call, its answer.

import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import { plainAddress } from '../trust/allowed-sources.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import { nameOf } from '../trust/roles.ts';
import type { Admission, Door } from './admit.ts';
import { paramsSchema } from './params.ts';
import { fieldFault } from './problem.ts';
import type { Answer, ApiServices, AuditLine, Call, Route, Work } from './route.ts';
import { plainSchema } from './schema.ts';
import type { EventStreams } from './streams.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    holdfast?: Route;
  }
  interface FastifyRequest {
    admission: Admission | undefined;
  }
}

const KEY_PATTERN = /^[\x21-\x7e]{1,200}$/;
const REPEATED = { 'idempotency-replayed': 'true' } as const;

type Parts = { readonly streams: EventStreams; readonly door: Door };

export function serveRoute(app: FastifyInstance, route: Route, services: ApiServices, { streams, door }: Parts): void {
  app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { holdfast: route },
    schema: {
      params: plainSchema(paramsSchema(route.path)),
      querystring: plainSchema(route.querySchema),
      ...(route.body === undefined ? {} : { body: plainSchema(route.body) }),
    },
    // A stream ends by itself.
    ...(route.stream === undefined ? { handlerTimeout: timeoutMsOf(route, services) } : {}),
    ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
    preValidation: async (request) => readQuery(route, request),
    handler: async (request, reply) => {
      const call = callOf(route, services, request);
      const answer = await route.handle(call);
      if (route.stream !== undefined && answer.status === 200) {
        const streamer = route.stream(call);
        return streams.serve({ streamer, actor: call.actor, check: () => door.admit(route, request) }, request, reply);
      }
      return send(reply, answer);
    },
  });
}

function timeoutMsOf({ isLong }: Route, { config }: ApiServices): number {
  return isLong === true ? config.longHandlerTimeoutMs : config.handlerTimeoutMs;
}

function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status).headers(headers);
  if (body === undefined) return reply.send();
  // Text says what it is by its own content-type.
  if (headers['content-type'] !== undefined) return reply.send(body);
  return reply.type('application/json; charset=utf-8').send(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Queries are texts: numbers and booleans among them are read here, strictly, and then validated like a body. */
function readQuery({ querySchema }: Route, request: FastifyRequest): void {
  const query = request.query as Record<string, unknown>;
  for (const [name, text] of Object.entries(query)) {
    const schema = querySchema.properties[name] as { readonly type?: string } | undefined;
    if (typeof text !== 'string') continue;
    if (schema?.type === 'integer' && /^-?\d{1,15}$/.test(text)) query[name] = Number(text);
    if (schema?.type === 'boolean' && (text === 'true' || text === 'false')) query[name] = text === 'true';
  }
}

function callOf(route: Route, services: ApiServices, request: FastifyRequest): Call {
  const { admission } = request;
  const at = services.now();
  const call: Omit<Call, 'change'> = {
    ...services,
    principal: admission?.principal ?? { kind: 'system', id: 'system', label: 'nobody' },
    token: admission?.token as Call['token'],
    actor: admission === undefined ? 'nobody' : nameOf(admission.principal),
    source: plainAddress(request.ip),
    at,
    params: request.params as Record<string, string>,
    query: request.query,
    body: request.body,
    tenant: admission?.tenant as Call['tenant'],
    ...readIfMatch(route, request.headers['if-match']),
    isToBeNew: request.headers['if-none-match'] === '*',
    idempotencyKey: route.isIdempotent !== undefined ? readKey(request.headers['idempotency-key']) : undefined,
  };
  return { ...call, change: (line, work, after) => change(route, call, request, line, work, after) };
}

async function change(
  route: Route,
  call: Omit<Call, 'change'>,
  request: FastifyRequest,
  line: Parameters<Call['change']>[0],
  work: Work,
  after?: (answer: Answer) => Promise<void> | void,
): Promise<Answer> {
  const answer = await call.catalog.transaction(async (tables) => {
    const { idempotencyKey: key } = call;
    if (key === undefined) return audited(call, tables, line, work);
    const scope = `${call.actor} ${call.tenant?.id ?? ''} ${route.name}`;
    const known = await tables.answers.begin(scope, key, digestOfRequest(request), instantOf(call.at));
    if (known === 'busy') throw new Fault('REQUEST_KEY_BUSY', 'A request with this Idempotency-Key is under way');
    if (known === 'other') throw new Fault('REQUEST_KEY_REUSED', 'This Idempotency-Key came with another request before');
    if (known !== 'new' && route.isIdempotent === 'once')
      throw new Fault('REQUEST_ANSWERED_ONCE', `This request was carried out before: it made ${JSON.parse(known.body)}`);
    if (known !== 'new') return { status: known.status, body: known.body, headers: { ...JSON.parse(known.headers), ...REPEATED } };
    const fresh = await audited(call, tables, line, work);
    // As text: a repeated answer is the same to the byte.
    const stored = { ...fresh, body: JSON.stringify(fresh.body ?? null) };
    const kept = route.isIdempotent === 'once' ? JSON.stringify(lineOf(line, fresh).subject ?? '') : stored.body;
    await tables.answers.finish(scope, key, stored.status, kept, JSON.stringify(stored.headers ?? {}));
    return stored;
  });
  await after?.(
    typeof answer.body === 'string' && call.idempotencyKey !== undefined ? { ...answer, body: JSON.parse(answer.body) } : answer,
  );
  return answer;
}

function lineOf(said: Parameters<Call['change']>[0], answer: Answer): AuditLine {
  return typeof said === 'function' ? said(answer) : said;
}

async function audited(
  call: Omit<Call, 'change'>,
  tables: CatalogTables,
  said: Parameters<Call['change']>[0],
  work: Work,
): Promise<Answer> {
  const answer = await work(tables);
  const line = lineOf(said, answer);
  invariant(answer.status < 400, 'a refusal is thrown, so that its transaction is undone');
  await appendAudit(tables, {
    at: instantOf(call.at),
    ...(call.tenant === undefined ? {} : { tenantId: call.tenant.id }),
    actor: line.actor?.name ?? call.actor,
    actorLabel: line.actor?.label ?? call.principal.label,
    source: call.source,
    action: line.action,
    ...(line.subject === undefined ? {} : { subject: line.subject }),
    outcome: 'done',
    details: { ...line.details },
  });
  return answer;
}

function digestOfRequest({ method, url, body }: FastifyRequest): string {
  return createHash('sha256')
    .update(`${method}\n${url}\n${JSON.stringify(body ?? null)}`)
    .digest('hex');
}

function readKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !KEY_PATTERN.test(header))
    throw fieldFault('headers/idempotency-key', 'must be 1 to 200 printable ASCII characters');
  return header;
}

/** `"7"` -> 7; `*` -> any. */
function readIfMatch({ isConditional }: Route, header: string | undefined): Pick<Call, 'ifMatch' | 'hasIfMatch'> {
  if (isConditional === undefined || (header === undefined && isConditional === 'when-there'))
    return { ifMatch: undefined, hasIfMatch: false };
  if (header === undefined) throw new Fault('REQUEST_NEEDS_VERSION', 'The version that is to be changed was not named');
  if (header === '*') return { ifMatch: undefined, hasIfMatch: true };
  const version = /^(?:W\/)?"(\d{1,15})"$/.exec(header)?.[1];
  if (version === undefined) throw new Fault('REQUEST_STALE', 'If-Match names no version that this ever had');
  return { ifMatch: Number(version), hasIfMatch: true };
}

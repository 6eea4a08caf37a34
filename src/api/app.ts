// The API as a composition of parts: nothing listens here, nothing is read from the environment.

import fastifyRateLimit from '@fastify/rate-limit';
import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import type { LogWindows } from '../scheduler/log-windows.ts';
import type { AuditMark } from '../trust/audit-chain.ts';
import { Authenticator } from '../trust/authenticate.ts';
import { Login } from '../trust/login.ts';
import { nameOf } from '../trust/roles.ts';
import { Door } from './admit.ts';
import { AuditProver } from './audit-prover.ts';
import { API_CONFIG_DEFAULT, type ApiConfig } from './config.ts';
import { CursorSigner } from './cursor.ts';
import { ApiMetrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { notFound, problemOf } from './problem.ts';
import type { ApiServices, TenantPlaces } from './route.ts';
import { ROUTES } from './route-table.ts';
import { answerMalformed, newRequestId, secureHeaders } from './safety.ts';
import { serveRoute } from './serve-route.ts';
import { EventStreams } from './streams.ts';
import type { Tracing } from './tracing.ts';

export type ApiOptions = {
  readonly catalog: Catalog;
  readonly tenants: TenantPlaces;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
  /** Something waits for this agent; undefined: for the service's own executors. */
  readonly wake: (agentId?: string) => void;
  readonly config?: Partial<ApiConfig>;
  /** The agents' side, session data path. They share the error handler, and bring their own authentication. */
  readonly plugins?: readonly FastifyPluginAsync[];
  /** Policies that come with the program: what others extend. */
  readonly shippedPolicies?: readonly PolicyDocument[];
  /** Of signed checkpoints, which `audit verify` holds the chain against. */
  readonly auditMarks?: () => Promise<readonly AuditMark[]>;
  /** Spans of requests, when somebody collects them. */
  readonly tracing?: Tracing;
  /** What databases can be brought back to. */
  readonly logs: Pick<LogWindows, 'of' | 'plan'>;
  /** Shared with whoever counts; made here when absent. */
  readonly metrics?: ApiMetrics;
};

/** Ready to be listened with. `close` ends streams and writes down what was gathered. */
export async function buildApi(options: ApiOptions): Promise<FastifyInstance> {
  const { catalog, now, random, log } = options;
  const config = { ...API_CONFIG_DEFAULT, ...options.config };
  const metrics = options.metrics ?? new ApiMetrics({ catalog, now, version: config.version, assetsMax: config.metricAssetsMax });
  const app: FastifyInstance = fastify({
    loggerInstance: log as FastifyBaseLogger,
    // One line a request, written by `observe`.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: newRequestId(random),
    requestIdHeader: false,
    bodyLimit: config.bodyBytesMax,
    requestTimeout: config.requestTimeoutMs,
    trustProxy: config.trustedProxies.length === 0 ? false : [...config.trustedProxies],
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false, strict: false } },
    clientErrorHandler: answerMalformed,
    // Addresses that no route could have: what cannot be an id is the id of nothing.
    frameworkErrors: (_error, request, reply) => {
      const bare = reply as FastifyReply;
      secureHeaders(request as FastifyRequest, bare);
      void bare
        .code(404)
        .type('application/problem+json; charset=utf-8')
        .send(JSON.stringify(problemOf(notFound(), request.id)));
    },
  });
  refuseProperly(app);
  observe(app, metrics);
  options.tracing?.observe(app);
  const services: ApiServices = {
    catalog,
    tenants: options.tenants,
    now,
    random,
    log,
    wake: options.wake,
    config,
    cursors: new CursorSigner(catalog, random),
    login: new Login(catalog, now, random),
    metrics,
    shippedPolicies: options.shippedPolicies ?? [],
    logs: options.logs,
    auditProver: new AuditProver(catalog, options.auditMarks ?? (async () => [])),
  };
  await app.register((scope) => publicApi(scope, services));
  await app.register((scope) => documentation(scope, config.version));
  for (const plugin of options.plugins ?? []) await app.register(plugin);
  return app;
}

async function publicApi(scope: FastifyInstance, services: ApiServices): Promise<void> {
  const { catalog, now, config, log } = services;
  const authenticator = new Authenticator(catalog, now);
  const door = new Door(catalog, authenticator, now);
  const streams = new EventStreams(config.streams);
  scope.decorateRequest('admission', undefined);
  scope.addContentTypeParser('application/yaml', { parseAs: 'string' }, (_request, text, done) => done(null, { text }));
  scope.addHook('onRequest', async (request) => {
    const { holdfast } = request.routeOptions.config;
    if (holdfast !== undefined) request.admission = await door.admit(holdfast, request);
  });
  await scope.register(fastifyRateLimit, {
    hook: 'onRequest',
    max: config.rate.requestsMax,
    timeWindow: config.rate.windowMs,
    cache: 20_000,
    keyGenerator: ({ admission, ip }) => (admission === undefined ? ip : nameOf(admission.principal)),
    errorResponseBuilder: (_request, { after }) => new Fault('REQUEST_RATE_LIMITED', `Too many requests; wait ${after}`),
  });
  for (const route of ROUTES) serveRoute(scope, route, services, { streams, door });
  const flush = (): void => {
    authenticator
      .flush()
      .catch((error: unknown) => log.warn({ err: error }, 'when tokens were last used could not be written down'));
  };
  const flushing = setInterval(flush, config.lastUsedFlushMs).unref();
  scope.addHook('preClose', async () => {
    await streams.close();
  });
  scope.addHook('onClose', async () => {
    clearInterval(flushing);
    await authenticator
      .flush()
      .catch((error: unknown) => log.warn({ err: error }, 'when tokens were last used could not be written down'));
  });
}

/** /openapi.json and /docs, open to all: they hold nothing that is not in the program. */
async function documentation(scope: FastifyInstance, version: string): Promise<void> {
  const document = openApiDocument(ROUTES, version);
  const text = JSON.stringify(document);
  await scope.register(fastifySwagger, { mode: 'static', specification: { document: document as never } });
  await scope.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { docExpansion: 'none', persistAuthorization: false },
  });
  scope.get('/openapi.json', async (_request, reply) => reply.type('application/json; charset=utf-8').send(text));
}

function refuseProperly(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error, request.id);
    if (problem.status >= 500) request.log.error({ err: error }, 'a request failed');
    if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="holdfast"');
    return reply.code(problem.status).type('application/problem+json; charset=utf-8').send(JSON.stringify(problem));
  });
  app.setNotFoundHandler(() => {
    throw notFound();
  });
  app.addHook('onSend', async (request, reply, payload) => {
    secureHeaders(request, reply);
    return payload;
  });
}

function observe(app: FastifyInstance, metrics: ApiMetrics): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requests.observe(
      { method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` },
      reply.elapsedTime / 1000,
    );
    // What agents and stores say all the time is nothing that people look for.
    const isChatter = route.startsWith('/agent/') && reply.statusCode < 400;
    request.log[isChatter ? 'debug' : 'info'](
      { method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10, ip: request.ip },
      'answered',
    );
  });
}

// Traces of requests for OpenTelemetry, only when asked for: nothing of it is loaded otherwise. A span for each request, below the one that
// the caller names in "traceparent"; no bodies, no addresses with ids of their own, no secrets.

import type { Attributes, Span, SpanContext } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';

export type TracingOptions = {
  /** Of the collector's OTLP over HTTP: "http://127.0.0.1:4318/v1/traces". */
  readonly endpoint: string;
  readonly version: string;
};

export type Tracing = {
  readonly observe: (app: FastifyInstance) => void;
  /** Sends what is gathered. */
  readonly close: () => Promise<void>;
};

const EXPORT_TIMEOUT_MS = 5000;
const SPANS_MAX = 4096;

export async function startTracing({ endpoint, version }: TracingOptions): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ]);
  const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: EXPORT_TIMEOUT_MS });
  const processor = new sdk.BatchSpanProcessor(exporter, { maxQueueSize: SPANS_MAX });
  const provider = new sdk.NodeTracerProvider({ spanProcessors: [processor] });
  const tracer = provider.getTracer('holdfast', version);
  const spans = new WeakMap<FastifyRequest, Span>();
  const begin = (request: FastifyRequest): void => {
    const caller = callerOf(request.headers['traceparent']);
    const parent = caller === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, caller);
    const attributes: Attributes = { 'http.request.method': request.method, 'holdfast.request.id': request.id };
    spans.set(
      request,
      tracer.startSpan(`${request.method} ${routeOf(request)}`, { kind: api.SpanKind.SERVER, attributes }, parent),
    );
  };
  return {
    observe: (app) => {
      app.addHook('onRequest', async (request) => begin(request));
      app.addHook('onResponse', async (request, reply) => {
        const span = spans.get(request);
        span?.setAttributes({ 'http.route': routeOf(request), 'http.response.status_code': reply.statusCode });
        if (reply.statusCode >= 500) span?.setStatus({ code: api.SpanStatusCode.ERROR });
        span?.end();
      });
    },
    close: () => provider.shutdown(),
  };
}

/** W3C trace context. */
function callerOf(header: string | string[] | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(String(header)) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined || /^0+$/.test(traceId) || /^0+$/.test(spanId))
    return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'none';
}

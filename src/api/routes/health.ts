// Whether the process lives, whether it can serve, and what Prometheus reads.

import { Type } from '../../base/type.ts';
import { notReady } from '../problem.ts';
import { route } from '../route.ts';

const Health = Type.Object(
  { state: Type.Literal('ok'), version: Type.String(), at: Type.String() },
  { additionalProperties: false, $id: 'Health' },
);

export const HEALTH_ROUTES = [
  route({
    method: 'GET',
    path: '/healthz',
    name: 'health',
    tag: 'service',
    summary: 'Whether the process answers at all',
    action: 'public',
    answers: { 200: { description: 'It does', schema: Health } },
    handle: async ({ config, at }) => ({ status: 200, body: { state: 'ok', version: config.version, at: at.toISOString() } }),
  }),
  route({
    method: 'GET',
    path: '/readyz',
    name: 'readiness',
    tag: 'service',
    summary: 'Whether requests can be served: the catalogue can be read and written',
    action: 'public',
    answers: { 200: { description: 'They can', schema: Health } },
    handle: async ({ catalog, config, at, log }) => {
      try {
        await catalog.check();
      } catch (error) {
        log.error({ err: error }, 'the catalogue does not answer');
        throw notReady(error);
      }
      return { status: 200, body: { state: 'ok', version: config.version, at: at.toISOString() } };
    },
  }),
  route({
    method: 'GET',
    path: '/metrics',
    name: 'metrics',
    tag: 'service',
    summary: 'Metrics in the format of Prometheus',
    description: 'Give Prometheus a token of a system administrator (authorization.credentials_file).',
    action: 'provider.metrics.read',
    answers: { 200: { description: 'All series', schema: Type.String(), media: 'text/plain' } },
    handle: async ({ metrics }) => ({ status: 200, body: await metrics.text(), headers: { 'content-type': metrics.contentType } }),
  }),
];

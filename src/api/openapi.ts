// The OpenAPI 3.1 document, made from the table of routes and nothing else: what validates is what is documented. Schemas with a name become
// components, so that generated clients have names for them.

import type { TSchema } from 'typebox';
import { paramNames, paramsSchema } from './params.ts';
import { Problem } from './problem.ts';
import type { AnswerSchema, Route } from './route.ts';

type Json = Readonly<Record<string, unknown>>;

/** What a route can be refused with, by its traits. */
function refusalsOf(route: Route): Readonly<Record<string, string>> {
  const isOpen = route.action === 'public';
  return {
    '400': 'A field is wrong; `errors` names it',
    ...(isOpen ? {} : { '401': 'No token that counts' }),
    ...(isOpen || route.action === 'signed-in' ? {} : { '403': 'Not with these roles, or not from this address' }),
    '404': 'There is no such thing here, or it belongs to others',
    ...(route.method === 'GET' ? {} : { '409': 'Its state, or a name that is taken, does not allow it' }),
    ...(route.isConditional ? { '412': 'Changed by somebody meanwhile', '428': 'If-Match is missing' } : {}),
    ...(route.body === undefined ? {} : { '413': 'The body is too large', '415': 'Not JSON' }),
    ...(route.isIdempotent ? { '422': 'The Idempotency-Key came with another request' } : {}),
    '429': 'Too many requests',
    '500': 'A bug; the log has more under the requestId',
    '503': 'Starting, stopping, or the catalogue does not answer',
  };
}

export function openApiDocument(routes: readonly Route[], version: string): Json {
  const components = new Map<string, unknown>();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route, components);
  hoist(Problem, components);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast',
      version,
      description:
        'Backup, point-in-time recovery and disaster recovery.\n\nErrors are RFC 9457 problem details with a stable `code` and a `hint`. Lists go on with `after`. POSTs that start work take an `Idempotency-Key`; changes of what people edit need `If-Match`. What belongs to another tenant is answered as if it did not exist.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'A service token or a login session: hf_...' } },
      schemas: Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

function operationOf(route: Route, components: Map<string, unknown>): Json {
  const { name, tag, summary, description, action, body, bodyText, answers } = route;
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return {
    operationId: name,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(action === 'public' ? { security: [] } : { 'x-holdfast-action': action }),
    parameters: parametersOf(route, components),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              'application/json': { schema: hoist(body, components) },
              ...(bodyText === undefined ? {} : { [bodyText]: { schema: { type: 'string' } } }),
            },
          },
        }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, responseOf(answer, components)])),
      ...Object.fromEntries(
        Object.entries(refusalsOf(route))
          .filter(([status]) => answers[Number(status)] === undefined)
          .map(([status, text]) => [status, { description: text, content: problem }]),
      ),
    },
  };
}

function responseOf(
  { description, schema, media = 'application/json', headers }: AnswerSchema,
  components: Map<string, unknown>,
): Json {
  return {
    description,
    ...(headers === undefined
      ? {}
      : {
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: 'string' } }]),
          ),
        }),
    ...(schema === undefined ? {} : { content: { [media]: { schema: hoist(schema, components) } } }),
  };
}

const REPEATED = {
  again: 'A repeated request with the same key gets the same answer, once',
  once: 'A repeated request with the same key is refused (REQUEST_ANSWERED_ONCE) and says what the first one made: the secret is kept nowhere',
};

function parametersOf(route: Route, components: Map<string, unknown>): readonly Json[] {
  const { path, querySchema, isIdempotent, isConditional } = route;
  const params = paramsSchema(path).properties;
  const header = (name: string, required: boolean, description: string): Json => ({
    name,
    in: 'header',
    required,
    description,
    schema: { type: 'string', maxLength: 200 },
  });
  return [
    ...paramNames(path).map((name) => ({ name, in: 'path', required: true, schema: hoist(params[name]!, components) })),
    ...Object.entries(querySchema.properties).map(([name, schema]) => ({
      name,
      in: 'query',
      required: (querySchema.required ?? ([] as readonly string[])).includes(name as never),
      ...((schema as { readonly description?: string }).description === undefined
        ? {}
        : { description: (schema as { readonly description?: string }).description }),
      schema: hoist(schema as TSchema, components),
    })),
    ...(isIdempotent === undefined ? [] : [header('Idempotency-Key', false, REPEATED[isIdempotent === 'once' ? 'once' : 'again'])]),
    ...(isConditional ? [header('If-Match', isConditional === true, 'The ETag of what is to be changed')] : []),
    ...(route.stream === undefined ? [] : [header('Last-Event-ID', false, 'Where the stream goes on')]),
  ];
}

/** A copy in which named schemas are references to components. */
function hoist(schema: TSchema, components: Map<string, unknown>): unknown {
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    const { $id, ...rest } = value as { $id?: unknown };
    const copy = Object.fromEntries(Object.entries(rest).map(([key, below]) => [key, visit(below)]));
    if (typeof $id !== 'string') return copy;
    components.set($id, copy);
    return { $ref: `#/components/schemas/${$id}` };
  };
  return visit(schema);
}

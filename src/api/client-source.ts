// The typed client's text, from the OpenAPI document: a type for each named schema, and for each operation what goes in and what comes out.
// ops/write-client writes it to src/client/generated.ts, and a test holds the two against each other.

type Schema = Readonly<Record<string, unknown>>;
type Parameter = { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: Schema };
type Content = Readonly<Record<string, { readonly schema: Schema }>>;
type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
};
export type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

const HEADER = `// Generated from the OpenAPI document by ops/write-client: do not edit.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated
`;

export function clientSource({ paths, components }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const types = Object.entries(components.schemas).map(([name, schema]) => `export type ${name} = ${typeOf(schema)};`);
  const inputs = operations.map(
    ({ operation }) =>
      `  /** ${operation.summary}. */\n  readonly ${operation.operationId}: { readonly input: ${inputOf(operation)}; readonly output: ${outputOf(operation)} };`,
  );
  const table = operations.map(({ path, method, operation }) => {
    const isIdempotent = operation.parameters.some(({ name }) => name === 'Idempotency-Key');
    return `  ${operation.operationId}: { method: '${method}', path: '${path}', isIdempotent: ${isIdempotent || method === 'GET'} },`;
  });
  return [
    HEADER,
    ...types,
    '',
    'export type Operations = {',
    ...inputs,
    '};',
    '',
    'export const OPERATIONS: Readonly<Record<keyof Operations, { readonly method: string; readonly path: string; readonly isIdempotent: boolean }>> = {',
    ...table,
    '};',
    '',
  ].join('\n');
}

const HEADER_FIELDS: Readonly<Record<string, string>> = {
  'Idempotency-Key': 'idempotencyKey',
  'If-Match': 'ifMatch',
  'Last-Event-ID': 'lastEventId',
};

function inputOf({ parameters, requestBody }: Operation): string {
  const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => `readonly ${name}: string`);
  const inQuery = parameters.filter((one) => one.in === 'query');
  const inHeaders = parameters
    .filter((one) => one.in === 'header')
    .map(({ name, required }) => field(HEADER_FIELDS[name] ?? name, 'string', required));
  const query = inQuery.map(({ name, schema, required }) => field(name, typeOf(schema), required));
  const isQueryNeeded = inQuery.some(({ required }) => required);
  const body = requestBody?.content['application/json']?.schema;
  const fields = [
    ...inPath,
    ...(query.length === 0 ? [] : [field('query', `{ ${query.join('; ')} }`, isQueryNeeded)]),
    ...(body === undefined ? [] : [`readonly body: ${typeOf(body)}`]),
    ...inHeaders,
  ];
  return fields.length === 0 ? 'Readonly<Record<never, never>>' : `{ ${fields.join('; ')} }`;
}

function outputOf({ responses }: Operation): string {
  const good = Object.entries(responses).filter(([status]) => status.startsWith('2'));
  const types = good.map(([, { content }]) => {
    const [media, schema] = Object.entries(content ?? {}).map(([name, one]) => [name, one.schema] as const)[0] ?? [];
    if (media === undefined || schema === undefined) return 'undefined';
    return media === 'application/json' ? typeOf(schema) : 'string';
  });
  return [...new Set(types)].join(' | ');
}

function field(name: string, type: string, isRequired: boolean): string {
  return isRequired ? `readonly ${name}: ${type}` : `readonly ${name}?: ${type} | undefined`;
}

function typeOf(schema: Schema): string {
  const {
    $ref,
    type,
    properties,
    required = [],
    items,
    anyOf,
    patternProperties,
  } = schema as {
    readonly $ref?: string;
    readonly type?: string;
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly required?: readonly string[];
    readonly items?: Schema;
    readonly anyOf?: readonly Schema[];
    readonly patternProperties?: Readonly<Record<string, Schema>>;
  };
  if ($ref !== undefined) return $ref.slice($ref.lastIndexOf('/') + 1);
  if ('const' in schema) return JSON.stringify(schema['const']);
  if (anyOf !== undefined) return [...new Set(anyOf.map(typeOf))].join(' | ');
  if (patternProperties !== undefined)
    return `Readonly<Record<string, ${Object.values(patternProperties).map(typeOf).join(' | ')}>>`;
  if (type === 'array') return `readonly (${typeOf(items ?? {})})[]`;
  if (type === 'object') {
    const fields = Object.entries(properties ?? {}).map(([name, below]) => field(name, typeOf(below), required.includes(name)));
    return fields.length === 0 ? 'Readonly<Record<string, unknown>>' : `{ ${fields.join('; ')} }`;
  }
  const plain: Readonly<Record<string, string>> = {
    integer: 'number',
    number: 'number',
    string: 'string',
    boolean: 'boolean',
    null: 'null',
  };
  return plain[type ?? ''] ?? 'unknown';
}

// Builds schemas of messages and records: the part of TypeBox's `Type` that is used here, with the same results, down to TypeBox's own marks that
// do not show in JSON, so that whatever of TypeBox reads such a schema does. Loading all of TypeBox took a third of the time in which a run of the
// agent starts (some 680 modules), and a run needs nothing else of it.

import type { Type as TypeBox } from 'typebox';

type Schema = Record<string, unknown>;
type Properties = Readonly<Record<string, Schema>>;

function made(kind: string, schema: Schema, options: Schema = {}): Schema {
  return marked({ ...schema, ...options }, '~kind', kind);
}

function marked(schema: Schema, mark: string, value: unknown): Schema {
  return Object.defineProperty(schema, mark, { value, configurable: true, writable: true, enumerable: false });
}

/** With its marks. */
function copyOf(schema: Schema): Schema {
  return Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema));
}

function object(properties: Properties, options?: Schema): Schema {
  const names = Object.keys(properties).filter((name) => !Object.hasOwn(properties[name]!, '~optional'));
  return made('Object', { type: 'object', ...(names.length === 0 ? {} : { required: names }), properties }, options);
}

/** Of texts, by their pattern; nothing else of them is kept. */
function record(key: Schema, value: Schema, options?: Schema): Schema {
  const { pattern = '^.*$' } = key as { readonly pattern?: string };
  return made('Record', { type: 'object', patternProperties: { [pattern]: value } }, options);
}

function tuple(items: readonly Schema[], options?: Schema): Schema {
  return made('Tuple', { type: 'array', additionalItems: false, items, minItems: items.length }, options);
}

export const Type = {
  String: (options?: Schema) => made('String', { type: 'string' }, options),
  Integer: (options?: Schema) => made('Integer', { type: 'integer' }, options),
  Number: (options?: Schema) => made('Number', { type: 'number' }, options),
  Boolean: (options?: Schema) => made('Boolean', { type: 'boolean' }, options),
  Null: (options?: Schema) => made('Null', { type: 'null' }, options),
  Unknown: (options?: Schema) => made('Unknown', {}, options),
  Literal: (value: string | number | boolean, options?: Schema) => made('Literal', { type: typeof value, const: value }, options),
  Enum: (values: readonly unknown[], options?: Schema) => made('Enum', { enum: values }, options),
  Array: (items: Schema, options?: Schema) => made('Array', { type: 'array', items }, options),
  Tuple: tuple,
  Union: (anyOf: readonly Schema[], options?: Schema) => made('Union', { anyOf }, options),
  Object: object,
  Record: record,
  Optional: (schema: Schema) => marked(copyOf(schema), '~optional', true),
  Unsafe: (schema: Schema) => marked(copyOf(schema), '~unsafe', null),
} as unknown as Pick<
  typeof TypeBox,
  | 'String'
  | 'Integer'
  | 'Number'
  | 'Boolean'
  | 'Null'
  | 'Unknown'
  | 'Literal'
  | 'Enum'
  | 'Array'
  | 'Tuple'
  | 'Union'
  | 'Object'
  | 'Record'
  | 'Optional'
  | 'Unsafe'
>;

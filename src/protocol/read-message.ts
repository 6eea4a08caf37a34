// From what the other side sent to a message that can be trusted in its form: unknown keys are dropped, all else must be as the schema says.
//
// Reads the keywords that the schemas of messages have (src/base/type.ts makes them), and refuses a schema with any other: a rule that nobody looks at
// would be none. A test holds the answers against TypeBox's.

import type { Static, TSchema } from 'typebox';
import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';

type Schema = {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema | readonly Schema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
};

/** Said for people, or implied: keys that no property names are dropped, and a tuple has as many items as it names. */
const SILENT = ['description', 'examples', 'title', '$id', 'additionalProperties', 'additionalItems'];
const READ = new Set([
  ...['type', 'const', 'enum', 'anyOf', 'properties', 'required', 'patternProperties', 'items', 'minItems', 'maxItems'],
  ...['minLength', 'maxLength', 'pattern', 'minimum', 'maximum'],
  ...SILENT,
]);

class Misfit extends Error {
  readonly path: string;

  constructor(path: string, what: string) {
    super(what);
    this.path = path;
  }
}

/** A copy of `value`. MESSAGE_INVALID, naming `what` and the first thing that is wrong in it. */
export function readMessage<T extends TSchema>(schema: T, value: unknown, what: string): Static<T> {
  try {
    return fitted(schema as Schema, value, '') as Static<T>;
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new Fault('MESSAGE_INVALID', `${what} is not as it should be: ${error.path || '/'} ${error.message}`);
  }
}

function fitted(schema: Schema, value: unknown, path: string): unknown {
  mustBeRead(schema);
  if (schema.anyOf !== undefined) return fitAny(schema.anyOf, value, path);
  if (schema.const !== undefined && value !== schema.const) throw new Misfit(path, `must be ${JSON.stringify(schema.const)}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) throw new Misfit(path, 'must be one of those that there are');
  switch (schema.type) {
    case undefined:
      return value;
    case 'string':
      return fitText(schema, value, path);
    case 'integer':
    case 'number':
      return fitNumber(schema, value, path);
    case 'boolean':
      if (typeof value !== 'boolean') throw new Misfit(path, 'must be true or false');
      return value;
    case 'null':
      if (value !== null) throw new Misfit(path, 'must be null');
      return value;
    case 'array':
      return fitArray(schema, value, path);
    default:
      invariant(schema.type === 'object', 'a schema is of a type of JSON');
      return fitObject(schema, value, path);
  }
}

/** The first that fits. */
function fitAny(schemas: readonly Schema[], value: unknown, path: string): unknown {
  for (const schema of schemas) {
    try {
      return fitted(schema, value, path);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
    }
  }
  throw new Misfit(path, 'is none of what it may be');
}

function fitText({ minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern }: Schema, value: unknown, path: string): string {
  if (typeof value !== 'string') throw new Misfit(path, 'must be a text');
  if (value.length < minLength || value.length > maxLength)
    throw new Misfit(path, `must have between ${minLength} and ${maxLength} characters`);
  if (pattern !== undefined && !expressionOf(pattern).test(value)) throw new Misfit(path, `must be like ${pattern}`);
  return value;
}

function fitNumber(
  { type, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY }: Schema,
  value: unknown,
  path: string,
): number {
  const isOne = typeof value === 'number' && Number.isFinite(value) && (type === 'number' || Number.isInteger(value));
  if (!isOne) throw new Misfit(path, type === 'integer' ? 'must be a whole number' : 'must be a number');
  if (value < minimum || value > maximum) throw new Misfit(path, `must be between ${minimum} and ${maximum}`);
  return value;
}

function fitArray({ items, minItems = 0, maxItems = Number.POSITIVE_INFINITY }: Schema, value: unknown, path: string): unknown[] {
  if (!Array.isArray(value)) throw new Misfit(path, 'must be a list');
  const isTuple = Array.isArray(items);
  if (value.length < minItems || value.length > (isTuple ? items.length : maxItems))
    throw new Misfit(path, `must have between ${minItems} and ${isTuple ? items.length : maxItems} items`);
  return value.map((item, i) => fitted(isTuple ? items[i]! : ((items ?? {}) as Schema), item, `${path}/${i}`));
}

function fitObject({ properties = {}, required = [], patternProperties = {} }: Schema, value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Misfit(path, 'must be an object');
  const given = value as Readonly<Record<string, unknown>>;
  const missing = required.find((name) => !Object.hasOwn(given, name));
  if (missing !== undefined) throw new Misfit(path, `lacks ${missing}`);
  const patterns = Object.entries(patternProperties);
  const kept: [string, unknown][] = [];
  for (const [name, one] of Object.entries(given)) {
    const schema = Object.hasOwn(properties, name)
      ? properties[name]
      : patterns.find(([pattern]) => expressionOf(pattern).test(name))?.[1];
    if (schema !== undefined) kept.push([name, fitted(schema, one, `${path}/${name}`)]);
  }
  return Object.fromEntries(kept);
}

const looked = new WeakSet<Schema>();

function mustBeRead(schema: Schema): void {
  if (looked.has(schema)) return;
  const unknown = Object.keys(schema).find((keyword) => !READ.has(keyword));
  invariant(unknown === undefined, `messages are read by known keywords, not by "${unknown}"`);
  looked.add(schema);
}

/** Of schemas: few. */
const expressions = new Map<string, RegExp>();

function expressionOf(pattern: string): RegExp {
  let expression = expressions.get(pattern);
  if (expression === undefined) {
    expression = new RegExp(pattern, 'u');
    expressions.set(pattern, expression);
  }
  return expression;
}

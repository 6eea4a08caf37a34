// What a value has that its closed schema does not allow, in words for people: what was expected comes from each part's `description`.
//
// Knows the few kinds of schema that policies are made of (closed objects, arrays, strings, integers, booleans). A validator that knows all of JSON
// schema can only say "must match pattern"; that both accept the same values is tested.

import { nearest } from '../base/nearest.ts';

export type Path = readonly (string | number)[];

export type SchemaProblem = {
  readonly path: Path;
  /** Whether it is the key that is wrong, or what stands behind it. */
  readonly at: 'key' | 'value';
  readonly message: string;
};

type Node = {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
};

/** In the order of the value. */
export function schemaProblems(schema: object, value: unknown, path: Path = []): readonly SchemaProblem[] {
  const node = schema as Node;
  switch (node.type) {
    case 'object':
      return objectProblems(node, value, path);
    case 'array':
      return arrayProblems(node, value, path);
    default:
      return isScalar(node, value) ? [] : [unexpected(node, value, path)];
  }
}

function objectProblems(node: Node, value: unknown, path: Path): readonly SchemaProblem[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [unexpected(node, value, path)];
  const properties = node.properties ?? {};
  const known = Object.keys(properties);
  const within = Object.entries(value).flatMap(([key, child]): readonly SchemaProblem[] => {
    const of = Object.hasOwn(properties, key) ? properties[key] : undefined;
    return of === undefined ? [unknownKey(key, known, path)] : schemaProblems(of, child, [...path, key]);
  });
  const missing = (node.required ?? []).filter((key) => !Object.hasOwn(value, key));
  return [
    ...within,
    ...missing.map((key): SchemaProblem => {
      const message = `${placeText(path)} needs "${key}": ${properties[key]?.description ?? ''}`;
      return { path, at: 'value', message };
    }),
  ];
}

function unknownKey(key: string, known: readonly string[], path: Path): SchemaProblem {
  const meant = nearest(key, known) ?? nearest(key.toLowerCase(), known);
  const hint = meant === undefined ? `it knows ${known.join(', ')}` : `did you mean "${meant}"?`;
  const where = placeText(path);
  return { path: [...path, key], at: 'key', message: `${where} has no key "${shortened(key)}"; ${hint}` };
}

function arrayProblems(node: Node, value: unknown, path: Path): readonly SchemaProblem[] {
  if (!Array.isArray(value)) return [unexpected(node, value, path)];
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items = {} } = node;
  if (value.length < minItems) return [{ path, at: 'value', message: `${placeText(path)} is empty: expected ${node.description}` }];
  if (value.length > maxItems)
    return [{ path, at: 'value', message: `${placeText(path)} has ${value.length} entries; ${maxItems} are allowed` }];
  return value.flatMap((child, i) => schemaProblems(items, child, [...path, i]));
}

function isScalar(node: Node, value: unknown): boolean {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, minimum = -Infinity, maximum = Infinity } = node;
  switch (node.type) {
    case 'string': {
      if (typeof value !== 'string') return false;
      // Characters, as JSON schema counts them.
      const length = [...value].length;
      const isMatch = node.pattern === undefined || new RegExp(node.pattern, 'u').test(value);
      return length >= minLength && length <= maxLength && isMatch && (node.enum === undefined || node.enum.includes(value));
    }
    case 'integer':
      return Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
    case 'boolean':
      return typeof value === 'boolean';
    default:
      throw new Error(`Invariant broken: no rule for a schema of type ${node.type}`);
  }
}

function unexpected(node: Node, value: unknown, path: Path): SchemaProblem {
  const is = value === null ? 'there is nothing' : `${valueText(value)} is not`;
  return { path, at: 'value', message: `${placeText(path)}: expected ${node.description}; ${is}` };
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? `"${shortened(value)}"` : shortened(String(value));
}

/** Also takes care that a hostile text does not fill anybody's terminal. */
function shortened(text: string): string {
  const line = text.replace(/\p{C}/gu, '?');
  return line.length <= 60 ? line : `${line.slice(0, 57)}...`;
}

/** ["schedule", 0, "cron"] -> "schedule[0].cron"; the whole is "the policy". */
export function placeText(path: Path): string {
  return path.length === 0 ? 'the policy' : fieldText(path);
}

export function fieldText(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? shortened(part) : `${text}.${shortened(part)}`),
    '',
  );
}

// Bodies that a schema accepts, made from the schema: everything that may be given is given. With chance, some of it, and odd values.

type Json = Readonly<Record<string, unknown>>;

export function sampleOf(schema: unknown): unknown {
  const one = schema as Json & { readonly properties?: Json; readonly items?: unknown; readonly minItems?: number };
  if ('const' in one) return one['const'];
  const union = (one['anyOf'] ?? one['oneOf']) as readonly unknown[] | undefined;
  if (union !== undefined) return sampleOf(union[0]);
  switch (one['type']) {
    case 'object':
      return Object.fromEntries(
        Object.entries(one.properties ?? {})
          .slice(0, Number(one['maxProperties'] ?? Number.POSITIVE_INFINITY))
          .map(([name, below]) => [name, sampleOf(below)]),
      );
    case 'array':
      return [sampleOf(one.items)];
    case 'integer':
    case 'number':
      return Math.max(1, Number(one['minimum'] ?? 1));
    case 'boolean':
      return false;
    case 'null':
      return null;
    default:
      return textOf(String(one['pattern'] ?? ''), Number(one['minLength'] ?? 1));
  }
}

/** A text for each pattern that the model has; an unknown one is a test that must be extended. */
const TEXTS: readonly string[] = [
  'reason',
  'ast_01jd00000000000000000000000'.slice(0, 30),
  '/srv/data',
  '2026-11-21T08:00:00.000Z',
  '2026-11-21',
  '123456',
  '0123456789abcdef0123',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567',
  '10.0.0.0/8',
  '0/3000060',
];

function textOf(pattern: string, lengthMin: number): string {
  const expression = new RegExp(pattern, 'u');
  const found = TEXTS.map((text) => text.padEnd(lengthMin, 'abcdefghijkl')).find((text) => expression.test(text));
  if (found === undefined) throw new Error(`no sample for the pattern ${pattern}`);
  return found;
}

// Reading messages, beside TypeBox: of values that fit and of values in which something was changed, by a seed, both must think the same.

import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Clean } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { Type } from '../../src/base/type.ts';
import * as agentMessages from '../../src/protocol/agent-messages.ts';
import * as logMessages from '../../src/protocol/log-messages.ts';
import * as planMessages from '../../src/protocol/plan-messages.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import * as sessionMessages from '../../src/protocol/session-messages.ts';
import { seededRandom } from '../support/seeded-random.ts';

type Any = Record<string, unknown>;

const SCHEMAS = Object.entries({ ...agentMessages, ...logMessages, ...planMessages, ...sessionMessages }).filter(
  ([, one]) => typeof one === 'object' && Object.hasOwn(one, '~kind'),
) as [string, TSchema][];
const VALUES_EACH = 150;
/** Texts that patterns of messages are about. */
const LOG = `log/${'0'.repeat(32)}/${'0'.repeat(16)}/${'0'.repeat(20)}/${'0'.repeat(8)}/`;
const TEXTS = [
  ...['a'.repeat(20), '0'.repeat(32), 'f'.repeat(64), 'A'.repeat(43), `${'A'.repeat(43)}=`, LOG, `${LOG}${'0'.repeat(16)}`],
  ...['QUJD', '2026-11-22T08:00:00.000Z', 'x', ''],
];
const ODD: readonly unknown[] = [null, 0, -1, 1.5, 2 ** 60, '', 'x', 'é😀', 'z'.repeat(5000), true, [], [1], {}, { a: 1 }];

type Checker = { Check(value: unknown): boolean };
const checkers = new WeakMap<TSchema, Checker>();

function fits(schema: TSchema, value: unknown): boolean {
  const checker = checkers.get(schema) ?? (Compile(schema) as unknown as Checker);
  checkers.set(schema, checker);
  return checker.Check(value);
}

function goodValue(schema: Any, chance: () => number): unknown {
  const pick = <T>(some: readonly T[]): T => some[Math.floor(chance() * some.length)]!;
  if (schema['anyOf'] !== undefined) return goodValue(pick(schema['anyOf'] as Any[]), chance);
  if (schema['const'] !== undefined) return schema['const'];
  if (schema['enum'] !== undefined) return pick(schema['enum'] as unknown[]);
  switch (schema['type']) {
    case 'string': {
      const some = [...TEXTS, 'a'.repeat(Number(schema['minLength'] ?? 1)), 'ten_01m7yhx3003ec0kxeqwwtvbd5k'];
      return (
        some.find((text) => chance() < 0.3 && fits(schema as TSchema, text)) ??
        some.find((text) => fits(schema as TSchema, text)) ??
        'x'
      );
    }
    case 'integer':
      return Number(schema['minimum'] ?? 0) + Math.floor(chance() * 3);
    case 'number':
      return chance();
    case 'boolean':
      return chance() < 0.5;
    case 'null':
      return null;
    case 'array': {
      const { items, minItems = 0 } = schema as { items: Any | Any[]; minItems?: number };
      if (Array.isArray(items)) return items.map((one) => goodValue(one, chance));
      return Array.from({ length: minItems + Math.floor(chance() * 3) }, () => goodValue(items, chance));
    }
    case 'object': {
      const {
        properties = {},
        required = [],
        patternProperties,
      } = schema as {
        properties?: Record<string, Any>;
        required?: string[];
        patternProperties?: Record<string, Any>;
      };
      const named = Object.entries(properties).filter(([name]) => required.includes(name) || chance() < 0.5);
      const more = Object.values(patternProperties ?? {}).map((one) => ['k1', goodValue(one, chance)] as const);
      return Object.fromEntries([...named.map(([name, one]) => [name, goodValue(one, chance)] as const), ...more]);
    }
    default:
      return { some: 'thing' };
  }
}

/** With one thing somewhere in it that is another, is missing, or is too much. */
function changed(value: unknown, chance: () => number): unknown {
  const isNested = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isNested || chance() < 0.15) return ODD[Math.floor(chance() * ODD.length)];
  const names = Object.keys(value);
  const name = names[Math.floor(chance() * names.length)]!;
  if (Array.isArray(value)) return value.map((one, i) => (String(i) === name ? changed(one, chance) : one));
  const { [name]: one, ...rest } = value as Any;
  const how = chance();
  if (how < 0.2) return rest;
  if (how < 0.4) return { ...(value as Any), unknownKey: 1 };
  return { ...rest, [name]: changed(one, chance) };
}

function readOr(schema: TSchema, value: unknown): { readonly value: unknown } | 'refused' {
  try {
    return { value: readMessage(schema, value, 'It') };
  } catch (error) {
    expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
    return 'refused';
  }
}

describe('a message', () => {
  it.each(SCHEMAS)('%s is read as TypeBox would', (name, schema) => {
    const chance = seededRandom([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 2 ** 31);
    const seen = { read: 0, refused: 0 };
    for (let n = 0; n < VALUES_EACH; n++) {
      const good = goodValue(schema as unknown as Any, chance);
      const value = n % 3 === 0 ? good : changed(good, chance);
      const text = JSON.stringify(value);
      const theirs: unknown = Clean(schema, JSON.parse(text));
      const isGood = fits(schema, theirs);
      const ours = readOr(schema, value);
      seen[isGood ? 'read' : 'refused']++;
      expect(ours, text).toEqual(isGood ? { value: theirs } : 'refused');
      expect(JSON.stringify(value), 'what was given is left as it is').toBe(text);
    }
    expect(seen.read).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
  });

  it('names the place of what is wrong', () => {
    const schema = Type.Object({ a: Type.Array(Type.Object({ b: Type.Integer({ minimum: 1 }) })) });
    expect(() => readMessage(schema, { a: [{ b: 1 }, { b: 0 }] }, 'A poll')).toThrow(
      'A poll is not as it should be: /a/1/b must be between 1',
    );
    expect(() => readMessage(schema, [], 'A poll')).toThrow('A poll is not as it should be: / must be an object');
  });

  it('drops what it does not know, and takes no name for one of an object itself', () => {
    const schema = Type.Object({ a: Type.Optional(Type.String()) });
    expect(readMessage(schema, JSON.parse('{"a":"x","b":1,"__proto__":{"c":1},"toString":1}'), 'It')).toEqual({ a: 'x' });
    const required = Type.Object({ constructor: Type.String() });
    expect(() => readMessage(required, {}, 'It')).toThrow('lacks constructor');
  });

  it('is not read by a rule that nobody looks at', () => {
    expect(() => readMessage(Type.String({ format: 'email' }), 'x', 'It')).toThrow('format');
  });
});

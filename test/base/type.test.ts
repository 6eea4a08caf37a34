// Whatever of TypeBox reads our schemas must find what its own `Type` would have made.

import { Type as TypeBox } from 'typebox';
import { expect, it } from 'vitest';
import { Type } from '../../src/base/type.ts';

/** All properties, hidden ones too. */
function seen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const own = Object.getOwnPropertyDescriptors(value) as Record<string, PropertyDescriptor>;
  const rows = Object.entries(own).map(([name, { value: one, ...how }]) => [name, { ...how, value: seen(one) }]);
  return { isList: Array.isArray(value), shown: Object.keys(value), ...Object.fromEntries(rows) };
}

const made = (T: typeof Type): readonly unknown[] => {
  const text = T.String({ maxLength: 3, pattern: '^a$' });
  const plain = T.Object({ a: T.Optional(text), b: T.Integer({ minimum: 1 }), c: T.Optional(T.Null()) }, { $id: 'P' });
  return [
    plain,
    text,
    T.String(),
    T.Number(),
    T.Boolean({ description: 'd' }),
    T.Unknown(),
    T.Literal('a'),
    T.Literal(3, { description: 'd' }),
    T.Literal(true),
    T.Enum(['a', 'b']),
    T.Array(plain, { maxItems: 4 }),
    T.Tuple([text, T.Integer()]),
    T.Union([plain, T.Null()], { description: 'd' }),
    T.Object({}, { additionalProperties: false }),
    T.Object({ a: T.Optional(text) }),
    T.Record(T.String(), T.Unknown(), { description: 'd' }),
    T.Record(T.String({ maxLength: 9 }), plain),
    T.Record(text, T.Integer()),
    T.Optional(T.Unsafe<'a'>(T.Union([T.Literal('a')]))),
    T.Unsafe<string>({ ...text, description: 'd' }),
    T.Unsafe<string>(T.Optional(text)),
  ];
};

it("makes the schemas that TypeBox's own builder makes, its marks included", () => {
  const ours = made(Type);
  for (const [n, theirs] of made(TypeBox).entries()) expect(seen(ours[n]), `schema ${n}`).toEqual(seen(theirs));
});

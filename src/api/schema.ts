// Schemas as validators and documents want them.

import type { TSchema } from 'typebox';
import { Type } from '../base/type.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import { CURSOR_PATTERN } from './cursor.ts';

/** A copy without `$id`: the validator takes each name once only, and the same noun stands in many routes. */
export function plainSchema(schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === '$id' && typeof value === 'string' ? undefined : value)));
}

export const PAGE_QUERY = {
  after: Type.Optional(
    Type.String({ pattern: CURSOR_PATTERN, maxLength: 700, description: '"next" of the page before; absent: from the beginning' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_ITEMS_MAX, description: 'items in the page at the most (100)' })),
};

export function pageSchema<T extends TSchema>(item: T) {
  return Type.Object(
    {
      items: Type.Array(item),
      next: Type.Optional(Type.String({ description: 'where the next page begins; absent: this is the last' })),
    },
    { additionalProperties: false },
  );
}

export type PageQuery = { readonly after?: string; readonly limit?: number };
const PAGE_ITEMS_DEFAULT = 100;

export function limitOf({ limit }: PageQuery): number {
  return limit ?? PAGE_ITEMS_DEFAULT;
}

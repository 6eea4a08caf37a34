// A bureau: a repository, keys, quota, roles and audit of its own.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Label, Name } from './identifier.ts';
import { Instant } from './instant.ts';

export const Quota = Type.Object(
  {
    /** Of what the assets hold. */
    logicalBytesMax: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Of what the store holds. */
    storedBytesMax: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);
export type Quota = Static<typeof Quota>;

export const Tenant = Type.Object(
  {
    id: Id,
    name: Name,
    label: Label,
    city: Type.Optional(Name),
    district: Type.Optional(Name),
    quota: Quota,
    /** CIDR blocks from which people, tokens and agents may come; empty: from everywhere. */
    allowedSources: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 200 }),
    state: Type.Union([Type.Literal('active'), Type.Literal('suspended'), Type.Literal('closed')]),
    createdAt: Instant,
    version: Type.Integer({ minimum: 1 }),
  },
  { additionalProperties: false, $id: 'Tenant' },
);
export type Tenant = Static<typeof Tenant>;

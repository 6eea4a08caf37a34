// A host agent: enrolled once with a short-lived token, known by its public key from then on.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Label, Name } from './identifier.ts';
import { Instant } from './instant.ts';

export const HostFacts = Type.Object(
  {
    hostname: Type.String({ maxLength: 253 }),
    platform: Type.String({ maxLength: 100 }),
    version: Type.String({ maxLength: 40, description: 'of Holdfast' }),
    cpus: Type.Integer({ minimum: 1 }),
    memoryBytes: Type.Integer({ minimum: 0 }),
    planSite: Type.Optional(
      Type.String({
        ...Name,
        description: 'the site whose configuration it has: plans are looked at, rehearsed and carried out there',
      }),
    ),
    bootId: Type.Optional(Type.String({ maxLength: 64 })),
  },
  { additionalProperties: false },
);
export type HostFacts = Static<typeof HostFacts>;

export const Agent = Type.Object(
  {
    id: Id,
    tenantId: Id,
    label: Label,
    /** Ed25519, 32 bytes, base64url. */
    publicKey: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    host: HostFacts,
    /** Where the host is, for limits of how much runs there at once; a name in the tenant. */
    site: Type.Optional(Name),
    state: Type.Union([Type.Literal('active'), Type.Literal('revoked')]),
    enrolledAt: Instant,
    lastSeenAt: Type.Optional(Instant),
    revokedAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'Agent' },
);
export type Agent = Static<typeof Agent>;

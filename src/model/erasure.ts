// The certificate that a tenant's key was destroyed: what went, when, on whose word, and what is still held where. Signed with the key that
// signs the audit, and verified without the service (trust/erasure-certificate.ts).

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Label, Name } from './identifier.ts';
import { Instant } from './instant.ts';

const closed = { additionalProperties: false } as const;
const Hex = (digits: number) => Type.String({ pattern: `^[0-9a-f]{${digits}}$` });
const Who = Type.String({ maxLength: 200 });

/** Who asked for it, who agreed. */
export const ErasureOrder = Type.Object(
  {
    approval: Id,
    requestedBy: Who,
    requestedAt: Instant,
    approvedBy: Who,
    approvedAt: Instant,
    reason: Type.String({ maxLength: 1000 }),
    handedOver: Type.String({
      maxLength: 2000,
      description: 'what of the data was handed over, to whom; as whoever asked has said',
    }),
  },
  closed,
);
export type ErasureOrder = Static<typeof ErasureOrder>;

export const Destroyed = Type.Object(
  {
    keysAt: Type.Optional(Instant),
    keys: Type.Array(Hex(16), { description: 'ids of the key objects of the repository' }),
    contentAt: Type.Optional(Instant),
    objects: Type.Integer({ minimum: 0, description: 'deleted in the store, sealed as they were' }),
    bytes: Type.Integer({ minimum: 0 }),
    recoveryPoints: Type.Integer({ minimum: 0 }),
    backupsAt: Type.Optional(Instant),
    olderBackups: Type.Integer({ minimum: 0, description: 'of the secrets of the service, which held the passphrase' }),
  },
  closed,
);
export type Destroyed = Static<typeof Destroyed>;

export const REMAINS = ['locked-ciphertext', 'locked-backups', 'replicas', 'copies-of-keys', 'records', 'media'] as const;
export const Remaining = Type.Object(
  {
    what: Type.Unsafe<(typeof REMAINS)[number]>(Type.Union(REMAINS.map((one) => Type.Literal(one)))),
    where: Type.String({ maxLength: 2000 }),
    means: Type.String({ maxLength: 1000, description: 'what can be done with it, and until when' }),
  },
  closed,
);
export type Remaining = Static<typeof Remaining>;

export const ErasureCertificate = Type.Object(
  {
    format: Type.Literal('holdfast-erasure-certificate'),
    version: Type.Literal(1),
    tenant: Type.Object({ id: Id, name: Name, label: Label }, closed),
    repository: Type.Object({ location: Type.String({ maxLength: 1000 }), id: Type.Optional(Hex(32)) }, closed),
    order: ErasureOrder,
    run: Id,
    destroyed: Destroyed,
    remains: Type.Array(Remaining),
    at: Instant,
    program: Type.String({ maxLength: 100 }),
    key: Type.String({ pattern: '^[0-9a-f]{16}$', description: 'first digits of the SHA-256 of the public key' }),
    signature: Type.String({ maxLength: 100, description: 'Ed25519 over the canonical JSON of the rest, base64url' }),
  },
  { ...closed, $id: 'ErasureCertificate' },
);
export type ErasureCertificate = Static<typeof ErasureCertificate>;

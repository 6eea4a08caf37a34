// Who acts: people, service tokens and agents. Roles are per tenant, and for the provider three that none can hold together.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Label } from './identifier.ts';
import { Instant } from './instant.ts';

export const TENANT_ROLES = ['viewer', 'restorer', 'operator', 'owner', 'auditor'] as const;
/** Separated: a person holds at most one of them. */
export const PROVIDER_ROLES = ['system-admin', 'security-admin', 'audit-admin'] as const;
export type Role = (typeof TENANT_ROLES)[number] | (typeof PROVIDER_ROLES)[number];

export const Role = Type.Union([...TENANT_ROLES, ...PROVIDER_ROLES].map((role) => Type.Literal(role)));

export const Grant = Type.Object(
  {
    role: Type.Unsafe<Role>(Role),
    /** Absent for roles of the provider. */
    tenantId: Type.Optional(Id),
  },
  { additionalProperties: false, $id: 'Grant' },
);
export type Grant = Static<typeof Grant>;

export const Person = Type.Object(
  {
    id: Id,
    login: Type.String({ pattern: '^[a-z0-9][a-z0-9._@-]{0,99}$' }),
    label: Label,
    grants: Type.Array(Grant, { maxItems: 100 }),
    state: Type.Union([Type.Literal('active'), Type.Literal('disabled')]),
    hasTotp: Type.Boolean(),
    createdAt: Instant,
    version: Type.Integer({ minimum: 1 }),
  },
  { additionalProperties: false, $id: 'Person' },
);
export type Person = Static<typeof Person>;

/** A service token, or the login session of a person. Its secret is shown once and stored as a digest. */
export const Token = Type.Object(
  {
    id: Id,
    label: Label,
    /** Present: a login session of this person, whose own grants count. */
    personId: Type.Optional(Id),
    /** Empty for a session. */
    grants: Type.Array(Grant, { maxItems: 20 }),
    createdBy: Type.String(),
    createdAt: Instant,
    expiresAt: Type.Optional(Instant),
    lastUsedAt: Type.Optional(Instant),
    revokedAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'Token' },
);
export type Token = Static<typeof Token>;

/** Who asks, once authenticated. */
export type Principal =
  | { readonly kind: 'person'; readonly id: string; readonly label: string; readonly grants: readonly Grant[] }
  | { readonly kind: 'token'; readonly id: string; readonly label: string; readonly grants: readonly Grant[] }
  | { readonly kind: 'agent'; readonly id: string; readonly label: string; readonly tenantId: string }
  | { readonly kind: 'system'; readonly id: 'system'; readonly label: string };

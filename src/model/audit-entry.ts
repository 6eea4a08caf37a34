// One line of the audit: who did what to what, from where, and how it ended. Chained by hashes (src/trust/audit-chain.ts).

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id } from './identifier.ts';
import { Instant } from './instant.ts';

export const AuditEntry = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1 }),
    at: Instant,
    tenantId: Type.Optional(Id),
    actor: Type.String({ maxLength: 200, description: 'kind:id' }),
    actorLabel: Type.String({ maxLength: 200 }),
    source: Type.Optional(Type.String({ maxLength: 64, description: 'network address' })),
    action: Type.String({ maxLength: 100, examples: ['asset.create', 'restore.request', 'token.revoke'] }),
    subject: Type.Optional(Type.String({ maxLength: 300 })),
    outcome: Type.Union([Type.Literal('done'), Type.Literal('denied'), Type.Literal('failed')]),
    details: Type.Record(Type.String(), Type.Unknown()),
    /** SHA-256 of the entry before, hex; 64 zeros for the first. */
    previous: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** SHA-256 of this entry (canonical JSON of all but this field), hex. */
    hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  },
  { additionalProperties: false, $id: 'AuditEntry' },
);
export type AuditEntry = Static<typeof AuditEntry>;
export type NewAuditEntry = Omit<AuditEntry, 'sequence' | 'previous' | 'hash'>;

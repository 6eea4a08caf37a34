// Signed evidence of a drill or a failover, as the service keeps it: what its pack says of itself, once nothing was found wrong with it.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { PLAN_RUN_KINDS, type PlanRunKind } from './failover-kind.ts';
import { Id, Name } from './identifier.ts';
import { Instant } from './instant.ts';

/** Made where the plan was carried out; it stands in the pack. */
export const EVIDENCE_ID = '^[a-z0-9][a-z0-9_-]{0,99}$';
export const EvidenceId = Type.String({ pattern: EVIDENCE_ID, maxLength: 100 });
/** The name of the pack among the files of an evidence. */
export const PACK_FILE = 'pack.json';

export const Evidence = Type.Object(
  {
    id: EvidenceId,
    tenantId: Id,
    plan: Name,
    planVersion: Type.Integer({ minimum: 1 }),
    planDigest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    kind: Type.Unsafe<PlanRunKind>(Type.Union(PLAN_RUN_KINDS.map((kind) => Type.Literal(kind)))),
    outcome: Type.String({ maxLength: 40, examples: ['succeeded', 'failed', 'void'] }),
    createdAt: Type.String({ ...Instant, description: 'as the pack says' }),
    receivedAt: Instant,
    runId: Id,
    agentId: Id,
    keyId: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    publicKey: Type.String({
      pattern: '^[A-Za-z0-9_-]{43}$',
      description: 'of whoever signed it, as the agent gave it: compare it with the one of that host before you trust it',
    }),
    rpoMs: Type.Optional(Type.Number({ description: 'work that was lost' })),
    rtoMs: Type.Optional(Type.Number({ description: 'from the declaration to the first write' })),
    levels: Type.Array(
      Type.Object(
        { edition: Type.String({ maxLength: 100 }), level: Type.Integer({ minimum: 0 }) },
        { additionalProperties: false },
      ),
      { maxItems: 20, description: 'of GB/T 20988, that were proven' },
    ),
    files: Type.Array(
      Type.Object({ name: Type.String({ maxLength: 255 }), bytes: Type.Integer({ minimum: 0 }) }, { additionalProperties: false }),
      { maxItems: 1000, description: 'the pack first' },
    ),
  },
  { additionalProperties: false, $id: 'Evidence' },
);
export type Evidence = Static<typeof Evidence>;

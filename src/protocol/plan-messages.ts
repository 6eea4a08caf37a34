// What agents and the service say to each other about plans of disaster recovery, beside the runs themselves; see agent-messages.ts.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { FAILOVER_LIFE, type FailoverLife, FailoverProgress } from '../model/failover.ts';

export const PLAN_PATHS = {
  evidence: (runId: string): string => `/agent/v1/runs/${runId}/evidence`,
  journal: (runId: string): string => `/agent/v1/runs/${runId}/journal`,
} as const;

/** Of one message, as JSON. */
export const EVIDENCE_BYTES_MAX = 32 * 1024 * 1024;

/** A signed pack, and what lies beside it. Said again, it changes nothing. */
export const EvidenceRequest = Type.Object({
  fence: Type.Integer({ minimum: 1 }),
  /** The very text. */
  pack: Type.String({ maxLength: EVIDENCE_BYTES_MAX }),
  attachments: Type.Array(
    Type.Object({
      name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' }),
      /** base64. */
      content: Type.String({ maxLength: EVIDENCE_BYTES_MAX }),
    }),
    { maxItems: 100 },
  ),
});
export type EvidenceRequest = Static<typeof EvidenceRequest>;

export const EvidenceAnswer = Type.Object({ id: Type.String({ maxLength: 100 }) });
export type EvidenceAnswer = Static<typeof EvidenceAnswer>;

/** The journal of a failover, whenever it has changed. */
export const JournalRequest = Type.Object({
  fence: Type.Integer({ minimum: 1 }),
  journal: Type.Object({
    id: Type.String({ maxLength: 100 }),
    state: Type.Unsafe<FailoverLife>(Type.String({ enum: [...FAILOVER_LIFE] })),
    ...FailoverProgress.properties,
  }),
});
export type JournalRequest = Static<typeof JournalRequest>;

export const JournalAnswer = Type.Object({});

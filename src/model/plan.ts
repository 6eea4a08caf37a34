// A plan of disaster recovery as the service keeps it: its text as people wrote it, every version of it, and what the last look found.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Name } from './identifier.ts';
import { Instant } from './instant.ts';

export const PlanReadiness = Type.Object(
  {
    at: Instant,
    runId: Id,
    version: Type.Integer({ minimum: 1, description: 'of the plan that was looked at' }),
    isReady: Type.Boolean({ description: 'it could be carried out now' }),
    checks: Type.Array(
      Type.Object(
        { what: Type.String({ maxLength: 300 }), isReady: Type.Boolean(), text: Type.String({ maxLength: 2000 }) },
        { additionalProperties: false },
      ),
      { maxItems: 500 },
    ),
  },
  { additionalProperties: false, $id: 'PlanReadiness' },
);
export type PlanReadiness = Static<typeof PlanReadiness>;

export const StoredPlan = Type.Object(
  {
    tenantId: Id,
    name: Name,
    /** As the document says it, raised with every change. */
    version: Type.Integer({ minimum: 1 }),
    text: Type.String({ description: 'YAML' }),
    digest: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'as it stands on the printed runbook' }),
    changedAt: Instant,
    changedBy: Type.String(),
    readiness: Type.Optional(PlanReadiness),
  },
  { additionalProperties: false, $id: 'Plan' },
);
export type StoredPlan = Static<typeof StoredPlan>;

// What happened that somebody may want to hear of: a broken promise, a failed run, a revoked agent. With its cause and what to do.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id } from './identifier.ts';
import { Instant } from './instant.ts';

export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const Event = Type.Object(
  {
    id: Id,
    /** Grows by one with each event of the service: where a stream of events resumes. */
    sequence: Type.Integer({ minimum: 1 }),
    tenantId: Type.Optional(Id),
    assetId: Type.Optional(Id),
    runId: Type.Optional(Id),
    kind: Type.String({ pattern: '^[a-z]+(?:[.-][a-z]+)*$', maxLength: 60, examples: ['objective.broken', 'run.failed'] }),
    severity: Type.Unsafe<Severity>(Type.Union(SEVERITIES.map((one) => Type.Literal(one)))),
    message: Type.String({ maxLength: 4000 }),
    cause: Type.Optional(Type.String({ maxLength: 4000 })),
    action: Type.Optional(Type.String({ maxLength: 4000 })),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    at: Instant,
  },
  { additionalProperties: false, $id: 'Event' },
);
export type Event = Static<typeof Event>;
export type NewEvent = Omit<Event, 'id' | 'sequence' | 'at'>;

// A failover of a plan, as the service was asked for it and has heard of it. What counts is the journal in the registry of the sites; here is
// what was last heard of that, with the time of each transition.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { FAILOVER_KINDS, type FailoverKind } from './failover-kind.ts';
import { FAILOVER_STATES } from './failover-state.ts';
import { Id, Name } from './identifier.ts';
import { Instant } from './instant.ts';

/** waiting: people have not approved it; refused: they will not; approved: no journal of it was heard of yet. */
export const FAILOVER_LIFE = ['waiting', 'refused', 'approved', ...FAILOVER_STATES, 'undoing', 'undone'] as const;
export type FailoverLife = (typeof FAILOVER_LIFE)[number];

export function isFailoverOver(state: FailoverLife): boolean {
  return state === 'refused' || state === 'normal' || state === 'undone';
}

const Facts = Type.Record(Type.String(), Type.Unknown());

/** What is shown of a journal of src/dr/failover-journal.ts. */
export const FailoverProgress = Type.Object(
  {
    from: Name,
    to: Name,
    blockedBy: Type.Array(Type.String({ maxLength: 4000 }), { maxItems: 200, description: 'what its step waits for' }),
    decisions: Type.Array(Facts, { maxItems: 1000, description: 'what people have said at gates, of a loss, of a failure' }),
    glass: Type.Union([Facts, Type.Null()], {
      description: 'who went on without proof of fencing, and why: it marks the failover for good',
    }),
    entries: Type.Array(Type.Object({ state: Type.String({ maxLength: 40 }), at: Type.String({ maxLength: 40 }), facts: Facts }), {
      maxItems: 1000,
      description: 'each transition, when it took place, and with what findings',
    }),
    actions: Type.Array(Facts, { maxItems: 1000, description: 'the last try of each action of the plan' }),
  },
  { additionalProperties: false },
);
export type FailoverProgress = Static<typeof FailoverProgress>;

export const Failover = Type.Object(
  {
    id: Id,
    tenantId: Id,
    plan: Name,
    planVersion: Type.Integer({ minimum: 1 }),
    planDigest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    kind: Type.Unsafe<FailoverKind>(Type.Union(FAILOVER_KINDS.map((kind) => Type.Literal(kind)))),
    reason: Type.String({ minLength: 1, maxLength: 1000 }),
    disaster: Type.Optional(Type.String({ ...Instant, description: 'when it is said to have happened' })),
    agentId: Type.String({ ...Id, description: 'who carries it out' }),
    requestedBy: Type.String(),
    requestedAt: Instant,
    approvalId: Id,
    approvers: Type.Array(Type.String(), { description: 'logins of the people who have approved it' }),
    state: Type.Unsafe<FailoverLife>(Type.Union(FAILOVER_LIFE.map((state) => Type.Literal(state)))),
    runId: Type.Optional(Type.String({ ...Id, description: 'the newest run that carries it out' })),
    journal: Type.Optional(FailoverProgress),
    heardAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'Failover' },
);
export type Failover = Static<typeof Failover>;

const Person = Type.String({ minLength: 1, maxLength: 200 });
const closed = { additionalProperties: false } as const;

/** What a run of the kind "failover" is to do: `order` of its parameters, beside `failover`, `plan` and `version`. */
export const FailoverOrder = Type.Union([
  /** Declares it, unless that was done before, and goes on until it is finished. */
  Type.Object(
    {
      do: Type.Literal('carry-out'),
      kind: Failover.properties.kind,
      reason: Failover.properties.reason,
      by: Person,
      approvers: Type.Array(Person, { maxItems: 10 }),
      disaster: Failover.properties.disaster,
    },
    closed,
  ),
  Type.Object(
    {
      do: Type.Literal('decide'),
      action: Type.String({ maxLength: 300 }),
      answer: Type.Union([Type.Literal('yes'), Type.Literal('no')]),
      by: Person,
    },
    closed,
  ),
  Type.Object({ do: Type.Literal('undo'), reason: Failover.properties.reason }, closed),
  Type.Object(
    {
      do: Type.Literal('break-glass'),
      persons: Type.Array(Person, { minItems: 2, maxItems: 10 }),
      reason: Failover.properties.reason,
    },
    closed,
  ),
  Type.Object({ do: Type.Literal('rejoin') }, closed),
]);
export type FailoverOrder = Static<typeof FailoverOrder>;

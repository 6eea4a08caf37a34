// What a restore run of a database is told: the way that the service has found for the wanted place, and what becomes of the server. The
// `parameters` of runs of kind "restore" of databases.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { RecoveryPoint } from './recovery-point.ts';

const closed = { additionalProperties: false } as const;
const Position = Type.Integer({ minimum: 0 });
const Leg = Type.Object({ timeline: Type.Integer({ minimum: 0 }), from: Position, to: Position }, closed);

/** One of them. */
export const RecoveryPlace = Type.Object(
  {
    time: Type.Optional(
      Type.String({
        maxLength: 50,
        description: 'RFC 3339 with an offset, to the microsecond',
        examples: ['2026-05-04T10:15:30.123456+08:00'],
      }),
    ),
    lsn: Type.Optional(
      Type.String({ pattern: '^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$', description: 'position in the log', examples: ['0/3000060'] }),
    ),
    xid: Type.Optional(Type.Integer({ minimum: 1, description: 'up to and with the commit of this transaction' })),
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 63, description: 'restore point that pg_create_restore_point made' }),
    ),
    latest: Type.Optional(Type.Literal(true, { description: 'the last commit that is stored' })),
  },
  { ...closed, minProperties: 1, maxProperties: 1, $id: 'RecoveryPlace' },
);
export type RecoveryPlace = Static<typeof RecoveryPlace>;

export const HandOver = Type.Union([Type.Literal('running'), Type.Literal('paused'), Type.Literal('stopped')], {
  description:
    'what becomes of the server: it runs and may be written to; it has stopped replaying and is to be looked at; it is stopped',
});
export type HandOver = Static<typeof HandOver>;

/** A plan of src/engine/recovery-plan.ts. */
const Plan = Type.Object(
  {
    base: Type.Object(
      {
        snapshot: RecoveryPoint.properties.snapshot,
        timeline: Type.Integer({ minimum: 0 }),
        start: Position,
        stop: Position,
        stoppedAt: Type.Number(),
      },
      closed,
    ),
    legs: Type.Array(Leg, { minItems: 1, maxItems: 10_000 }),
    stopAt: Type.Optional(
      Type.Object(
        {
          kind: Type.Union([Type.Literal('commit'), Type.Literal('abort'), Type.Literal('point'), Type.Literal('note')]),
          position: Position,
          end: Position,
          time: Type.Number(),
          id: Type.Integer({ minimum: 0 }),
          text: Type.String({ maxLength: 10_000 }),
        },
        closed,
      ),
    ),
    timeline: Type.Integer({ minimum: 0 }),
  },
  closed,
);

const Way = {
  snapshot: RecoveryPoint.properties.snapshot,
  /** As it was asked for, in words. */
  requested: Type.String({ maxLength: 200 }),
  incarnation: Type.String({ pattern: '^[0-9a-f]{16}$' }),
  plan: Plan,
};

export const ClusterRestoreOrder = Type.Object(
  {
    ...Way,
    /** Directory on the agent's host. */
    target: Type.String({ maxLength: 4096 }),
    delta: Type.Optional(Type.Boolean()),
    handOver: HandOver,
    tablespaces: Type.Optional(Type.Record(Type.String({ pattern: '^[0-9]{1,10}$' }), Type.String({ maxLength: 4096 }))),
  },
  closed,
);
export type ClusterRestoreOrder = Static<typeof ClusterRestoreOrder>;

const ObjectName = (description: string) => Type.String({ minLength: 1, maxLength: 63, pattern: '^[^\\u0000]*$', description });

/** Single tables, or one database, beside what lives in the asset's own server. */
export const ClusterExtract = Type.Object(
  {
    database: ObjectName('database that they were in'),
    tables: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 300, pattern: '^[^\\u0000]*$', description: 'as in SQL: shop.orders' }), {
        minItems: 1,
        maxItems: 1000,
        description: 'only these tables; without: the whole database',
      }),
    ),
    as: Type.Optional(
      ObjectName(
        'the new schema (tables) or database that they come to; nothing that exists is changed (default: a name with the time)',
      ),
    ),
    secret: Type.Optional(
      Type.String({
        pattern: '^[a-z0-9][a-z0-9._-]{0,99}$',
        description:
          "a file of this name in the directory secrets of the agent's home says how the server is reached for this, by a role that may create them (default: as the capture reaches it)",
      }),
    ),
  },
  { ...closed, $id: 'ClusterExtract' },
);
export type ClusterExtract = Static<typeof ClusterExtract>;

export const ClusterExtractOrder = Type.Object(
  { ...Way, extract: Type.Object({ ...ClusterExtract.properties, as: Type.String({ minLength: 1, maxLength: 63 }) }, closed) },
  closed,
);
export type ClusterExtractOrder = Static<typeof ClusterExtractOrder>;

// A thing that is protected: a directory tree, a disk image or device, a database cluster with its log.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id, Label } from './identifier.ts';
import { Instant } from './instant.ts';

const AbsolutePath = Type.String({ pattern: '^/', maxLength: 4096 });

export const AssetSource = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('files'),
      paths: Type.Array(AbsolutePath, { minItems: 1, maxItems: 100 }),
      excludes: Type.Optional(Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 100 })),
      oneFileSystem: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal('volume'), path: AbsolutePath }, { additionalProperties: false }),
  Type.Object(
    {
      kind: Type.Literal('postgres'),
      connection: Type.String({
        minLength: 1,
        maxLength: 1000,
        pattern: '^(?!.*\\bpassword\\s*=)(?!\\w+://[^/@]*:[^/@]*@).*$',
        description: 'as the agent reaches the server: "host=/run/postgresql user=holdfast" or a URL; without the password',
        examples: ['host=/run/postgresql user=holdfast', 'postgresql://holdfast@db1:5432/postgres?sslmode=require'],
      }),
      secret: Type.Optional(
        Type.String({
          pattern: '^[a-z0-9][a-z0-9._-]{0,99}$',
          description: "a file of this name in the directory secrets of the agent's home holds the password",
        }),
      ),
      slot: Type.Optional(
        Type.String({ pattern: '^[a-z0-9_]{1,63}$', description: 'replication slot; made when it is not there (holdfast)' }),
      ),
      queries: Type.Optional(
        Type.Array(
          Type.Object(
            {
              database: Type.String({ minLength: 1, maxLength: 63 }),
              sql: Type.String({ minLength: 1, maxLength: 4000 }),
              expected: Type.Optional(
                Type.String({ maxLength: 4000, description: 'rows as lines, values separated by "|"; absent: it must not fail' }),
              ),
            },
            { additionalProperties: false },
          ),
          { maxItems: 50, description: 'asked of every copy that a restore test makes, by a role that can only read' },
        ),
      ),
    },
    { additionalProperties: false },
  ),
]);
export type AssetSource = Static<typeof AssetSource>;

export const Asset = Type.Object(
  {
    id: Id,
    tenantId: Id,
    agentId: Id,
    /** Unique in the tenant; "host/name". */
    name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$' }),
    label: Type.Optional(Label),
    source: AssetSource,
    /** The policy attached to the asset itself; absent: what its tenant, district and city say. */
    policyId: Type.Optional(Id),
    state: Type.Union([Type.Literal('active'), Type.Literal('paused'), Type.Literal('retired')]),
    createdAt: Instant,
    version: Type.Integer({ minimum: 1 }),
  },
  { additionalProperties: false, $id: 'Asset' },
);
export type Asset = Static<typeof Asset>;

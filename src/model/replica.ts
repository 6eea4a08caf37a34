// The copy of a tenant's repository at another site, as the service saw it last.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Name } from './identifier.ts';
import { Instant } from './instant.ts';

/** missing: there is none. seeding: not whole yet. following: whole, and kept up. released: it goes its own way. unreachable: as it was
 *  seen before, if ever. */
const REPLICA_STATES = ['missing', 'seeding', 'following', 'released', 'unreachable'] as const;

export const Replica = Type.Object(
  {
    site: Name,
    state: Type.Unsafe<(typeof REPLICA_STATES)[number]>(Type.Union(REPLICA_STATES.map((state) => Type.Literal(state)))),
    asOf: Type.Optional(
      Type.Unsafe<Instant>({ ...Instant, description: 'what the repository held then is there, by the clock of who copies' }),
    ),
    snapshots: Type.Optional(Type.Integer({ minimum: 0 })),
    lackingSnapshots: Type.Optional(Type.Integer({ minimum: 0, description: 'snapshots of the repository that are not there' })),
    lackingBytes: Type.Optional(
      Type.Integer({ minimum: 0, description: 'what these have stored, as far as they are in the catalogue' }),
    ),
    lackingSince: Type.Optional(
      Type.Unsafe<Instant>({ ...Instant, description: 'when the oldest of them was finished; absent when none is lacking' }),
    ),
    lockedForSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'for how long nobody can delete there what arrives and what is there; absent: it can be deleted',
      }),
    ),
    seenAt: Type.Optional(Instant),
    trouble: Type.Optional(Type.String({ maxLength: 1000, description: 'why it could not be looked at' })),
  },
  { additionalProperties: false, $id: 'Replica' },
);
export type Replica = Static<typeof Replica>;

/** Where a site keeps copies: a directory or a bucket, as of a service's own repositories. */
export type CopySite = { readonly site: string; readonly location: string };

/** JSON of a list of replicas. */
export function replicasSetting(tenantId: string): string {
  return `replicas:${tenantId}`;
}

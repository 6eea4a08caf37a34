// What the catalogue knows of a snapshot: a cache of what the repository says.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Id } from './identifier.ts';
import { Instant } from './instant.ts';
import type { Snapshot } from './snapshot.ts';

export const RecoveryPoint = Type.Object(
  {
    /** 20 hex digits: the session's name in the repository. */
    snapshot: Type.String({ pattern: '^[0-9a-f]{20}$' }),
    tenantId: Id,
    assetId: Type.Optional(Id),
    assetName: Type.String({ maxLength: 300 }),
    runId: Type.Optional(Id),
    startedAt: Instant,
    endedAt: Instant,
    bytesScanned: Type.Integer({ minimum: 0 }),
    bytesStored: Type.Integer({ minimum: 0 }),
    hasWarnings: Type.Boolean(),
    tags: Type.Array(Type.String({ maxLength: 200 })),
    /** A hold keeps it whatever the policy says. */
    isHeld: Type.Boolean(),
    /** The last time that its content was read back and proved. */
    provenAt: Type.Optional(Instant),
    proof: Type.Optional(Type.String({ maxLength: 40, description: 'verify, restore-test' })),
    /** False: a verify found damage in it, or a rehearsal that it is not what it should be. */
    isSound: Type.Boolean(),
    /** When a rehearsal showed that it belongs to another history than its log: its bytes may be whole, and no verify makes it sound. */
    refutedAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'RecoveryPoint' },
);
export type RecoveryPoint = Static<typeof RecoveryPoint>;

/** What is known of a snapshot before anything of it was proved. */
export function recoveryPointOf(
  { id, asset, startedAt, endedAt, statistics, problems, tags }: Snapshot,
  known: { readonly tenantId: string; readonly assetId?: string | undefined; readonly runId?: string; readonly isHeld?: boolean },
): RecoveryPoint {
  const { tenantId, assetId, runId, isHeld = false } = known;
  return {
    snapshot: id,
    tenantId,
    ...(assetId === undefined ? {} : { assetId }),
    assetName: asset,
    ...(runId === undefined ? {} : { runId }),
    startedAt,
    endedAt,
    bytesScanned: statistics.bytesScanned,
    bytesStored: statistics.bytesStored,
    hasWarnings: problems > 0,
    tags: [...tags],
    isHeld,
    isSound: true,
  };
}

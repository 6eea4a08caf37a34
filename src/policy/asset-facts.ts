// What the judge is told about an asset.

import type { Instant } from '../model/instant.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';

export type JudgedPoint = Pick<RecoveryPoint, 'snapshot' | 'startedAt' | 'endedAt' | 'isSound' | 'provenAt'>;
export type JudgedRun = Pick<Run, 'id' | 'kind' | 'state' | 'dueAt' | 'startedAt' | 'endedAt' | 'fault'>;

/** What is known of an asset. All lists in any order. */
export type AssetFacts = {
  readonly assetId: string;
  readonly state: 'active' | 'paused' | 'retired';
  /** From when the promise counts: when the asset was made. */
  readonly createdAt: Instant;
  /** When its first backup ever succeeded, also when that was forgotten since. Absent: none ever did, and if there are points nevertheless,
   *  the asset is as old as `createdAt`. */
  readonly firstBackupAt?: Instant;
  /** All, or those that decide: the oldest and the newest sound one (dated after now: and the newest that is not), the one that was proved last, and damaged ones, the newest first. With
   *  copies at other sites, for each the oldest sound one that it lacks besides. */
  readonly points: readonly JudgedPoint[];
  /** How many there are, where `points` are not all. */
  readonly pointCount?: number;
  /** Of a database with a log: what the stored log proves that one can return to. Absent: there is no log, points are all there is. */
  readonly log?: {
    readonly earliestAt?: Instant;
    readonly latestAt?: Instant;
    /** Why what the server writes now is not taken: it is not the one whose log is stored. */
    readonly refused?: NonNullable<Run['fault']>;
  };
  /** The newest run of each kind that matters (capture, backup, restore-test, verify), over or not. */
  readonly lastRuns: readonly JudgedRun[];
  /** Absent: the agent is gone. */
  readonly agent?: {
    readonly label: string;
    readonly state: 'active' | 'revoked';
    readonly lastSeenAt?: Instant;
    /** Why its requests are refused, if they are. */
    readonly refused?: NonNullable<Run['fault']>;
  };
  /** When the next backup is due, if one is. */
  readonly nextBackupAt?: Instant;
  readonly copies: readonly SiteCopy[];
};

/** What a site holds of the asset. */
export type SiteCopy = {
  readonly site: string;
  /** `startedAt` of the newest recovery point that is there, whole, and so is everything older. */
  readonly newestPointAt?: Instant;
  /** How many sound ones it lacks, when the facts do not have them all. */
  readonly lackingCount?: number;
  /** Of a log: all that was stored until then is there. Absent: unknown. */
  readonly asOf?: Instant;
  /** For how long what arrives there cannot be deleted; absent: it can. */
  readonly immutabilityMs?: number;
};

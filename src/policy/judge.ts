// How an asset stands against what was promised. STUB: signatures first.

import type { Instant } from '../model/instant.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';
import type { EffectivePolicy } from './policy-terms.ts';

export type Objective = 'rpo' | 'window' | 'proof' | 'copies';

/** What is known of an asset. All lists in any order. */
export type AssetFacts = {
  readonly assetId: string;
  readonly state: 'active' | 'paused' | 'retired';
  /** From when the promise counts: when the asset was made. */
  readonly createdAt: Instant;
  /** When its first backup ever succeeded, also when that was forgotten since; absent: no backup ever did. */
  readonly firstBackupAt?: Instant;
  readonly points: readonly Pick<RecoveryPoint, 'snapshot' | 'startedAt' | 'endedAt' | 'isSound' | 'provenAt' | 'proof'>[];
  /** The newest run of each kind that matters, over or not: backup, restore-test, verify. */
  readonly lastRuns: readonly Pick<Run, 'id' | 'kind' | 'state' | 'dueAt' | 'createdAt' | 'startedAt' | 'endedAt' | 'fault'>[];
  /** Absent: the agent is gone. */
  readonly agent?: { readonly label: string; readonly state: 'active' | 'revoked'; readonly lastSeenAt?: Instant };
  /** When the next backup is due, if it is. */
  readonly nextBackupAt?: Instant;
  readonly copies: readonly SiteCopy[];
};

/** What a site holds of the asset. */
export type SiteCopy = {
  readonly site: string;
  /** `startedAt` of the newest recovery point that is there, whole. */
  readonly newestPointAt?: Instant;
  /** For how long what arrives there cannot be deleted; absent: it can. */
  readonly immutabilityMs?: number;
};

export type Judgement = {
  readonly assetId: string;
  readonly objective: Objective;
  readonly isKept: boolean;
  /** Whole seconds, as `promised`; absent when there is nothing to measure. */
  readonly measured?: number;
  readonly promised: number;
  /** Broken: from when on. Kept: until when, if nothing happens. */
  readonly turnsAt?: Instant;
  /** When broken: why, as far as it can be told, and what to do. */
  readonly cause?: string;
  readonly action?: string;
};

/** One judgement for each objective that the policy promises, in the order rpo, window, proof, copies. */
export function judgeAsset(_policy: EffectivePolicy, _facts: AssetFacts, _now: Date): readonly Judgement[] {
  throw new Error('not built yet');
}

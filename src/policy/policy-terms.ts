// What a policy means: durations in milliseconds, sizes in bytes, every entry with its time zone. The scheduler, the judge and the
// simulation look at this and never at a document.

import type { RetentionPolicy } from './retention.ts';

/** Local times of day, in minutes since midnight: [from, to). `to` <= `from` ends on the next day. */
export type TimeWindow = { readonly fromMinute: number; readonly toMinute: number };

/** When something is due: by a cron expression, or once in each period. */
export type Schedule =
  | {
      readonly kind: 'cron';
      readonly cron: string;
      readonly timeZone: string;
      readonly window?: TimeWindow;
      readonly jitterMs?: number;
      readonly startWithinMs?: number;
    }
  | {
      readonly kind: 'every';
      readonly everyMs: number;
      readonly timeZone: string;
      readonly window?: TimeWindow;
      readonly startWithinMs?: number;
    };

/** An entry of a policy's schedule. */
export type BackupSchedule = Schedule & {
  readonly kind: 'cron';
  readonly afterLogBytes?: number;
  readonly continuousLog?: boolean;
};

export type Objectives = { readonly rpoMs?: number; readonly rtoMs?: number; readonly proofAgeMs?: number };

export type RetentionTerms = RetentionPolicy & {
  /** Where its days begin. */
  readonly timeZone: string;
  /** Nothing is forgotten. */
  readonly legalHold: boolean;
};

export type CopyTerms = { readonly site: string; readonly immutabilityMs?: number; readonly maxLagMs?: number };

export type Period = { readonly everyMs: number; readonly timeZone: string; readonly window?: TimeWindow };

export type VerifyTerms = {
  readonly scrub?: Period;
  /** `share` in (0, 1]. */
  readonly sampled?: Period & { readonly share: number };
  readonly full?: Period;
  /** `target`: "scratch" or an absolute path. */
  readonly restoreTest?: Period & { readonly target: string };
};

export type BandwidthRule = {
  /** Absent: all day. */
  readonly window?: TimeWindow;
  /** Days on which the window begins, 0 = Monday; absent: all. */
  readonly days?: readonly number[];
  readonly timeZone: string;
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
};

export type LimitTerms = {
  readonly bandwidth: readonly BandwidthRule[];
  readonly perHostMax?: number;
  readonly perSiteMax?: number;
  /** 0 to 100, greater goes first; what no policy says is 50. */
  readonly priority: number;
};

export type HookCommand = {
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly onFailure: 'fail' | 'warn';
};

export type EffectivePolicy = {
  /** Of the lowest level that has a policy. */
  readonly name: string;
  readonly label?: string;
  readonly objectives: Objectives;
  readonly recoveryWindowMs?: number;
  /** Empty: nothing is backed up by itself. */
  readonly schedule: readonly BackupSchedule[];
  readonly retention: RetentionTerms;
  readonly copies: readonly CopyTerms[];
  readonly verify: VerifyTerms;
  readonly limits: LimitTerms;
  readonly hooks: { readonly before: readonly HookCommand[]; readonly after: readonly HookCommand[] };
  readonly prune?: Period;
  /** Who said it: "objectives.rpo" -> "district north: gold". */
  readonly origins: Readonly<Record<string, string>>;
};

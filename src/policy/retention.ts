// Which snapshots to keep: a pure plan, group by group. Nothing is forgotten here; `--dry-run` prints what this answers.

export type RetentionPolicy = {
  /** The newest so many. */
  readonly keepLast?: number;
  /** The newest of each of so many hours (days, ISO weeks, months, years) that have a snapshot at all, from the newest on. */
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  /** Every snapshot at most so much older than the newest of its group. */
  readonly keepWithinMs?: number;
  /** Every snapshot that has all tags of one of these lists. */
  readonly keepTags?: readonly (readonly string[])[];
};

/** What the plan looks at; a `Snapshot` of the model is one. */
export type RetentionSnapshot = {
  readonly id: string;
  readonly asset: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly tags: readonly string[];
};

export type ForgetOptions<S extends RetentionSnapshot> = {
  /** IANA name; decides where an hour, day, week, month and year begin. Default UTC. */
  readonly timeZone?: string;
  /** Snapshots that share it are judged together. Default: the asset. */
  readonly groupOf?: (snapshot: S) => string;
  /** A policy that keeps nothing of a group is refused unless this is true. */
  readonly allowEmptyGroups?: boolean;
};

export type KeptSnapshot<S> = {
  readonly snapshot: S;
  /** At least one; for people, e.g. "the newest of day 2026-03-29". */
  readonly reasons: readonly string[];
};
export type DroppedSnapshot<S> = { readonly snapshot: S; readonly reason: string };

export type ForgetGroup<S> = {
  readonly group: string;
  /** Newest first, both. */
  readonly kept: readonly KeptSnapshot<S>[];
  readonly dropped: readonly DroppedSnapshot<S>[];
};
export type ForgetPlan<S> = { readonly groups: readonly ForgetGroup<S>[] };

/** RETENTION_EMPTY when the policy has no rule; RETENTION_DROPS_ALL when nothing of a group would be kept; USAGE for a number or time
 *  zone that is none. */
export function planForget<S extends RetentionSnapshot>(
  _snapshots: readonly S[],
  _policy: RetentionPolicy,
  _options: ForgetOptions<S> = {},
): ForgetPlan<S> {
  throw new Error('not there yet');
}

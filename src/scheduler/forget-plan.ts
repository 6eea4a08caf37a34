// Which recovery points of an asset go: pure. The policy's retention says what may go; these stay whatever it says:
// - what is held, and everything while the policy has a legal hold;
// - the newest sound point, and the newest sound one whose backup had no warnings: the last whole state is nobody's to lose by a rule.
// A damaged point saves no other: rules count sound points only. It goes when it would go if it were sound, too. Nor does one that began after
// now, under a clock that was ahead: rules keep it and do not count it.

import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { RetentionTerms } from '../policy/policy-terms.ts';
import { isAhead, planForget, type RetentionSnapshot } from '../policy/retention.ts';

export type ForgetDecision = {
  readonly forgotten: readonly { readonly point: RecoveryPoint; readonly reason: string }[];
  readonly keptCount: number;
  readonly heldCount: number;
};

/** `points`: all of one asset. */
export function decideForget(points: readonly RecoveryPoint[], terms: RetentionTerms, now: Date): ForgetDecision {
  const heldCount = points.filter(({ isHeld }) => isHeld).length;
  if (points.length === 0 || terms.legalHold || !hasRule(terms)) return { forgotten: [], keptCount: points.length, heldCount };
  const sound = points.filter(({ isSound }) => isSound);
  const droppedOfSound = droppedOf(sound, terms, now);
  const droppedOfAll = droppedOf(points, terms, now);
  const safe = new Set([
    newestSound(points, now),
    newestSound(
      points.filter(({ hasWarnings }) => !hasWarnings),
      now,
    ),
  ]);
  const forgotten = points.flatMap((point) => {
    const reason = (point.isSound ? droppedOfSound : droppedOfAll).get(point.snapshot);
    return reason === undefined || point.isHeld || safe.has(point) ? [] : [{ point, reason }];
  });
  return { forgotten, keptCount: points.length - forgotten.length, heldCount };
}

function hasRule(terms: RetentionTerms): boolean {
  const { keepLast = 0, keepHourly = 0, keepDaily = 0, keepWeekly = 0, keepMonthly = 0, keepYearly = 0 } = terms;
  const { keepWithinMs = 0, keepTags = [] } = terms;
  return keepLast + keepHourly + keepDaily + keepWeekly + keepMonthly + keepYearly + keepWithinMs + keepTags.length > 0;
}

/** Snapshot -> why. */
function droppedOf(points: readonly RecoveryPoint[], terms: RetentionTerms, now: Date): ReadonlyMap<string, string> {
  const { timeZone, legalHold: _, ...policy } = terms;
  const snapshots = points.map(
    ({ snapshot, startedAt, tags }): RetentionSnapshot => ({ id: snapshot, asset: '', startedAt, tags }),
  );
  const { groups } = planForget(snapshots, policy, { timeZone, allowEmptyGroups: true, now });
  return new Map(groups.flatMap(({ dropped }) => dropped.map(({ snapshot, reason }) => [snapshot.id, reason])));
}

export function newestSound(points: readonly RecoveryPoint[], now: Date): RecoveryPoint | undefined {
  const sound = points.filter(({ isSound }) => isSound);
  return newest(sound.filter(({ startedAt }) => !isAhead(startedAt, now))) ?? newest(sound);
}

function newest(points: readonly RecoveryPoint[]): RecoveryPoint | undefined {
  return points.reduce<RecoveryPoint | undefined>(
    (best, point) => (best === undefined || order(point) > order(best) ? point : best),
    undefined,
  );
}

function order({ startedAt, snapshot }: RecoveryPoint): string {
  return `${startedAt} ${snapshot}`;
}

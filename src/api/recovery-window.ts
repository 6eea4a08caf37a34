// The recovery window of an asset as a list of intervals and gaps, each with what it is known by. Pure.
//
// An asset of files or a volume can be returned to its snapshots: single instants. Snapshots that follow each other within the promised RPO make
// an interval: within it nothing more than the RPO is lost, whichever instant one wants. A longer way between two of them, or from the last one
// to now, is a gap; its cause is looked for in the runs of that time.

import type { Static } from 'typebox';
import { Type } from '../base/type.ts';
import { Instant } from '../model/instant.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';

const closed = { additionalProperties: false } as const;
const Interval = Type.Object(
  {
    from: Instant,
    to: Instant,
    points: Type.Integer(),
    longestStepSeconds: Type.Number({ description: 'the most that is lost, whichever instant is wanted' }),
    evidence: Type.Object(
      {
        proven: Type.Integer({ description: 'points whose content was read back' }),
        newestProof: Type.Optional(
          Type.Object({ snapshot: Type.String(), provenAt: Instant, proof: Type.Optional(Type.String()) }, closed),
        ),
        withWarnings: Type.Integer({ description: 'points in which some entries are missing' }),
      },
      closed,
    ),
    log: Type.Optional(
      Type.Object(
        {
          timeline: Type.Integer(),
          from: Type.String({ description: 'position in the log' }),
          to: Type.String(),
          bases: Type.Array(Type.String(), { description: 'snapshots from which one gets there' }),
          lastTransaction: Type.Optional(
            Type.Object(
              { id: Type.Integer(), position: Type.String(), at: Instant },
              { ...closed, description: 'the evidence for the end: stored, with everything before it' },
            ),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
);
const Gap = Type.Object(
  {
    from: Instant,
    to: Instant,
    seconds: Type.Number(),
    isOpen: Type.Boolean({ description: 'it lasts until now' }),
    cause: Type.String(),
    runs: Type.Array(Type.String(), { description: 'that failed in it' }),
    damaged: Type.Array(Type.String(), { description: 'snapshots in it in which damage was found' }),
    log: Type.Optional(Type.Object({ timeline: Type.Integer(), from: Type.String(), to: Type.String() }, closed)),
  },
  closed,
);
export const RecoveryWindow = Type.Object(
  {
    assetId: Type.String(),
    at: Instant,
    kind: Type.Union([Type.Literal('snapshots'), Type.Literal('log')], {
      description: 'one returns to snapshots and not to instants between them; or, by a stored log, to any transaction',
    }),
    rpoSeconds: Type.Optional(Type.Number()),
    promisedWindowSeconds: Type.Optional(Type.Number()),
    earliest: Type.Optional(Instant),
    latest: Type.Optional(Instant),
    points: Type.Integer({ description: 'sound snapshots that one returns to, or begins from' }),
    intervals: Type.Array(Interval),
    gaps: Type.Array(Gap),
    missing: Type.Array(Type.String(), { description: 'what the policy promises and is not there' }),
  },
  { ...closed, $id: 'RecoveryWindow' },
);
export type RecoveryWindow = Static<typeof RecoveryWindow>;
type Interval = Static<typeof Interval>;
type Gap = Static<typeof Gap>;

/** Of any asset. */
export type AssetWindowFacts = {
  readonly assetId: string;
  readonly createdAt: string;
  readonly isPaused: boolean;
  readonly points: readonly RecoveryPoint[];
  readonly rpoMs?: number;
  readonly windowMs?: number;
};

export type WindowFacts = AssetWindowFacts & {
  /** Backup runs that did not succeed. */
  readonly failures: readonly Run[];
};

export function recoveryWindow(facts: WindowFacts, now: Date): RecoveryWindow {
  const { assetId, rpoMs, windowMs } = facts;
  const sound = facts.points.filter(({ isSound }) => isSound).sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  const groups = grouped(sound, rpoMs ?? Number.POSITIVE_INFINITY);
  const [first, last] = [sound[0], sound.at(-1)];
  const gaps = groups.slice(1).map((group, i) => gapOf(facts, groups[i]!.at(-1)!.startedAt, group[0]!.startedAt, false));
  const at = now.toISOString();
  const since = last?.startedAt ?? facts.createdAt;
  if (rpoMs !== undefined && now.getTime() - Date.parse(since) > rpoMs) gaps.push(gapOf(facts, since, at, true));
  return {
    assetId,
    at,
    kind: 'snapshots',
    ...(rpoMs === undefined ? {} : { rpoSeconds: rpoMs / 1000 }),
    ...(windowMs === undefined ? {} : { promisedWindowSeconds: windowMs / 1000 }),
    ...(first === undefined ? {} : { earliest: first.startedAt }),
    ...(last === undefined ? {} : { latest: last.startedAt }),
    points: sound.length,
    intervals: groups.map(intervalOf),
    gaps,
    missing: missingOf(facts, sound, now),
  };
}

function grouped(sound: readonly RecoveryPoint[], stepMsMax: number): RecoveryPoint[][] {
  const groups: RecoveryPoint[][] = [];
  for (const point of sound) {
    const group = groups.at(-1);
    const before = group?.at(-1);
    if (group !== undefined && before !== undefined && secondsBetween(before.startedAt, point.startedAt) * 1000 <= stepMsMax)
      group.push(point);
    else groups.push([point]);
  }
  return groups;
}

function intervalOf(points: readonly RecoveryPoint[]): Interval {
  return {
    from: points[0]!.startedAt,
    to: points.at(-1)!.startedAt,
    points: points.length,
    longestStepSeconds: points
      .slice(1)
      .reduce((most, { startedAt }, i) => Math.max(most, secondsBetween(points[i]!.startedAt, startedAt)), 0),
    evidence: { ...provenOf(points), withWarnings: points.filter(({ hasWarnings }) => hasWarnings).length },
  };
}

function gapOf({ points, failures, isPaused }: WindowFacts, from: string, to: string, isOpen: boolean): Gap {
  const failed = failures.filter(({ dueAt, endedAt }) => (endedAt ?? dueAt) > from && (endedAt ?? dueAt) <= to);
  const damaged = points
    .filter(({ isSound, startedAt }) => !isSound && startedAt > from && startedAt < to)
    .map(({ snapshot }) => snapshot);
  return {
    from,
    to,
    seconds: secondsBetween(from, to),
    isOpen,
    cause: causeOf(failed, damaged, isPaused && isOpen),
    runs: failed.slice(0, 20).map(({ id }) => id),
    damaged: damaged.slice(0, 20),
  };
}

function causeOf(failed: readonly Run[], damaged: readonly string[], isPaused: boolean): string {
  if (isPaused) return 'the asset is paused';
  const last = failed.reduce<Run | undefined>(
    (best, one) => (best === undefined || one.dueAt > best.dueAt ? one : best),
    undefined,
  );
  if (last !== undefined) {
    const fault = last.fault === undefined ? `it ended as ${last.state}` : `${last.fault.message} [${last.fault.code}]`;
    return `${failed.length === 1 ? 'a backup' : `${failed.length} backups`} did not succeed; the last: ${fault}`;
  }
  if (damaged.length > 0)
    return `${damaged.length === 1 ? 'a snapshot' : `${damaged.length} snapshots`} in it turned out to be damaged`;
  return 'no backup was made in this time';
}

function missingOf({ windowMs, createdAt }: WindowFacts, sound: readonly RecoveryPoint[], now: Date): string[] {
  const missing: string[] = [];
  const first = sound[0];
  if (first === undefined) missing.push('there is no sound recovery point at all');
  else if (sound.every(({ provenAt }) => provenAt === undefined)) missing.push('no recovery point was ever read back and proved');
  if (windowMs === undefined) return missing;
  const wanted = Math.max(now.getTime() - windowMs, Date.parse(createdAt));
  if (first !== undefined && Date.parse(first.startedAt) > wanted && now.getTime() - Date.parse(createdAt) > windowMs)
    missing.push(
      `the promised window begins at ${new Date(wanted).toISOString()}, the earliest recovery point is of ${first.startedAt}`,
    );
  return missing;
}

function secondsBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / 1000;
}

/** How many of them were restored and proven, and the one that was last. */
export function provenOf(points: readonly RecoveryPoint[]): Pick<Interval['evidence'], 'proven' | 'newestProof'> {
  const proofs = points.filter(({ provenAt }) => provenAt !== undefined);
  const [first] = proofs;
  if (first === undefined) return { proven: 0 };
  const { snapshot, provenAt, proof } = proofs.reduce((best, one) => (one.provenAt! > best.provenAt! ? one : best), first);
  return { proven: proofs.length, newestProof: { snapshot, provenAt: provenAt!, ...(proof === undefined ? {} : { proof }) } };
}

// How an asset stands against what was promised: pure, so that the same facts are always judged the same way.
//
// - rpo: the age of the newest sound recovery point (of its beginning: later changes are not in it). An asset without any has lost everything
//   since it was made. Of a database with a log: the age of the last transaction that its stored log holds without a hole.
//   When its server is another one than the one whose log is stored, nothing of what it does now can be had back: rpo and window are broken at once.
// - window: how far back the oldest sound point reaches. Before the first backup there was nothing to return to, so a young asset owes only its own
//   age; and the oldest point may be younger by one rpo, for points are that far apart. A damaged point within the window breaks it.
// - proof: the time since a point was last read back and proved, or since the first backup.
// - copies: for each promised site how long the oldest recovery point that it lacks has been waiting; and that nobody can delete there.
// What is dated after now was dated by a clock that was ahead: it tells nothing of how old it is, and counts for no age.
// What cannot be shown to be kept is broken: a promise is not kept by lack of facts.

import type { Instant } from '../model/instant.ts';
import type { AssetFacts, JudgedPoint, SiteCopy } from './asset-facts.ts';
import { DAY_MS, roughSpan } from './duration.ts';
import {
  copiesExplanation,
  type Explanation,
  logExplanation,
  proofExplanation,
  refusedLogExplanation,
  rpoExplanation,
  windowExplanation,
} from './judge-causes.ts';
import type { EffectivePolicy } from './policy-terms.ts';

/** Clocks of hosts may be ahead of ours by so much. */
export const AHEAD_MS_MAX = 5 * 60_000;

export type Objective = 'rpo' | 'window' | 'proof' | 'copies';

export type Judgement = {
  readonly assetId: string;
  readonly objective: Objective;
  readonly isKept: boolean;
  /** Whole seconds, as `promised`; absent when there is nothing to measure. */
  readonly measured?: number;
  readonly promised: number;
  /** Broken: since when, as far as time alone tells. Kept: until when, if nothing happens. */
  readonly turnsAt?: Instant;
  /** When broken: why, as far as it can be told, and what to do. */
  readonly cause?: string;
  readonly action?: string;
};

/** One judgement for each objective that the policy promises, in the order rpo, window, proof, copies. A retired asset is owed nothing. */
export function judgeAsset(policy: EffectivePolicy, facts: AssetFacts, now: Date): readonly Judgement[] {
  if (facts.state === 'retired') return [];
  const sound = facts.points.filter(({ isSound }) => isSound).sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
  const at = now.getTime();
  return [
    ...judgeRpo(policy, facts, sound, at),
    ...judgeWindow(policy, facts, sound, at),
    ...judgeProof(policy, facts, at),
    ...judgeCopies(policy, facts, sound, at),
  ];
}

function judgeRpo({ objectives }: EffectivePolicy, facts: AssetFacts, sound: readonly JudgedPoint[], now: number): Judgement[] {
  const { rpoMs } = objectives;
  if (rpoMs === undefined) return [];
  const { log } = facts;
  if (log !== undefined) {
    const judged = aged(facts, 'rpo', Date.parse(log.latestAt ?? facts.createdAt), rpoMs, now, () => logExplanation(facts, now));
    if (log.refused === undefined) return [judged];
    const { turnsAt: _, ...measured } = judged;
    return [{ ...measured, isKept: false, ...refusedLogExplanation(log.refused) }];
  }
  const newest = sound.find(({ startedAt }) => Date.parse(startedAt) <= now + AHEAD_MS_MAX);
  const since = Date.parse(newest?.startedAt ?? facts.createdAt);
  return [aged(facts, 'rpo', since, rpoMs, now, () => rpoExplanation(facts, newest, now))];
}

function judgeWindow(policy: EffectivePolicy, facts: AssetFacts, sound: readonly JudgedPoint[], now: number): Judgement[] {
  const { recoveryWindowMs, objectives } = policy;
  if (recoveryWindowMs === undefined) return [];
  const slackMs = objectives.rpoMs ?? DAY_MS;
  const beginning = Date.parse(facts.firstBackupAt ?? facts.createdAt);
  const owedFrom = Math.max(now - recoveryWindowMs, beginning);
  const oldest = sound.at(-1);
  const oldestAt = facts.log === undefined ? oldest?.startedAt : facts.log.earliestAt;
  const reachMs = oldestAt === undefined ? 0 : now - Date.parse(oldestAt);
  const damaged = facts.points.filter(({ isSound, startedAt }) => !isSound && Date.parse(startedAt) >= owedFrom);
  const isReached = now - reachMs <= owedFrom + slackMs;
  const refused = facts.log?.refused;
  const isKept = isReached && damaged.length === 0 && refused === undefined;
  const judged: Judgement = {
    assetId: facts.assetId,
    objective: 'window',
    isKept,
    measured: seconds(reachMs),
    promised: seconds(recoveryWindowMs),
  };
  if (isKept) return [judged];
  return [
    {
      ...judged,
      ...(refused === undefined ? windowExplanation(facts, oldest, damaged, now - owedFrom) : refusedLogExplanation(refused)),
    },
  ];
}

function judgeProof({ objectives }: EffectivePolicy, facts: AssetFacts, now: number): Judgement[] {
  const { proofAgeMs } = objectives;
  if (proofAgeMs === undefined) return [];
  // Only what still is sound was proved: a later verify that finds damage takes the proof back.
  const proofs = facts.points
    .flatMap(({ provenAt, isSound }) => (isSound && provenAt !== undefined ? [Date.parse(provenAt)] : []))
    .filter((provenAt) => provenAt <= now + AHEAD_MS_MAX);
  const last = proofs.length === 0 ? undefined : Math.max(...proofs);
  const since = last ?? Date.parse(facts.firstBackupAt ?? facts.createdAt);
  return [aged(facts, 'proof', since, proofAgeMs, now, () => proofExplanation(facts, last, now))];
}

function judgeCopies({ copies }: EffectivePolicy, facts: AssetFacts, sound: readonly JudgedPoint[], now: number): Judgement[] {
  if (copies.length === 0) return [];
  const judged = copies.map(({ site, immutabilityMs = 0, maxLagMs = DAY_MS }) => {
    const there = facts.copies.find((copy) => copy.site === site);
    const newestThere = there?.newestPointAt ?? '';
    const missing = sound.filter(({ startedAt }) => startedAt > newestThere);
    // Waiting since it was finished: before that there was nothing to copy.
    const pointLagMs = missing.length === 0 ? 0 : now - Math.min(...missing.map(({ endedAt }) => Date.parse(endedAt)));
    const lagMs = Math.max(pointLagMs, logLagMs(facts, there, now));
    const isDeletable = (there?.immutabilityMs ?? 0) < immutabilityMs;
    return { site, there, lagMs, maxLagMs, missing: there?.lackingCount ?? missing.length, isDeletable };
  });
  const broken = judged.filter(({ there, lagMs, maxLagMs, isDeletable }) => there === undefined || lagMs > maxLagMs || isDeletable);
  // What is measured is the site that stands worst against its own promise.
  const worst = [...judged].sort((a, b) => b.lagMs / b.maxLagMs - a.lagMs / a.maxLagMs)[0]!;
  const judgement: Judgement = {
    assetId: facts.assetId,
    objective: 'copies',
    isKept: broken.length === 0,
    measured: seconds(worst.lagMs),
    promised: seconds(worst.maxLagMs),
  };
  return [broken.length === 0 ? judgement : { ...judgement, ...copiesExplanation(broken) }];
}

/** Of a database: since when the copy may lack what was stored of the log. */
function logLagMs({ log }: AssetFacts, there: SiteCopy | undefined, now: number): number {
  if (log?.latestAt === undefined || there?.asOf === undefined || there.asOf >= log.latestAt) return 0;
  return Math.max(0, now - Date.parse(there.asOf));
}

/** An objective that only time breaks. */
function aged(
  { assetId }: AssetFacts,
  objective: Objective,
  since: number,
  promisedMs: number,
  now: number,
  explain: () => Explanation,
): Judgement {
  const ageMs = Math.max(0, now - since);
  const isKept = ageMs <= promisedMs;
  return {
    assetId,
    objective,
    isKept,
    measured: seconds(ageMs),
    promised: seconds(promisedMs),
    turnsAt: new Date(since + promisedMs).toISOString(),
    ...(isKept ? {} : explain()),
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** "web1/files: rpo broken: 3h12m, promised 1h" for people. */
export function judgementText({ objective, isKept, measured, promised }: Judgement): string {
  const words = { rpo: 'recovery point', window: 'recovery window', proof: 'last proof', copies: 'copies' };
  const is = measured === undefined ? 'unknown' : roughSpan(measured * 1000);
  return `${words[objective]} ${isKept ? 'kept' : 'broken'}: ${is}, promised ${roughSpan(promised * 1000)}`;
}

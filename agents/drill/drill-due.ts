// Whether a plan has to be rehearsed again: what counts is signed evidence of a drill that has succeeded, by a key that somebody vouches for, no
// older than the plan asks for. Drills that failed, were void or never finished are told, and count for nothing.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { planDigest } from '../../src/plan/plan-digest.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { parseDuration } from '../../src/policy/duration.ts';
import { PACK_NAME } from './drill.ts';
import { readRecord } from './drill-record.ts';

export type PastDrill = {
  readonly drill: string;
  /** RFC 3339. */
  readonly at: string;
  /** succeeded, failed, void; "running", "not finished"; "refused": its pack is not what was signed, or by whom nobody knows. */
  readonly outcome: string;
  /** Whether the plan was the very one. */
  readonly isSamePlan: boolean;
};

export type DrillDue = {
  readonly isDue: boolean;
  readonly why: string;
  readonly last: PastDrill | undefined;
  readonly lastSucceeded: PastDrill | undefined;
  /** RFC 3339; null when the plan says nothing of how often. */
  readonly dueAt: string | null;
};

/** Of the plan, oldest first. */
export function pastDrills(directory: string, plan: PlanDocument, trusted: readonly Uint8Array[]): PastDrill[] {
  const digest = planDigest(plan);
  const past = readdirSync(directory).flatMap((drill): PastDrill[] => {
    const path = join(directory, drill);
    const record = readRecord(path);
    if (record === undefined || record.plan !== plan.name) return [];
    if (record.state !== 'finished') return [{ drill, at: record.at, outcome: record.state, isSamePlan: false }];
    // Never the record's word.
    const pack = packIn(path, trusted);
    if (pack?.body.kind !== 'drill' || pack.body.plan.name !== plan.name)
      return [{ drill, at: record.at, outcome: 'refused', isSamePlan: false }];
    const outcome = String(pack.body.claims.claims.find(({ id }) => id === 'outcome')?.value.outcome);
    return [{ drill, at: pack.body.createdAt, outcome, isSamePlan: pack.body.planDigest === digest }];
  });
  return past.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

export function drillDue({ drill }: PlanDocument, past: readonly PastDrill[], now: Date): DrillDue {
  const last = past.at(-1);
  const lastSucceeded = past.findLast(({ outcome }) => outcome === 'succeeded');
  const every = drill?.every;
  if (every === undefined)
    return { isDue: false, why: 'the plan does not say how often it is rehearsed', last, lastSucceeded, dueAt: null };
  if (lastSucceeded === undefined)
    return { isDue: true, why: 'no drill of it has succeeded yet', last, lastSucceeded, dueAt: now.toISOString() };
  const dueAt = new Date(Date.parse(lastSucceeded.at) + parseDuration(every)!);
  const isDue = dueAt.getTime() <= now.getTime();
  const why = isDue ? `the last one that succeeded is older than ${every}` : `the last one is not older than ${every}`;
  return { isDue, why, last, lastSucceeded, dueAt: dueAt.toISOString() };
}

function packIn(path: string, trusted: readonly Uint8Array[]) {
  try {
    const attachment = (name: string): Uint8Array => readFileSync(join(path, name));
    const { pack, isTrusted, problems } = verifyEvidence({ text: readFileSync(join(path, PACK_NAME)), trusted, attachment });
    return isTrusted && problems.length === 0 ? pack : undefined;
  } catch {
    return undefined;
  }
}

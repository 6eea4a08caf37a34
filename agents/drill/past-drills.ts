// What the drills of a plan have come to, by the evidence that lies in a directory: signed, by a key that somebody vouches for. See src/evidence/drill-due.ts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PastDrill } from '../../src/evidence/drill-due.ts';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { planDigest } from '../../src/plan/plan-digest.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import { PACK_NAME } from './drill.ts';
import { readRecord } from './drill-record.ts';

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

function packIn(path: string, trusted: readonly Uint8Array[]) {
  try {
    const attachment = (name: string): Uint8Array => readFileSync(join(path, name));
    const { pack, isTrusted, problems } = verifyEvidence({ text: readFileSync(join(path, PACK_NAME)), trusted, attachment });
    return isTrusted && problems.length === 0 ? pack : undefined;
  } catch {
    return undefined;
  }
}

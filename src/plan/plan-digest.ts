// What a plan is called when it must be that one and no other: on its printed runbook, in the journal of a run, in the evidence.

import { canonicalJson } from '../base/canonical-json.ts';
import { objectId } from '../codec/chunk-id.ts';
import type { PlanDocument } from './plan-document.ts';

/** 64 hex: B3 of its canonical JSON. Comments and the order of keys do not count. */
export function planDigest(plan: PlanDocument): string {
  return Buffer.from(objectId(Buffer.from(canonicalJson(plan)))).toString('hex');
}

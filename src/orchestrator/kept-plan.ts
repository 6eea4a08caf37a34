// Plans that were declared, in the registry by their digest: whoever goes on with a failover, at whichever site, has the very plan.

import { gunzipSync, gzipSync } from 'node:zlib';
import { canonicalJson } from '../base/canonical-json.ts';
import { Fault } from '../base/faults.ts';
import { planDigest } from '../plan/plan-digest.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import type { Registry } from '../registry/registry.ts';

/** Answers its digest. */
export async function keepPlan(registry: Registry, plan: PlanDocument): Promise<string> {
  const digest = planDigest(plan);
  // 'conflict': it is there already.
  await registry.swap(keyOf(plan.name, digest), gzipSync(canonicalJson(plan)).toString('base64'), 0);
  return digest;
}

/** REGISTRY_DAMAGED when it is not the plan of that digest. */
export async function keptPlan(registry: Registry, name: string, digest: string): Promise<PlanDocument> {
  const key = keyOf(name, digest);
  const found = await registry.read(key);
  const plan = found && (JSON.parse(gunzipSync(Buffer.from(found.value, 'base64')).toString('utf8')) as PlanDocument);
  if (plan === undefined || planDigest(plan) !== digest)
    throw new Fault('REGISTRY_DAMAGED', `The register ${key} does not hold the plan that was declared`);
  return plan;
}

function keyOf(name: string, digest: string): string {
  return `dr/plans/${name}/plan-${digest.slice(0, 32)}`;
}

// What the policy says about how a run of an agent is done, at the moment in which it is claimed.

import type { Asset } from '../model/asset.ts';
import type { Run } from '../model/run.ts';
import { bandwidthAt } from '../policy/policy-tasks.ts';
import type { HookCommand } from '../policy/policy-terms.ts';
import type { PolicyBook } from './policy-book.ts';

export type AgentHook = { argv: string[]; timeoutSeconds: number };
/** As `RunTerms` of the agent protocol. */
export type AgentTerms = {
  uploadBytesPerSecond?: number;
  downloadBytesPerSecond?: number;
  before?: AgentHook[];
  after?: AgentHook[];
};

export function runTerms(book: PolicyBook, now: () => Date): (run: Run, asset: Asset | undefined) => Promise<AgentTerms> {
  return async (run, asset) => {
    const tenant = book.tenant(run.tenantId);
    if (tenant === undefined || asset === undefined) return {};
    const { policy } = book.inForce(tenant, asset);
    const terms: AgentTerms = { ...bandwidthAt(policy, now()) };
    if (run.kind !== 'backup') return terms;
    const { before, after } = policy.hooks;
    if (before.length > 0) terms.before = before.map(hookOf);
    if (after.length > 0) terms.after = after.map(hookOf);
    return terms;
  };
}

function hookOf({ command, timeoutMs }: HookCommand): AgentHook {
  return { argv: [...command], timeoutSeconds: Math.max(1, Math.ceil(timeoutMs / 1000)) };
}

// What the policy in force says about how a run of an agent is done: how fast, and which commands around it.

import type { Asset } from '../model/asset.ts';
import type { Run } from '../model/run.ts';
import { bandwidthAt } from '../policy/policy-tasks.ts';
import type { HookCommand } from '../policy/policy-terms.ts';
import type { PolicyBook } from './policy-book.ts';

export type Terms = {
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
  readonly hooks?: { readonly before: Command[]; readonly after: Command[] };
};

type Command = Omit<HookCommand, 'command'> & { readonly command: string[] };

export function runTerms(book: PolicyBook, now: () => Date): (run: Run, asset: Asset | undefined) => Promise<Terms> {
  return async (run, asset) => {
    // What it says now; and also where no scheduler has looked yet, or none runs: a backup without its hooks may be worth nothing.
    await book.refreshTenant(run.tenantId);
    const tenant = book.tenant(run.tenantId);
    if (tenant === undefined) return {};
    const { policy } = book.inForce(tenant, asset);
    // Hooks stop and start what writes: around a backup only.
    const hooks =
      run.kind === 'backup'
        ? { hooks: { before: policy.hooks.before.map(asMessage), after: policy.hooks.after.map(asMessage) } }
        : {};
    return { ...bandwidthAt(policy, now()), ...hooks };
  };
}

function asMessage({ command, ...rest }: HookCommand): Command {
  return { ...rest, command: [...command] };
}

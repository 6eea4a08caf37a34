// What is done to a tenant's repository as a whole, put together from the policies of its assets: whatever any of them asks for happens at least
// as often, and in at least as large a share, as it asks.

import { type PolicyTask, tasksOf } from '../policy/policy-tasks.ts';
import type { EffectivePolicy, Schedule } from '../policy/policy-terms.ts';

const DAY_MS = 86_400_000;
/** Where no policy says how often: space of what was forgotten must come back some day. */
const PRUNE: PolicyTask = {
  name: 'prune',
  kind: 'prune',
  schedules: [{ kind: 'every', everyMs: 7 * DAY_MS, timeZone: 'UTC' }],
  parameters: {},
};

export function isRepositoryTask({ kind }: PolicyTask): boolean {
  return kind === 'prune' || kind === 'verify' || kind === 'forget';
}

/** `policies`: those in force in the tenant, each once. */
export function repositoryTasks(policies: readonly EffectivePolicy[]): PolicyTask[] {
  const byName = new Map<string, PolicyTask>();
  for (const task of policies.flatMap((policy) => tasksOf(policy)).filter(isRepositoryTask)) {
    const known = byName.get(task.name);
    byName.set(task.name, known === undefined ? task : stricter(known, task));
  }
  if (!byName.has(PRUNE.name)) byName.set(PRUNE.name, PRUNE);
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function stricter(a: PolicyTask, b: PolicyTask): PolicyTask {
  const [first, second] = periodOf(b) < periodOf(a) ? [b, a] : [a, b];
  const shares = [a, b].map(({ parameters }) => parameters.share).filter((share) => typeof share === 'number');
  return shares.length === 0 && second.parameters.share === undefined
    ? first
    : { ...first, parameters: { ...first.parameters, share: Math.max(...shares) } };
}

/** A schedule by cron comes before all: which of two is stricter cannot be told, so both stay only by being the first. */
function periodOf({ schedules }: PolicyTask): number {
  return Math.min(...schedules.map((schedule: Schedule) => (schedule.kind === 'every' ? schedule.everyMs : 0)));
}

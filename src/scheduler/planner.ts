// Queues runs when they are due. What is due next lies in a heap; each minute the lists of assets and policies are looked through for what
// has changed, and only that is worked out anew. So a tick costs what is due, not what there is.
//
// Everything here is a hint: whether a run is queued is decided in the transaction of due-task.ts, by what the catalogue says then. Any number
// of planners may run on one catalogue.

import { setImmediate as others } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { eachItem } from '../model/page-items.ts';
import { nextDue } from '../policy/due-times.ts';
import { type PolicyTask, tasksOf } from '../policy/policy-tasks.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import type { ClockState } from './clock-watch.ts';
import { DueHeap } from './due-heap.ts';
import { type DueTask, doneUntilOf, keyOf, type PlanOutcome, planTask, seedOf } from './due-task.ts';
import type { PolicyBook } from './policy-book.ts';
import { isRepositoryTask, repositoryTasks } from './repository-tasks.ts';

/** Due tasks that share a transaction. */
const BATCH = 32;
/** After so many assets others get their turn. */
const YIELD_EVERY = 200;
/** Where nothing is due any more (a schedule that ends, none today), it is asked again after so long. */
const NEVER_MS = 24 * 3_600_000;
const PRIORITY = { 'restore-test': 30, verify: 20, prune: 20, 'catalog-backup': 80 } as const;

export type PlannerOptions = {
  readonly catalog: Catalog;
  readonly book: PolicyBook;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Pick<Logger, 'error'>;
  /** Tasks beside those of policies: the backup of the catalogue. */
  readonly ownTasks: () => Promise<readonly DueTask[]>;
};

export type Planned = {
  readonly queued: number;
  readonly waiting: number;
  /** Agents that have something new in the queue. */
  readonly agents: ReadonlySet<string>;
};

/** A database whose log is to be captured, or is not any more. */
export type Database = { readonly asset: Asset; readonly isWanted: boolean };

type Subject = { readonly stamp: string; readonly keys: readonly string[] };

export class Planner {
  readonly #options: PlannerOptions;
  readonly #heap = new DueHeap<string>();
  readonly #tasks = new Map<string, DueTask>();
  readonly #subjects = new Map<string, Subject>();
  #epoch: number | undefined;
  #databases: readonly Database[] = [];

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** As they were found by the last look. */
  get databases(): readonly Database[] {
    return this.#databases;
  }

  /** Tasks that have due times. */
  get size(): number {
    return this.#heap.size;
  }

  get nextMs(): number | undefined {
    return this.#heap.nextMs;
  }

  /** Looks for assets and policies that have changed. `book` was refreshed before. */
  async refresh(clock: ClockState): Promise<void> {
    const { catalog, book, ownTasks } = this.#options;
    if (this.#epoch !== undefined && this.#epoch !== clock.epoch) this.#subjects.clear();
    this.#epoch = clock.epoch;
    const seen = new Set<string>();
    const byTenant = new Map<string, Map<string, EffectivePolicy>>();
    const databases: Database[] = [];
    let count = 0;
    for await (const asset of eachItem((page) => catalog.assets.listAll(page))) {
      if (++count % YIELD_EVERY === 0) await others();
      const tenant = book.tenant(asset.tenantId);
      if (asset.source.kind === 'postgres')
        databases.push({ asset, isWanted: tenant?.state === 'active' && asset.state === 'active' });
      if (tenant === undefined || tenant.state !== 'active' || asset.state === 'retired') continue;
      const { stamp, policy } = book.inForce(tenant, asset);
      byTenant.set(tenant.id, (byTenant.get(tenant.id) ?? new Map()).set(stamp, policy));
      if (asset.state !== 'active') continue;
      seen.add(asset.id);
      await this.#follow(asset.id, `${asset.agentId} ${stamp}`, () => tasksOfAsset(asset, policy));
    }
    this.#databases = databases;
    for (const [tenantId, policies] of byTenant) {
      seen.add(tenantId);
      const stamp = [...policies.keys()].sort().join('|');
      await this.#follow(tenantId, stamp, () =>
        repositoryTasks([...policies.values()]).map((task) => ofRepository(tenantId, task)),
      );
    }
    for (const task of await ownTasks()) {
      seen.add(keyOf(task));
      await this.#follow(keyOf(task), JSON.stringify(task.task.schedules), () => [task]);
    }
    for (const subject of this.#subjects.keys()) if (!seen.has(subject)) this.#drop(subject);
  }

  /** Queues what is due. */
  async planDue(clock: ClockState, signal?: AbortSignal): Promise<Planned> {
    const { now } = this.#options;
    let [queued, waiting] = [0, 0];
    const agents = new Set<string>();
    for (;;) {
      const keys = this.#heap.takeDue(now().getTime(), BATCH);
      if (keys.length === 0 || signal?.aborted === true) {
        for (const key of keys) this.#heap.set(key, now().getTime());
        return { queued, waiting, agents };
      }
      const tasks = keys.flatMap((key) => this.#tasks.get(key) ?? []);
      for (const { kind, run } of await this.#plan(tasks, clock)) {
        if (kind === 'queued') queued++;
        if (kind === 'queued' && run?.agentId !== undefined) agents.add(run.agentId);
        if (kind === 'waiting') waiting++;
      }
      await others();
    }
  }

  async #plan(tasks: readonly DueTask[], clock: ClockState): Promise<readonly PlanOutcome[]> {
    const { catalog, now, random, log } = this.#options;
    const at = now();
    try {
      const outcomes = await catalog.transaction(async (tables) => {
        const some: PlanOutcome[] = [];
        for (const task of tasks) some.push(await planTask(tables, task, { now: at, clock, random }));
        return some;
      });
      for (const [n, { doneUntil, kind }] of outcomes.entries())
        this.#schedule(tasks[n]!, kind === 'lost' ? undefined : doneUntil, at);
      return outcomes;
    } catch (error) {
      // One that cannot be planned must not keep the others from it; and it is tried again with the next refresh.
      if (tasks.length > 1) {
        const outcomes: PlanOutcome[] = [];
        for (const task of tasks) outcomes.push(...(await this.#plan([task], clock)));
        return outcomes;
      }
      const [task] = tasks;
      log.error(
        { err: error, tenant: task!.tenantId, asset: task!.asset?.id, task: task!.task.name },
        'a run could not be planned',
      );
      this.#heap.set(keyOf(task!), at.getTime() + 60_000);
      return [];
    }
  }

  async #follow(subject: string, stamp: string, tasksOfSubject: () => readonly DueTask[]): Promise<void> {
    const known = this.#subjects.get(subject);
    if (known?.stamp === stamp) return;
    const tasks = tasksOfSubject();
    const keys = tasks.map(keyOf);
    for (const key of known?.keys ?? []) if (!keys.includes(key)) this.#forget(key);
    this.#subjects.set(subject, { stamp, keys });
    const at = this.#options.now();
    for (const task of tasks) {
      this.#tasks.set(keyOf(task), task);
      this.#schedule(task, await doneUntilOf(this.#options.catalog, task), at);
    }
  }

  /** When to look at it next. Undefined `doneUntil`: now, for the catalogue knows more. */
  #schedule(task: DueTask, doneUntil: Date | undefined, now: Date): void {
    const key = keyOf(task);
    if (!this.#tasks.has(key)) return;
    if (doneUntil === undefined || doneUntil.getTime() > now.getTime()) {
      // Followed by another one's faster clock, or by a clock that was put back since.
      this.#heap.set(key, doneUntil === undefined ? now.getTime() : now.getTime() + 60_000);
      return;
    }
    const next = nextDue(task.task.schedules, doneUntil, seedOf(task));
    this.#heap.set(key, next?.due.getTime() ?? now.getTime() + NEVER_MS);
  }

  #drop(subject: string): void {
    for (const key of this.#subjects.get(subject)?.keys ?? []) this.#forget(key);
    this.#subjects.delete(subject);
  }

  #forget(key: string): void {
    this.#tasks.delete(key);
    this.#heap.delete(key);
  }
}

function tasksOfAsset(asset: Asset, policy: EffectivePolicy): DueTask[] {
  return tasksOf(policy)
    .filter((task) => !isRepositoryTask(task))
    .map((task) => ({
      tenantId: asset.tenantId,
      asset: { id: asset.id, agentId: asset.agentId, hasLog: asset.source.kind === 'postgres' },
      task,
      priority: task.kind === 'restore-test' ? PRIORITY['restore-test'] : policy.limits.priority,
      limits: limitsOf(policy),
    }));
}

function limitsOf({ limits: { perHostMax, perSiteMax } }: EffectivePolicy): NonNullable<DueTask['limits']> {
  return { ...(perHostMax === undefined ? {} : { perHostMax }), ...(perSiteMax === undefined ? {} : { perSiteMax }) };
}

function ofRepository(tenantId: string, task: PolicyTask): DueTask {
  return { tenantId, task, priority: task.kind === 'prune' ? PRIORITY.prune : PRIORITY.verify };
}

export function catalogBackupTask(tenantId: string): DueTask {
  const task: PolicyTask = {
    name: 'catalog-backup',
    kind: 'catalog-backup',
    schedules: [{ kind: 'every', everyMs: 24 * 3_600_000, timeZone: 'UTC' }],
    parameters: {},
  };
  return { tenantId, task, priority: PRIORITY['catalog-backup'] };
}

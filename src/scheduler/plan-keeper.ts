// Sees to it that plans are looked at every day, and rehearsed as often as they say. What counts for a rehearsal is evidence of one that has
// succeeded; one that has failed is repeated after a day, not at once, and a plan that has changed is looked at again at once.

import type { Logger } from 'pino';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import { drillDue } from '../evidence/drill-due.ts';
import type { Evidence } from '../model/evidence.ts';
import { instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { StoredPlan } from '../model/plan.ts';
import type { RunKind } from '../model/run-kind.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { readPlan } from '../plan/read-plan.ts';
import { DAY_MS } from '../policy/duration.ts';
import { agentAtSite, openPlanRun, planRun } from './plan-runs.ts';

const AGAIN_MS = DAY_MS;

export type PlanKeeperOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Pick<Logger, 'warn'>;
};

export class PlanKeeper {
  readonly #options: PlanKeeperOptions;

  constructor(options: PlanKeeperOptions) {
    this.#options = options;
  }

  /** Queues what is due. Answers the agents that have something new. */
  async keep(): Promise<ReadonlySet<string>> {
    const { catalog, log } = this.#options;
    const agents = new Set<string>();
    for await (const plan of eachItem((page) => catalog.plans.listAll(page))) {
      const read = readPlan(plan.text);
      if (read.kind === 'plan') for (const agent of await this.#keepOne(plan, read.plan)) agents.add(agent);
      else log.warn({ plan: plan.name, tenant: plan.tenantId }, 'a plan that was stored cannot be read by this version');
    }
    return agents;
  }

  async #keepOne(plan: StoredPlan, document: PlanDocument): Promise<readonly string[]> {
    const { catalog } = this.#options;
    const kinds: RunKind[] = [];
    if (await this.#isToLookAt(plan)) kinds.push('readiness');
    if (await this.#isToRehearse(plan, document)) kinds.push('drill');
    if (kinds.length === 0 || (await catalog.tenants.get(plan.tenantId))?.state !== 'active') return [];
    const agent = await agentAtSite(catalog, plan.tenantId, document.sites.target);
    if (agent === undefined) return [];
    return catalog.transaction(async (tables) => {
      const queued: string[] = [];
      for (const kind of kinds) if (await this.#queue(tables, plan, kind, agent.id)) queued.push(agent.id);
      return queued;
    });
  }

  async #queue(tables: CatalogTables, plan: StoredPlan, kind: RunKind, agentId: string): Promise<boolean> {
    const { now, random } = this.#options;
    const at = now();
    // Another scheduler may have been first.
    const isMeant = (await tables.plans.byName(plan.tenantId, plan.name))?.version === plan.version;
    if (!isMeant || (await openPlanRun(tables, plan, kind)) !== undefined || !(await this.#isTime(tables, plan, kind)))
      return false;
    await tables.runs.add(planRun({ plan, kind, agentId, requestedBy: 'scheduler', now: at, random }), instantOf(at));
    await tables.settings.set(settingOf(plan, kind), `${instantOf(at)} ${plan.version}`);
    return true;
  }

  async #isToLookAt(plan: StoredPlan): Promise<boolean> {
    return (await this.#isTime(this.#options.catalog, plan, 'readiness')) && (await this.#hasNone(plan, 'readiness'));
  }

  async #isToRehearse(plan: StoredPlan, document: PlanDocument): Promise<boolean> {
    const { catalog, now } = this.#options;
    if (document.drill?.every === undefined || !(await this.#isTime(catalog, plan, 'drill'))) return false;
    return isDrillDue(plan, document, await newestSuccess(catalog, plan), now()) && (await this.#hasNone(plan, 'drill'));
  }

  async #hasNone(plan: StoredPlan, kind: RunKind): Promise<boolean> {
    return (await openPlanRun(this.#options.catalog, plan, kind)) === undefined;
  }

  /** A day since the last one that was queued here, or another version of the plan. */
  async #isTime({ settings }: Pick<CatalogTables, 'settings'>, plan: StoredPlan, kind: RunKind): Promise<boolean> {
    const [at, version] = (await settings.get(settingOf(plan, kind)))?.split(' ') ?? [];
    if (at === undefined || Number(version) !== plan.version) return true;
    return Math.abs(this.#options.now().getTime() - Date.parse(at)) >= AGAIN_MS;
  }
}

/** Of the newest drill of a plan that has succeeded: it is all that counts. */
export async function newestSuccess(
  { evidence }: Pick<CatalogTables, 'evidence'>,
  { tenantId, name }: StoredPlan,
): Promise<Evidence | undefined> {
  return (await evidence.list(tenantId, { plan: name, kind: 'drill', outcome: 'succeeded' }, { limit: 1 })).items[0];
}

export function isDrillDue(plan: StoredPlan, document: PlanDocument, newest: Evidence | undefined, now: Date): boolean {
  const past = newest && {
    drill: newest.id,
    at: newest.createdAt,
    outcome: newest.outcome,
    isSamePlan: newest.planDigest === plan.digest,
  };
  return drillDue(document, past === undefined ? [] : [past], now).isDue;
}

function settingOf({ tenantId, name }: StoredPlan, kind: RunKind): string {
  return `plan-run:${tenantId}:${name}:${kind}`;
}

// Gauges of plans of disaster recovery: whether each could be carried out now, and what its rehearsals have proven. Labels: tenant and plan, up to a
// number of plans.

import { Gauge, type Registry } from 'prom-client';
import type { Catalog } from '../catalog/catalog.ts';
import { isFailoverOver } from '../model/failover.ts';
import { eachItem } from '../model/page-items.ts';
import type { StoredPlan } from '../model/plan.ts';
import { readPlan } from '../plan/read-plan.ts';
import { DAY_MS } from '../policy/duration.ts';
import { isDrillDue, newestSuccess } from '../scheduler/plan-keeper.ts';
import { withRefusal } from './failover-refusal.ts';

/** A look that is older says nothing any more: there is one every day. */
const LOOK_MS_MAX = 2 * DAY_MS;

export class PlanMetrics {
  readonly #gauges: ReturnType<typeof makeGauges>;

  constructor(registers: Registry[]) {
    this.#gauges = makeGauges(registers);
  }

  async read(catalog: Catalog, now: Date, plansMax: number): Promise<void> {
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    let count = 0;
    for await (const plan of eachItem((page) => catalog.plans.listAll(page))) {
      if (++count > plansMax) return;
      await this.#show(catalog, plan, now);
    }
  }

  async #show(catalog: Catalog, plan: StoredPlan, now: Date): Promise<void> {
    const { readiness, lastSuccess, rto, due, failover, blocked } = this.#gauges;
    const labels = { tenant: plan.tenantId, plan: plan.name };
    readiness.set(labels, isReady(plan, now) ? 1 : 0);
    const newest = await newestSuccess(catalog, plan);
    if (newest !== undefined) lastSuccess.set(labels, (now.getTime() - Date.parse(newest.createdAt)) / 1000);
    if (newest?.rtoMs !== undefined) rto.set(labels, newest.rtoMs / 1000);
    const newestFailover = await catalog.failovers.newest(plan.tenantId, plan.name);
    const current = newestFailover && (await withRefusal(catalog, newestFailover));
    if (current !== undefined && !isFailoverOver(current.state)) {
      failover.set({ ...labels, state: current.state }, 1);
      blocked.set(labels, (current.journal?.blockedBy.length ?? 0) > 0 ? 1 : 0);
    }
    const read = readPlan(plan.text);
    if (read.kind === 'plan') due.set(labels, isDrillDue(plan, read.plan, newest, now) ? 1 : 0);
  }
}

function isReady({ readiness, version }: StoredPlan, now: Date): boolean {
  if (readiness === undefined || readiness.version !== version) return false;
  return readiness.isReady && now.getTime() - Date.parse(readiness.at) <= LOOK_MS_MAX;
}

function makeGauges(registers: Registry[]) {
  const gauge = <L extends string>(name: string, help: string, ...more: L[]) =>
    new Gauge({ name, help, labelNames: ['tenant', 'plan', ...more] as const, registers });
  return {
    readiness: gauge('holdfast_plan_readiness', '1: the plan could be carried out now; 0 also when nobody has looked for two days'),
    lastSuccess: gauge('holdfast_drill_last_success_seconds', 'Age of the newest evidence of a drill that has succeeded'),
    rto: gauge('holdfast_drill_rto_seconds', 'From the declaration to the first write, in that drill'),
    failover: gauge('holdfast_failover_state', '1 for the state of a failover that is asked for or under way', 'state'),
    blocked: gauge('holdfast_failover_blocked', '1: a failover that is under way waits for somebody'),
    due: gauge('holdfast_drill_due', '1: the plan is to be rehearsed now, as often as it says'),
  };
}

// What the stored logs of databases say about the instants that one can return to. The evidence is the log itself, never what a capture claims
// about it: each look reads the register and the ends of the log from the store. A base backup in which damage was found promises nothing.

import type { Catalog } from '../catalog/catalog.ts';
import { type ClusterFacts, readClusterFacts } from '../engine/cluster-facts.ts';
import {
  type NoPlan,
  planRecovery,
  type RecoveryFacts,
  type RecoveryInterval,
  type RecoveryPlan,
  type RecoveryTarget,
  recoveryWindow,
  wayFrom,
} from '../engine/recovery-plan.ts';
import type { Asset } from '../model/asset.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';

/** Those who ask within this time get the same answer. */
const FRESH_MS = 2_000;
const REMEMBERED_MAX = 10_000;
/** A store that hangs keeps nobody waiting for longer who can do with what was known before. */
const FIRST_LOOK_MS = 10_000;

export type LogWindow = {
  /** Unix milliseconds. */
  readonly readAt: number;
  /** Of the cluster, 16 hex; undefined: there is no log yet. */
  readonly incarnation: string | undefined;
  readonly timeline: number;
  readonly intervals: readonly RecoveryInterval[];
  readonly gaps: readonly LogGapFact[];
  /** A way leads from a base backup to the end of the log. */
  readonly isAnchored: boolean;
  /** End of the stored log. */
  readonly end: number;
};
export type LogTarget = RecoveryTarget;
export type LogPlan = RecoveryPlan & { readonly incarnation: string };
export type LogGapFact = ClusterFacts['facts']['gaps'][number];

export type LogWindowsOptions = {
  readonly catalog: Pick<Catalog, 'recoveryPoints'>;
  readonly tenants: Pick<TenantRepositories, 'use'>;
  readonly now: () => Date;
};

type Known = { readonly window: Promise<LogWindow>; readonly askedMs: number };

export class LogWindows {
  readonly #options: LogWindowsOptions;
  readonly #known = new Map<string, Known>();
  readonly #proved = new Map<string, LogWindow>();

  constructor(options: LogWindowsOptions) {
    this.#options = options;
  }

  /** As it is now, or was a moment ago; `maxAgeMs`: as old as this is good enough. */
  of(asset: Pick<Asset, 'id' | 'tenantId' | 'name'>, maxAgeMs = FRESH_MS): Promise<LogWindow> {
    const nowMs = this.#options.now().getTime();
    const known = this.#known.get(asset.id);
    if (known !== undefined && Math.abs(nowMs - known.askedMs) < maxAgeMs) return known.window;
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    const window = this.#read(asset);
    this.#known.set(asset.id, { window, askedMs: nowMs });
    window.then(
      (read) => this.#proved.set(asset.id, read),
      () => this.#known.delete(asset.id),
    );
    return window;
  }

  /** What was proved last, whatever the store does now: what was stored then could be restored then, and time does the rest. Undefined when
   *  nothing could be found out since the start. */
  async proved(asset: Pick<Asset, 'id' | 'tenantId' | 'name'>): Promise<LogWindow | undefined> {
    const proved = this.#proved.get(asset.id);
    if (proved !== undefined) return proved;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, FIRST_LOOK_MS, undefined);
    });
    const first = this.of(asset).catch(() => undefined);
    return Promise.race([first, late]).finally(() => clearTimeout(timer));
  }

  /** Where a restore to the target would begin and end. From a base backup in which damage was found only where no other leads there. */
  async plan(
    { tenantId, name }: Pick<Asset, 'tenantId' | 'name'>,
    target: RecoveryTarget,
    timeline?: number,
  ): Promise<LogPlan | NoPlan> {
    return this.#options.tenants.use(tenantId, async (repository) => {
      const cluster = await readClusterFacts(repository, name);
      if (cluster === undefined) return { kind: 'refused', reason: 'no log of it is stored yet' };
      const planFrom = (facts: RecoveryFacts): Promise<RecoveryPlan | NoPlan> =>
        planRecovery(facts, timeline ?? cluster.view.timeline, target, timeline !== undefined);
      const sound = await planFrom(await this.#sound(tenantId, cluster.facts));
      const plan = sound.kind === 'plan' ? sound : await planFrom(cluster.facts);
      return plan.kind === 'plan' ? { ...plan, incarnation: cluster.view.incarnation } : plan;
    });
  }

  async #read({ tenantId, name }: Pick<Asset, 'tenantId' | 'name'>): Promise<LogWindow> {
    const readAt = this.#options.now().getTime();
    return this.#options.tenants.use(tenantId, async (repository) => {
      const cluster = await readClusterFacts(repository, name);
      if (cluster === undefined)
        return { readAt, incarnation: undefined, timeline: 1, intervals: [], gaps: [], isAnchored: false, end: 0 };
      const { view } = cluster;
      const facts = await this.#sound(tenantId, cluster.facts);
      const { timeline } = view;
      const end = facts.stretches.reduce((most, one) => (one.timeline === timeline ? Math.max(most, one.to) : most), 0);
      const isAnchored = facts.bases.some((base) => (wayFrom(base, timeline, facts)?.legs.at(-1)?.to ?? -1) >= end);
      const intervals = await recoveryWindow(facts, timeline);
      return { readAt, incarnation: view.incarnation, timeline, intervals, gaps: facts.gaps, isAnchored, end };
    });
  }

  /** Without base backups of which the catalogue knows damage. */
  async #sound(tenantId: string, facts: RecoveryFacts): Promise<RecoveryFacts> {
    const { recoveryPoints } = this.#options.catalog;
    const points = await Promise.all(facts.bases.map(({ snapshot }) => recoveryPoints.get(tenantId, snapshot)));
    return { ...facts, bases: facts.bases.filter((_, i) => points[i]?.isSound !== false) };
  }
}

/** Unix milliseconds of the last transaction that is stored without a hole; undefined: there is nothing to return to. */
export function latestOf({ intervals }: Pick<LogWindow, 'intervals'>): number | undefined {
  const last = intervals.at(-1);
  return last === undefined ? undefined : last.to.time / 1000;
}

// Looks every minute at the copies of tenants' repositories at other sites. What a copy holds is what its own head names, never what its
// replication says of itself; so who judges a promise of a copy has seen the copy.

import type { Logger } from 'pino';
import { isFault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { eachItem } from '../model/page-items.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import { type CopySite, type Replica, replicasSetting } from '../model/replica.ts';
import type { Tenant } from '../model/tenant.ts';
import type { SiteCopy } from '../policy/asset-facts.ts';
import { type CopyStores, lookAtCopy, type SeenCopy } from '../tenants/look-at-copy.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';

const LOOKS_PARALLEL = 4;
/** A site that does not answer is looked at again a minute later. */
const LOOK_MS_MAX = 20_000;
/** Points that are looked through for the newest one that a copy holds, or for what it lacks. */
const POINTS_MAX = 5_000;

export type CopyPorts = CopyStores & { readonly sites: readonly CopySite[] };

export type CopyWatchOptions = {
  readonly catalog: Catalog;
  readonly tenants: Pick<TenantRepositories, 'use' | 'place'>;
  readonly copies?: CopyPorts | undefined;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Pick<Logger, 'warn'>;
};

type Task = { readonly tenant: Tenant; readonly at: CopySite };

export class CopyWatch {
  readonly #options: CopyWatchOptions;
  /** By tenant and site. */
  readonly #seen = new Map<string, SeenCopy>();
  #hasLooked = false;

  constructor(options: CopyWatchOptions) {
    this.#options = options;
  }

  /** False until everything was looked at once: before that nothing can be said, not even that nothing is there. */
  get isReady(): boolean {
    return this.#hasLooked || this.#sites.length === 0;
  }

  /** At every copy, once. */
  async look(signal: AbortSignal): Promise<void> {
    const { catalog } = this.#options;
    if (this.#sites.length === 0) return;
    const tenants: Tenant[] = [];
    for await (const tenant of eachItem((page) => catalog.tenants.list(page))) if (tenant.state === 'active') tenants.push(tenant);
    const waiting: Task[] = tenants.flatMap((tenant) => this.#sites.map((at) => ({ tenant, at })));
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift())
        await this.#lookAt(next, signal);
    };
    await Promise.all(Array.from({ length: LOOKS_PARALLEL }, worker));
    if (signal.aborted) return;
    for (const { id } of tenants) {
      const replicas = this.#sites.map(({ site }) => this.#seen.get(keyOf(id, site))!.replica);
      await catalog.settings.set(replicasSetting(id), JSON.stringify(replicas));
    }
    this.#hasLooked = true;
  }

  /** What the copies that are promised hold of an asset, and for each the oldest sound point that it lacks. `points`: with the newest sound one. */
  async copiesOf(
    asset: Asset,
    sites: readonly string[],
    points: readonly RecoveryPoint[],
  ): Promise<{ readonly copies: readonly SiteCopy[]; readonly lacking: readonly RecoveryPoint[] }> {
    const copies: SiteCopy[] = [];
    const lacking: RecoveryPoint[] = [];
    for (const site of sites) {
      const seen = this.#seen.get(keyOf(asset.tenantId, site));
      if (seen?.replica.asOf === undefined) continue;
      const { newest, oldestLacking, count } = await this.#compare(asset, points, seen.snapshots);
      const { asOf, lockedForSeconds } = seen.replica;
      copies.push({
        site,
        asOf,
        lackingCount: count,
        ...(newest === undefined ? {} : { newestPointAt: newest.startedAt }),
        ...(lockedForSeconds === undefined ? {} : { immutabilityMs: lockedForSeconds * 1000 }),
      });
      if (oldestLacking !== undefined) lacking.push(oldestLacking);
    }
    return { copies, lacking };
  }

  get #sites(): readonly CopySite[] {
    return this.#options.copies?.sites ?? [];
  }

  async #compare(
    { id, tenantId }: Asset,
    points: readonly RecoveryPoint[],
    held: ReadonlySet<string>,
  ): Promise<{ readonly newest?: RecoveryPoint; readonly oldestLacking?: RecoveryPoint; readonly count: number }> {
    const newest = points.filter(({ isSound }) => isSound).reduce<RecoveryPoint | undefined>(later, undefined);
    if (newest === undefined) return { count: 0 };
    if (held.has(newest.snapshot)) return { newest, count: 0 };
    let oldestLacking: RecoveryPoint = newest;
    let [looked, count] = [0, 0];
    for await (const point of eachItem((page) => this.#options.catalog.recoveryPoints.list(tenantId, id, page))) {
      if (held.has(point.snapshot)) return { newest: point, oldestLacking, count };
      if (point.isSound) [oldestLacking, count] = [point, count + 1];
      if (++looked === POINTS_MAX) break;
    }
    return { oldestLacking, count };
  }

  /** What a copy lacks, as the catalogue knows it. */
  async #lag(
    tenantId: string,
    lacking: readonly string[],
  ): Promise<Pick<Replica, 'lackingSnapshots' | 'lackingBytes' | 'lackingSince'>> {
    let [bytes, since] = [0, ''];
    for (const snapshot of lacking.slice(0, POINTS_MAX)) {
      const point = await this.#options.catalog.recoveryPoints.get(tenantId, snapshot);
      if (point === undefined) continue;
      bytes += point.bytesStored;
      if (since === '' || point.endedAt < since) since = point.endedAt;
    }
    return { lackingSnapshots: lacking.length, lackingBytes: bytes, ...(since === '' ? {} : { lackingSince: since }) };
  }

  async #lookAt({ tenant, at }: Task, signal: AbortSignal): Promise<void> {
    const { copies, log } = this.#options;
    const key = keyOf(tenant.id, at.site);
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS_MAX)]);
      const seen = await lookAtCopy({ ...this.#options, ...copies! }, tenant.id, at, limited);
      this.#seen.set(key, { ...seen, replica: { ...seen.replica, ...(await this.#lag(tenant.id, seen.lacking)) } });
    } catch (error) {
      if (signal.aborted) return;
      const { replica = { site: at.site }, snapshots = new Set<string>(), lacking = [] } = this.#seen.get(key) ?? {};
      const trouble = (isFault(error) ? `${error.message} [${error.code}]` : 'It did not answer in time').slice(0, 1000);
      this.#seen.set(key, { replica: { ...replica, state: 'unreachable', trouble }, snapshots, lacking });
      log.warn({ err: error, tenant: tenant.name, site: at.site }, 'a copy could not be looked at');
    }
  }
}

function later(a: RecoveryPoint | undefined, b: RecoveryPoint): RecoveryPoint {
  return a === undefined || b.startedAt > a.startedAt ? b : a;
}

function keyOf(tenantId: string, site: string): string {
  return `${tenantId} ${site}`;
}

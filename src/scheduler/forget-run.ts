// Executes a forget: decides in the catalogue, then forgets in the repository. In this process and not as a child: it is one exchange of the
// head and a few deletes, where a child would spend a hundred times that on its start.
//
// The decision takes the points out of the catalogue and notes them as "being forgotten" in one transaction: who puts a hold on one after
// that is told that it is gone, who came before is heeded. A run that dies in between is followed by another that finishes the note first.

import { isFault } from '../base/faults.ts';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import { isBase } from '../engine/cluster-facts.ts';
import { judgeBases } from '../engine/cluster-retention.ts';
import { firstItems } from '../model/page-items.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { forgetSnapshots } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { readSnapshot } from '../repository/snapshots.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';
import { decideForget, newestSound } from './forget-plan.ts';
import type { PolicyBook } from './policy-book.ts';

export type ForgetPorts = {
  readonly catalog: Catalog;
  readonly tenants: Pick<TenantRepositories, 'use'>;
  readonly book: PolicyBook;
};
/** What the forget run says of itself. */
export type ForgetResult = { readonly forgotten: readonly string[]; readonly kept: number; readonly held: number };

export async function runForget(ports: ForgetPorts, run: Run, signal: AbortSignal): Promise<ForgetResult> {
  const { catalog, tenants, book } = ports;
  const { tenantId, assetId, startedAt } = run;
  await book.refreshTenant(tenantId);
  let decided = { kept: 0, held: 0 };
  const now = startedAt === undefined ? new Date() : new Date(startedAt);
  if (assetId !== undefined) {
    const needed = await neededBases(ports, run, assetId, signal);
    decided = await catalog.transaction((tables) => decide(tables, book, { tenantId, assetId, named: namedIn(run), needed, now }));
  }
  const subject = assetId ?? tenantId;
  const pending = await pendingOf(catalog, subject);
  if (pending.length > 0) {
    await tenants.use(tenantId, (repository) => forgetSnapshots(repository.heads, new Set(pending), { signal }));
    await catalog.settings.set(pendingSetting(subject), '[]');
  }
  return { ...decided, forgotten: pending };
}

/** Bases of a database that its recovery window needs, as the policy promises it, or at least its newest moment: neither rules nor somebody
 *  who asks take them away. What becomes a base meanwhile only adds to them. */
async function neededBases(
  { catalog, tenants, book }: ForgetPorts,
  { tenantId, startedAt }: Run,
  assetId: string,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const asset = await catalog.assets.get(tenantId, assetId);
  const tenant = book.tenant(tenantId);
  const points = await firstItems((page) => catalog.recoveryPoints.list(tenantId, assetId, page));
  if (asset === undefined || asset.state !== 'active' || tenant === undefined || points.length === 0) return new Set();
  const { recoveryWindowMs } = book.inForce(tenant, asset).policy;
  const isPromised = recoveryWindowMs !== undefined && startedAt !== undefined;
  const since = isPromised ? (Date.parse(startedAt) - recoveryWindowMs) * 1000 : Number.POSITIVE_INFINITY;
  return tenants.use(tenantId, async (repository) => {
    const one = await firstThere(repository, points, signal);
    if (one === undefined || !isBase(one)) return new Set<string>();
    const judged = await judgeBases(repository, one.asset, since, signal);
    return new Set([...judged.values()].filter(({ isNeeded }) => isNeeded).map(({ base }) => base.snapshot));
  });
}

/** It says what they all are: an asset has bases, or none. */
async function firstThere(
  repository: Repository,
  points: readonly RecoveryPoint[],
  signal: AbortSignal,
): Promise<Snapshot | undefined> {
  for (const { snapshot } of points) {
    try {
      return await readSnapshot(repository, snapshot, { signal });
    } catch (error) {
      if (!isFault(error, 'SNAPSHOT_NOT_FOUND')) throw error;
    }
  }
  return undefined;
}

/** Somebody asked for these snapshots (and two approved): rules do not count, holds do, and so does the last sound point of an active asset. */
function namedIn({ parameters }: Run): ReadonlySet<string> | undefined {
  const { snapshots } = parameters;
  return Array.isArray(snapshots) ? new Set(snapshots.filter((one) => typeof one === 'string')) : undefined;
}

type Decision = {
  readonly tenantId: string;
  readonly assetId: string;
  readonly named: ReadonlySet<string> | undefined;
  readonly needed: ReadonlySet<string>;
  readonly now: Date;
};

async function decide(
  tables: CatalogTables,
  book: PolicyBook,
  { tenantId, assetId, named, needed, now }: Decision,
): Promise<{ readonly kept: number; readonly held: number }> {
  const points = await firstItems((page) => tables.recoveryPoints.list(tenantId, assetId, page));
  const heldCount = points.filter(({ isHeld }) => isHeld).length;
  const asset = await tables.assets.get(tenantId, assetId);
  const tenant = book.tenant(tenantId);
  if (asset === undefined || tenant === undefined) return { kept: points.length, held: heldCount };
  const chosen =
    named === undefined
      ? decideForget(points, book.inForce(tenant, asset).policy.retention, now).forgotten.map(({ point }) => point)
      : namedOf(points, named, asset.state === 'active', now);
  const forgotten = chosen.filter(({ snapshot }) => !needed.has(snapshot));
  if (forgotten.length > 0) {
    const pending = await pendingOf(tables, assetId);
    await tables.settings.set(pendingSetting(assetId), JSON.stringify([...pending, ...forgotten.map(({ snapshot }) => snapshot)]));
    for (const { snapshot } of forgotten) await tables.recoveryPoints.remove(tenantId, snapshot);
  }
  return { kept: points.length - forgotten.length, held: heldCount };
}

function namedOf(
  points: readonly RecoveryPoint[],
  named: ReadonlySet<string>,
  isActive: boolean,
  now: Date,
): readonly RecoveryPoint[] {
  const safe = isActive ? newestSound(points, now) : undefined;
  return points.filter((point) => named.has(point.snapshot) && !point.isHeld && point !== safe);
}

async function pendingOf(tables: Pick<CatalogTables, 'settings'>, subject: string): Promise<readonly string[]> {
  return JSON.parse((await tables.settings.get(pendingSetting(subject))) ?? '[]') as string[];
}

function pendingSetting(subject: string): string {
  return `forgetting:${subject}`;
}

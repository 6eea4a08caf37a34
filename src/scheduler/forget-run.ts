// Executes a forget: decides in the catalogue, then forgets in the repository. In this process and not as a child: it is one exchange of the
// head and a few deletes, where a child would spend a hundred times that on its start.
//
// What is promised when the decision is made counts, not what was when the run began: looking at the repository takes a while.
// The decision takes the points out of the catalogue and notes them as "being forgotten" in one transaction: who puts a hold on one after
// that is told that it is gone, who came before is heeded. A run that dies in between is followed by another that finishes the note first.

import { Fault, isFault } from '../base/faults.ts';
import { type Catalog, type CatalogTables, RESTORED_SETTING } from '../catalog/catalog.ts';
import { isBase } from '../engine/cluster-facts.ts';
import { judgeBases } from '../engine/cluster-retention.ts';
import type { Asset } from '../model/asset.ts';
import { type Instant, instantOf, laterBy } from '../model/instant.ts';
import { firstItems } from '../model/page-items.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import { forgetSnapshots } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { readSnapshot } from '../repository/snapshots.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';
import { decideForget, newestSound } from './forget-plan.ts';
import type { PolicyBook } from './policy-book.ts';

/** After the catalogue came out of a backup: holds and policies of the time between are put back by people. */
const AFTER_RESTORE_MS = 7 * 86_400_000;

export type ForgetPorts = {
  readonly catalog: Catalog;
  readonly tenants: Pick<TenantRepositories, 'use'>;
  readonly book: PolicyBook;
};
/** What the forget run says of itself. */
export type ForgetResult = {
  readonly forgotten: readonly string[];
  readonly kept: number;
  readonly held: number;
  /** Until then nothing goes: the catalogue came out of a backup, and people look after what it does not know. */
  readonly waitsUntil?: Instant;
};

export async function runForget(ports: ForgetPorts, run: Run, signal: AbortSignal): Promise<ForgetResult> {
  const { catalog, tenants } = ports;
  const { tenantId, assetId } = run;
  let decided: Decided | undefined;
  while (decided === undefined)
    decided = assetId === undefined ? { kept: 0, held: 0 } : await forgetOf(ports, run, assetId, signal);
  const subject = assetId ?? tenantId;
  const pending = await pendingOf(catalog, subject);
  if (pending.length > 0) {
    await tenants.use(tenantId, (repository) => forgetSnapshots(repository.heads, new Set(pending), { signal }));
    await catalog.settings.set(pendingSetting(subject), '[]');
  }
  return { ...decided, forgotten: pending };
}

type Decided = Omit<ForgetResult, 'forgotten'>;

/** Undefined: the catalogue is the one that people have worked with. What somebody asks for is done: it was after the restore. */
async function waitsUntil(tables: Pick<CatalogTables, 'settings'>, run: Run, now: Date): Promise<Instant | undefined> {
  const restoredAt = await tables.settings.get(RESTORED_SETTING);
  if (restoredAt === undefined || namedIn(run) !== undefined) return undefined;
  const until = laterBy(restoredAt, AFTER_RESTORE_MS);
  return instantOf(now) < until ? until : undefined;
}

/** Undefined: what the policy promises was changed while the repository was looked at. */
async function forgetOf(ports: ForgetPorts, run: Run, assetId: string, signal: AbortSignal): Promise<Decided | undefined> {
  const { catalog, book } = ports;
  const { tenantId, startedAt } = run;
  const now = startedAt === undefined ? new Date() : new Date(startedAt);
  signal.throwIfAborted();
  await book.refreshTenant(tenantId);
  const before = promised(book, tenantId, await catalog.assets.get(tenantId, assetId));
  const needed = before === undefined ? new Set<string>() : await neededBases(ports, run, before, signal);
  return catalog.transaction(async (tables) => {
    await book.refreshTenant(tenantId);
    const after = promised(book, tenantId, await tables.assets.get(tenantId, assetId));
    if (before?.stamp !== after?.stamp) return undefined;
    const until = await waitsUntil(tables, run, now);
    return decide(tables, { tenantId, assetId, named: namedIn(run), needed, promised: after, waitsUntil: until, now });
  });
}

type Promised = { readonly asset: Asset; readonly policy: EffectivePolicy; readonly stamp: string };

/** POLICY_INVALID: what cannot be read may promise to keep what the rest lets go. */
function promised(book: PolicyBook, tenantId: string, asset: Asset | undefined): Promised | undefined {
  const tenant = book.tenant(tenantId);
  if (asset === undefined || tenant === undefined) return undefined;
  const { policy, stamp, isWhole } = book.inForce(tenant, asset);
  if (!isWhole)
    throw new Fault('POLICY_INVALID', `A policy of "${asset.name}" cannot be read: nothing of it is forgotten until it can`);
  return { asset, policy, stamp: `${asset.state} ${stamp}` };
}

/** Bases of a database that its recovery window needs, as the policy promises it, or at least its newest moment: neither rules nor somebody
 *  who asks take them away. What becomes a base meanwhile only adds to them. */
async function neededBases(
  { catalog, tenants }: ForgetPorts,
  { tenantId, startedAt }: Run,
  { asset, policy: { recoveryWindowMs } }: Promised,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const points = await firstItems((page) => catalog.recoveryPoints.list(tenantId, asset.id, page));
  if (asset.state !== 'active' || points.length === 0) return new Set();
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
  readonly promised: Promised | undefined;
  readonly waitsUntil: Instant | undefined;
  readonly now: Date;
};

async function decide(
  tables: CatalogTables,
  { tenantId, assetId, named, needed, promised: owed, waitsUntil: until, now }: Decision,
): Promise<Decided> {
  const points = await firstItems((page) => tables.recoveryPoints.list(tenantId, assetId, page));
  const held = points.filter(({ isHeld }) => isHeld).length;
  if (owed === undefined) return { kept: points.length, held };
  if (until !== undefined) return { kept: points.length, held, waitsUntil: until };
  const { asset, policy } = owed;
  const chosen =
    named === undefined
      ? decideForget(points, policy.retention, now).forgotten.map(({ point }) => point)
      : namedOf(points, named, asset.state === 'active', now);
  const forgotten = chosen.filter(({ snapshot }) => !needed.has(snapshot));
  if (forgotten.length > 0) {
    const pending = await pendingOf(tables, assetId);
    await tables.settings.set(pendingSetting(assetId), JSON.stringify([...pending, ...forgotten.map(({ snapshot }) => snapshot)]));
    for (const { snapshot } of forgotten) await tables.recoveryPoints.remove(tenantId, snapshot);
  }
  return { kept: points.length - forgotten.length, held };
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

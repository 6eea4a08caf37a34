// The catalogue from the bucket: what a repository says of a tenant becomes tenant, assets and recovery points again. Also brings a catalogue that
// came out of an older backup up to date: recovery points that were made since are added, those that were forgotten since are taken away.
//
// What only the service decided (people, tokens, policies, quotas, allow-lists, holds, proofs, the queue, the audit) is in no repository.
// So everything errs to the safe side: a tenant that nobody knew has all its recovery points on hold, and its assets paused, until somebody decides.

import { createHash } from 'node:crypto';
import type { Catalog, CatalogTables } from '../catalog/catalog.ts';
import type { RepositoryNotes } from '../catalog/tenant-repository.ts';
import type { Agent } from '../model/agent.ts';
import type { Asset, AssetSource } from '../model/asset.ts';
import { newId } from '../model/identifier.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import { recoveryPointOf } from '../model/recovery-point.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { appendAudit } from '../trust/audit-chain.ts';

const POINTS_AT_ONCE = 500;
const PATHS_MAX = 100;
const PATH_CHARS_MAX = 4096;
const ASSET_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;

export type FoundTenant = { readonly id: string; readonly name: string; readonly location: string };

export type RebuildPorts = {
  readonly catalog: Catalog;
  readonly repositories: RepositoryNotes;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

export type Rebuilt = {
  readonly tenant: FoundTenant;
  readonly isNewTenant: boolean;
  readonly assetsAdded: number;
  readonly pointsAdded: number;
  readonly pointsRemoved: number;
  readonly points: number;
  /** Recovery points whose asset the service cannot name: made by the command line, or streams. */
  readonly pointsWithoutAsset: number;
};

/** Can be repeated; a crash in the middle of it is continued by the next. */
export async function rebuildTenant(
  ports: RebuildPorts,
  tenant: FoundTenant,
  repository: Repository,
  signal: AbortSignal,
): Promise<Rebuilt> {
  const { catalog } = ports;
  const head = await repository.heads.read({ signal });
  const snapshots = await listSnapshots(repository, head, { signal });
  const isNewTenant = await addTenant(ports, tenant, hex(repository.parameters.id), snapshots);
  const assets = await addAssets(ports, tenant, snapshots);
  let pointsAdded = 0;
  for (let from = 0; from < snapshots.length; from += POINTS_AT_ONCE) {
    signal.throwIfAborted();
    const some = snapshots.slice(from, from + POINTS_AT_ONCE);
    pointsAdded += await catalog.transaction((tables) => addPoints(tables, tenant, some, assets.ids, isNewTenant));
  }
  const pointsRemoved = await removePoints(catalog, tenant.id, repository, signal);
  const rebuilt: Rebuilt = {
    tenant,
    isNewTenant,
    assetsAdded: assets.added,
    pointsAdded,
    pointsRemoved,
    points: snapshots.length,
    pointsWithoutAsset: snapshots.filter(({ asset }) => !assets.ids.has(asset)).length,
  };
  await note(ports, rebuilt);
  return rebuilt;
}

/** True when nobody knew it. A rebuild that was interrupted is remembered, so that its second half is as careful as its first. */
async function addTenant(
  { catalog, repositories, now }: RebuildPorts,
  { id, name, location }: FoundTenant,
  repositoryId: string,
  snapshots: readonly Snapshot[],
): Promise<boolean> {
  const remembered = `rebuilding:${id}`;
  return catalog.transaction(async (tables) => {
    const isKnown = (await tables.tenants.get(id)) !== undefined;
    // It may be elsewhere than it was: at a site's replica, in a store that was moved, in a copy of the home. From now on it is used there.
    await repositories.setLocation(tables.settings, id, location);
    await repositories.setId(tables.settings, id, repositoryId);
    if (isKnown && (await tables.settings.get(remembered)) !== 'new') return false;
    await tables.settings.set(remembered, 'new');
    const createdAt = snapshots[0]?.startedAt ?? instantOf(now());
    await tables.tenants.add({ id, name, label: name, quota: {}, allowedSources: [], state: 'active', createdAt, version: 1 });
    return true;
  });
}

async function addAssets(
  ports: RebuildPorts,
  { id: tenantId }: FoundTenant,
  snapshots: readonly Snapshot[],
): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly added: number }> {
  const newest = new Map(snapshots.map((snapshot) => [snapshot.asset, snapshot]));
  const first = new Map(snapshots.toReversed().map((snapshot) => [snapshot.asset, snapshot.startedAt]));
  const ids = new Map<string, string>();
  const standIns = new Map<string, string>();
  let added = 0;
  await ports.catalog.transaction(async (tables) => {
    for (const [name, snapshot] of newest) {
      const known = await tables.assets.byName(tenantId, name);
      if (known !== undefined) {
        ids.set(name, known.id);
        continue;
      }
      const source = sourceOf(snapshot);
      if (source === undefined || !ASSET_NAME.test(name)) continue;
      const agentId = standIns.get(snapshot.host) ?? (await standInFor(ports, tables, tenantId, snapshot.host));
      standIns.set(snapshot.host, agentId);
      const asset: Asset = {
        id: newId('asset', ports.now(), ports.random),
        tenantId,
        agentId,
        name,
        source,
        state: 'paused',
        createdAt: first.get(name)!,
        version: 1,
      };
      await tables.assets.add(asset);
      ids.set(name, asset.id);
      added++;
    }
  });
  return { ids, added };
}

/** An asset belongs to an agent; the one that was is unknown until its host enrols again. This one holds its place and can never sign in:
 *  nobody has a private key for it. */
async function standInFor({ now, random }: RebuildPorts, tables: CatalogTables, tenantId: string, host: string): Promise<string> {
  const publicKey = createHash('sha256').update(`holdfast: rebuilt\n${tenantId}\n${host}`).digest('base64url');
  for (let after: string | undefined; ; ) {
    const { items, next } = await tables.agents.list(tenantId, after === undefined ? { limit: 500 } : { limit: 500, after });
    const found = items.find((agent) => agent.publicKey === publicKey);
    if (found !== undefined) return found.id;
    if (next === undefined) break;
    after = next;
  }
  const at: Instant = instantOf(now());
  const agent: Agent = {
    id: newId('agent', now(), random),
    tenantId,
    label: `${host.slice(0, 180)} (enrol again)`,
    publicKey,
    host: { hostname: host.slice(0, 253), platform: 'unknown', version: 'unknown', cpus: 1, memoryBytes: 0 },
    state: 'revoked',
    enrolledAt: at,
    revokedAt: at,
  };
  await tables.agents.add(agent);
  return agent.id;
}

function sourceOf({ type, paths }: Snapshot): AssetSource | undefined {
  const texts = paths.map((path) => Buffer.from(path, 'latin1').toString('utf8'));
  const areFit = texts.length > 0 && texts.every((path) => path.startsWith('/') && path.length <= PATH_CHARS_MAX);
  if (!areFit) return undefined;
  if (type === 'files' && texts.length <= PATHS_MAX) return { kind: 'files', paths: texts };
  return type === 'volume' && texts.length === 1 ? { kind: 'volume', path: texts[0]! } : undefined;
}

async function addPoints(
  { recoveryPoints }: CatalogTables,
  { id: tenantId }: FoundTenant,
  snapshots: readonly Snapshot[],
  assets: ReadonlyMap<string, string>,
  isHeld: boolean,
): Promise<number> {
  let added = 0;
  for (const snapshot of snapshots) {
    if ((await recoveryPoints.get(tenantId, snapshot.id)) !== undefined) continue;
    const point = recoveryPointOf(snapshot, { tenantId, assetId: assets.get(snapshot.asset), isHeld });
    await recoveryPoints.put(point);
    added++;
  }
  return added;
}

/** Those that are not in the registry. Looked for again in a registry that was read afterwards: a backup may have been committed meanwhile, and whatever
 *  the catalogue knew before that was committed before. By the registry, not by what can be read of it: what this key cannot open exists, too. */
async function removePoints(catalog: Catalog, tenantId: string, repository: Repository, signal: AbortSignal): Promise<number> {
  const known: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = after === undefined ? { limit: POINTS_AT_ONCE } : { limit: POINTS_AT_ONCE, after };
    const { items, next } = await catalog.recoveryPoints.list(tenantId, undefined, page);
    known.push(...items.map(({ snapshot }) => snapshot));
    if (next === undefined) break;
    after = next;
  }
  const registered = new Set((await repository.heads.read({ signal })).snapshots.map(({ session }) => session));
  const gone = known.filter((snapshot) => !registered.has(snapshot));
  for (const snapshot of gone) await catalog.recoveryPoints.remove(tenantId, snapshot);
  return gone.length;
}

async function note({ catalog, now }: RebuildPorts, { tenant, ...details }: Rebuilt): Promise<void> {
  await catalog.transaction(async (tables) => {
    await tables.settings.set(`rebuilding:${tenant.id}`, 'done');
    await appendAudit(tables, {
      at: instantOf(now()),
      tenantId: tenant.id,
      actor: 'system:system',
      actorLabel: 'system',
      action: 'catalog.rebuild',
      subject: tenant.id,
      outcome: 'done',
      details,
    });
  });
}

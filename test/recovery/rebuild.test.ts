// The catalogue out of the repositories, compared with the one that was lost.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type FoundTenant, rebuildTenant } from '../../src/recovery/rebuild.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { verifyAudit } from '../../src/trust/audit-chain.ts';
import { auditEntries } from '../../src/trust/audit-checkpoint.ts';
import { START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

const signal = new AbortController().signal;
const ports = ({ catalog, notes: repositories }: Home) => ({ catalog, repositories, now: () => START, random: randomBytes });

async function foundIn({ catalog, notes }: Home, id: string): Promise<FoundTenant> {
  const { name } = (await catalog.tenants.get(id))!;
  return { id, name, location: (await notes.location(catalog.settings, id))! };
}

/** What a repository can tell, without what only the service knew. */
async function known({ catalog, notes }: Home, tenantId: string) {
  const tenant = (await catalog.tenants.get(tenantId))!;
  const assets = (await catalog.assets.list(tenantId, { limit: 500 })).items;
  const points = (await catalog.recoveryPoints.list(tenantId, undefined, { limit: 500 })).items;
  const nameOf = new Map(assets.map(({ id, name }) => [id, name]));
  return {
    tenant: { id: tenant.id, name: tenant.name, state: tenant.state },
    location: await notes.location(catalog.settings, tenantId),
    assets: assets.map(({ name, source }) => ({ name, source })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    points: points.map(({ assetId, isHeld: _, ...point }) => ({
      ...point,
      asset: assetId === undefined ? undefined : nameOf.get(assetId),
    })),
    latest: await Promise.all(assets.map(async ({ id, name }) => [name, (await catalog.recoveryPoints.latest(id))?.snapshot])).then(
      (pairs) => Object.fromEntries(pairs) as Record<string, string>,
    ),
  };
}

it('a catalogue that was lost comes back out of the repositories as it was', async () => {
  const directory = scratchDirectory();
  const original = await openHome(join(directory, 'one'));
  const tenants = [await original.tenant(3), await original.tenant(1), await original.tenant(0)];
  for (let round = 0; round < 2; round++)
    for (const { assets } of tenants) for (const asset of assets) await original.backUp(asset);
  const again = await openHome(join(directory, 'two'), 2);
  for (const { tenant } of tenants) {
    const found = await foundIn(original, tenant.id);
    const rebuilt = await original.tenants.use(tenant.id, (repository) => rebuildTenant(ports(again), found, repository, signal));
    expect(rebuilt).toMatchObject({ isNewTenant: true, pointsRemoved: 0, pointsWithoutAsset: 0 });
    const expected = await known(original, tenant.id);
    expect(expected.points).toHaveLength(expected.assets.length * 2);
    expect(await known(again, tenant.id)).toEqual(expected);
    // Careful with what nobody decided yet.
    for (const { state, agentId } of (await again.catalog.assets.list(tenant.id, { limit: 9 })).items) {
      expect(state).toBe('paused');
      expect((await again.catalog.agents.get(agentId))?.state).toBe('revoked');
    }
    for (const { isHeld } of (await again.catalog.recoveryPoints.list(tenant.id, undefined, { limit: 99 })).items)
      expect(isHeld).toBe(true);
    const repeated = await original.tenants.use(tenant.id, (repository) => rebuildTenant(ports(again), found, repository, signal));
    expect(repeated, 'nothing is left to do').toMatchObject({
      isNewTenant: false,
      pointsAdded: 0,
      pointsRemoved: 0,
      assetsAdded: 0,
    });
    expect(await known(again, tenant.id)).toEqual(expected);
  }
  const audit = await verifyAudit(auditEntries(again.catalog), []);
  expect(audit).toMatchObject({ kind: 'whole', entries: 6 });
});

it('a catalogue out of an older backup learns what was made and what was forgotten since, and keeps what it knew', async () => {
  const directory = scratchDirectory();
  const home = await openHome(join(directory, 'one'));
  const { tenant, assets } = await home.tenant(2);
  const [asset] = assets as [(typeof assets)[0]];
  const [first, second] = [await home.backUp(asset), await home.backUp(asset)];
  const held = {
    ...(await home.catalog.recoveryPoints.get(tenant.id, second))!,
    isHeld: true,
    provenAt: START.toISOString(),
    proof: 'verify',
  };
  await home.catalog.recoveryPoints.put(held);
  const third = await home.backUp(asset, false);
  await home.tenants.use(tenant.id, (repository) => forgetSnapshots(repository.heads, new Set([first]), { signal }));
  const found = await foundIn(home, tenant.id);
  const rebuilt = await home.tenants.use(tenant.id, (repository) => rebuildTenant(ports(home), found, repository, signal));
  expect(rebuilt).toMatchObject({ isNewTenant: false, assetsAdded: 0, pointsAdded: 1, pointsRemoved: 1, points: 2 });
  expect(await home.catalog.recoveryPoints.get(tenant.id, first)).toBeUndefined();
  expect(await home.catalog.recoveryPoints.get(tenant.id, second)).toEqual(held);
  expect(await home.catalog.recoveryPoints.get(tenant.id, third)).toMatchObject({ isHeld: false, assetId: asset.id });
  expect(await home.catalog.assets.get(tenant.id, asset.id)).toEqual(asset);
  expect(await home.catalog.tenants.get(tenant.id)).toEqual(tenant);
});

it('a snapshot of something that the service has no name for stays a recovery point', async () => {
  const home = await openHome(scratchDirectory());
  const { tenant, assets } = await home.tenant(1);
  await home.backUp({ ...assets[0]!, name: 'host:/srv with a space' }, false);
  const again = await openHome(join(scratchDirectory(), 'two'), 2);
  const found = await foundIn(home, tenant.id);
  const rebuilt = await home.tenants.use(tenant.id, (repository) => rebuildTenant(ports(again), found, repository, signal));
  expect(rebuilt).toMatchObject({ pointsAdded: 1, pointsWithoutAsset: 1, assetsAdded: 0 });
  const [point] = (await again.catalog.recoveryPoints.list(tenant.id, undefined, { limit: 9 })).items;
  expect(point).toMatchObject({ assetName: 'host:/srv with a space', isHeld: true });
  expect(point!.assetId).toBeUndefined();
});

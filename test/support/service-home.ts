// A home of the service without the service: a catalogue, tenants with repositories, and backups as agents make them.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { RepositoryNotes } from '../../src/catalog/tenant-repository.ts';
import type { Asset } from '../../src/model/asset.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { openStore } from '../../src/store/open.ts';
import { TenantRepositories } from '../../src/tenants/tenant-repositories.ts';
import { catalogThings, START } from './catalog-things.ts';
import { backUpTree, processFacts } from './repository.ts';

export type Home = Awaited<ReturnType<typeof openHome>>;

/** Closed when the test ends; `close` closes it before. */
export async function openHome(home: string, seed = 1) {
  const secrets = join(home, 'secrets');
  const store = join(home, 'repositories');
  const cache = join(home, 'cache');
  mkdirSync(store, { recursive: true });
  const things = catalogThings(seed);
  const catalog: Catalog = await openSqliteCatalog({ path: join(home, 'catalog.sqlite'), now: () => START, random: things.random });
  const tenants = new TenantRepositories({
    catalog,
    home,
    baseLocation: store,
    secretsDirectory: secrets,
    cacheDirectory: cache,
    environment: {},
    openStore: (location, create) => openStore(location, { create }),
    process: processFacts(),
    random: randomBytes,
  });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await tenants.close();
    await catalog.close();
  };
  onTestFinished(close);
  return {
    home,
    secrets,
    store,
    cache,
    things,
    catalog,
    tenants,
    notes: new RepositoryNotes(home),
    close,
    /** A tenant with a repository, an agent and assets. */
    tenant: async (assetCount: number): Promise<{ readonly tenant: Tenant; readonly assets: readonly Asset[] }> => {
      const tenant = things.tenant();
      await catalog.tenants.add(tenant);
      await tenants.create(tenant);
      const agent = things.agent(tenant.id);
      await catalog.agents.add(agent);
      const assets: Asset[] = [];
      for (let n = 0; n < assetCount; n++) {
        const path = join(home, 'trees', tenant.name, `${n}`);
        mkdirSync(path, { recursive: true });
        const asset = things.asset(tenant.id, agent.id, { source: { kind: 'files', paths: [path] } });
        await catalog.assets.add(asset);
        assets.push(asset);
      }
      return { tenant, assets };
    },
    /** A backup of changed content, and its recovery point in the catalogue as the gateway writes it. */
    backUp: async ({ id: assetId, name, tenantId, source }: Asset, isKnown = true): Promise<string> => {
      if (source.kind !== 'files') throw new Error('These assets are files');
      const [path = ''] = source.paths;
      writeFileSync(join(path, 'file'), randomBytes(1000));
      return tenants.use(tenantId, async (repository) => {
        const { id, asset, startedAt, endedAt, statistics, problems, tags } = await backUpTree(repository, path, {
          asset: name,
          tags: ['nightly'],
        });
        const { bytesScanned, bytesStored } = statistics;
        const point = { snapshot: id, tenantId, assetId, assetName: asset, startedAt, endedAt, bytesScanned, bytesStored };
        if (isKnown)
          await catalog.recoveryPoints.put({ ...point, hasWarnings: problems > 0, tags: [...tags], isHeld: false, isSound: true });
        return id;
      });
    },
  };
}

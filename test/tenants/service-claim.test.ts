// One store, one service: what becomes of a home that is copied while its repositories lie elsewhere.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openStore } from '../../src/store/open.ts';
import { ServiceClaim } from '../../src/tenants/service-claim.ts';
import { watchClaim } from '../../src/tenants/watch-claim.ts';
import { START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

function claimOf({ catalog, home, things }: Home, store: string, path = home): ServiceClaim {
  return new ServiceClaim({
    catalog,
    home: path,
    host: 'here',
    baseLocation: store,
    openStore: (location, create) => openStore(location, { create }),
    now: () => START,
    random: things.random,
  });
}

const taken = { code: 'SERVICE_STORE_TAKEN' };
const superseded = { code: 'SERVICE_SUPERSEDED' };

it('a copy of a home is refused a store that the original serves, and one that takes it over ends the original, which is refused then', async () => {
  const root = scratchDirectory();
  const store = join(root, 'store');
  const original = await openHome(join(root, 'original'));
  const first = claimOf(original, store);
  await first.begin(false);
  cpSync(original.home, join(root, 'copy'), { recursive: true });
  const copy = await openHome(join(root, 'copy'), 2);
  const second = claimOf(copy, store);
  await expect(second.begin(false)).rejects.toMatchObject(taken);
  await first.check();
  const watched = watchClaim(first, { error: () => {} }, 10);
  await second.begin(true);
  expect(await watched.superseded).toMatchObject(superseded);
  await watched.stopWatching();
  await second.check();
  await expect(claimOf(original, store).begin(false)).rejects.toMatchObject(taken);
  await claimOf(copy, store).begin(false);
});

it('of two machines that are copies of each other, with the same paths, the one that started last serves, and the other one stops', async () => {
  const root = scratchDirectory();
  const store = join(root, 'store');
  const original = await openHome(join(root, 'original'));
  const first = claimOf(original, store, '/var/lib/holdfast');
  await first.begin(false);
  cpSync(original.home, join(root, 'clone'), { recursive: true });
  const clone = await openHome(join(root, 'clone'), 2);
  await claimOf(clone, store, '/var/lib/holdfast').begin(false);
  await expect(first.check()).rejects.toMatchObject(superseded);
  await expect(claimOf(original, store, '/var/lib/holdfast').begin(false)).rejects.toMatchObject(taken);
});

it('a service that is started again, or as several processes at once, serves on; a catalogue that was never told of the store is refused', async () => {
  const root = scratchDirectory();
  const store = join(root, 'store');
  const home = await openHome(join(root, 'home'));
  const first = claimOf(home, store);
  await first.begin(false);
  const others = [claimOf(home, store), claimOf(home, store), claimOf(home, store)];
  await Promise.all(others.map((one) => one.begin(false)));
  for (const one of [first, ...others]) await one.check();
  const restored = await openHome(join(root, 'restored'), 2);
  await expect(claimOf(restored, store).begin(false)).rejects.toMatchObject(taken);
});

it('a tenant whose repository lies elsewhere is claimed there, and what lies inside of the home is not claimed', async () => {
  const root = scratchDirectory();
  const home = await openHome(join(root, 'home'));
  const { tenant } = await home.tenant(0);
  const inside = claimOf(home, home.store);
  await inside.begin(false);
  const elsewhere = join(root, 'elsewhere');
  const read = async (place: string) => {
    const store = await openStore(join(place, '_service'), { create: true });
    return store.read('served-by').finally(() => store.close());
  };
  expect(await read(home.store)).toBeUndefined();
  await home.notes.setLocation(home.catalog.settings, tenant.id, join(elsewhere, tenant.name));
  await inside.begin(false);
  expect(await read(elsewhere)).toBeDefined();
});

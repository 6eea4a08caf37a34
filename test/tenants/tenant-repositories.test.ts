// Which repositories a service uses when its home was copied or moved, and when its store is not where it was.

import { cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rebuildTenant } from '../../src/recovery/rebuild.ts';
import { systemLocation } from '../../src/recovery/system-repository.ts';
import { settleHome } from '../../src/tenants/settle-home.ts';
import { newHoldfast } from '../cli/holdfast.ts';
import { START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

const seen = ({ tenants }: Home, tenantId: string): Promise<number> =>
  tenants.use(tenantId, async ({ heads }) => (await heads.read()).snapshots.length);

/** As programs wrote it before places were relative to the home. */
const forgetHome = async ({ catalog }: Home, tenantId: string, location: string): Promise<void> => {
  await catalog.settings.set(`repository:${tenantId}`, location);
};

it('a home that was copied uses the repositories that were copied with it, and a home that was moved those that moved along', async () => {
  const root = scratchDirectory();
  const original = await openHome(join(root, 'original'));
  const { tenant, assets } = await original.tenant(1);
  await original.backUp(assets[0]!);
  await original.close();
  cpSync(original.home, join(root, 'copy'), { recursive: true });
  const copy = await openHome(join(root, 'copy'));
  await settleHome(copy.catalog, copy.home);
  await copy.backUp(assets[0]!);
  expect(await seen(copy, tenant.id)).toBe(2);
  const again = await openHome(join(root, 'original'));
  expect(await seen(again, tenant.id)).toBe(1);
  await again.close();
  renameSync(again.home, join(root, 'moved'));
  const moved = await openHome(join(root, 'moved'));
  await settleHome(moved.catalog, moved.home);
  await moved.tenants.create(tenant);
  expect(await seen(moved, tenant.id)).toBe(1);
});

it('the places of an older catalogue become relative to its home, whatever name that has, and a copy of it is refused until it is told', async () => {
  const root = scratchDirectory();
  const original = await openHome(join(root, 'original'));
  const { tenant, assets } = await original.tenant(1);
  await original.backUp(assets[0]!);
  const absolute = join(original.store, tenant.name);
  await forgetHome(original, tenant.id, absolute);
  await settleHome(original.catalog, original.home);
  expect(await original.catalog.settings.get(`repository:${tenant.id}`)).toBe(`home:repositories/${tenant.name}`);
  symlinkSync(original.home, join(root, 'link'));
  await forgetHome(original, tenant.id, join(root, 'link/repositories', tenant.name));
  await settleHome(original.catalog, original.home);
  expect(await original.notes.location(original.catalog.settings, tenant.id)).toBe(absolute);
  await forgetHome(original, tenant.id, absolute);
  await original.close();

  cpSync(original.home, join(root, 'copy'), { recursive: true });
  const copy = await openHome(join(root, 'copy'));
  await expect(settleHome(copy.catalog, copy.home)).rejects.toMatchObject({ code: 'SERVICE_HOME_COPIED' });
  // As "holdfast catalog rebuild" does.
  const own = { id: tenant.id, name: tenant.name, location: join(copy.store, tenant.name) };
  await copy.tenants.use(tenant.id, (repository) =>
    rebuildTenant(
      { catalog: copy.catalog, repositories: copy.notes, now: () => START, random: copy.things.random },
      own,
      repository,
      new AbortController().signal,
    ),
  );
  await settleHome(copy.catalog, copy.home);
  expect(await copy.notes.location(copy.catalog.settings, tenant.id)).toBe(own.location);
});

it('a repository that is not where it was, because its store is not mounted, is never made anew there', async () => {
  const root = scratchDirectory();
  const home = await openHome(join(root, 'home'));
  const { tenant } = await home.tenant(0);
  await home.close();
  renameSync(home.store, join(root, 'unmounted'));
  mkdirSync(home.store);
  const again = await openHome(home.home);
  await expect(again.tenants.create(tenant)).rejects.toMatchObject({ code: 'TENANT_REPOSITORY_GONE' });
  expect(existsSync(join(home.store, tenant.name))).toBe(false);
  // Nor is its passphrase, which nobody could bring back over another one.
  rmSync(home.store, { recursive: true });
  renameSync(join(root, 'unmounted'), home.store);
  rmSync(join(home.secrets, `${tenant.id}.passphrase`));
  await expect(again.tenants.create(tenant)).rejects.toMatchObject({ code: 'TENANT_KEY_GONE' });
});

it('another repository in the place of a tenant is not taken for its own, though the same passphrase opens it', async () => {
  const root = scratchDirectory();
  const home = await openHome(join(root, 'home'));
  const { tenant, assets } = await home.tenant(1);
  await home.backUp(assets[0]!);
  await home.close();
  rmSync(join(home.store, tenant.name), { recursive: true });
  const other = await openHome(join(root, 'other'));
  cpSync(home.secrets, other.secrets, { recursive: true });
  await other.catalog.tenants.add(tenant);
  await other.tenants.create(tenant);
  await other.close();
  renameSync(join(other.store, tenant.name), join(home.store, tenant.name));
  const again = await openHome(home.home);
  await expect(again.tenants.create(tenant)).rejects.toMatchObject({ code: 'TENANT_REPOSITORY_GONE' });
  await expect(seen(again, tenant.id)).rejects.toMatchObject({ code: 'TENANT_REPOSITORY_GONE' });
});

it('a line break at the end of a passphrase in the home counts as little as for the command line', async () => {
  const program = newHoldfast();
  const home = await openHome(join(scratchDirectory(), 'home'));
  const { tenant } = await home.tenant(0);
  const file = join(home.secrets, `${tenant.id}.passphrase`);
  const chosen = program.secret('chosen', 'chosen by people');
  const repo = ['--repo', join(home.store, tenant.name)];
  program.ok(['key', 'passwd', ...repo, '--passphrase-file', file, '--new-passphrase-file', chosen]);
  cpSync(chosen, file);
  await home.close();
  const again = await openHome(home.home);
  expect(await seen(again, tenant.id)).toBe(0);
});

it('what people put in the place of the passphrase of the service before its first start opens its backups, in any program', async () => {
  const program = newHoldfast();
  const home = await openHome(join(scratchDirectory(), 'home'));
  writeFileSync(join(home.secrets, 'system.passphrase'), 'chosen by people\n');
  program.summary(['catalog', 'backup', '--home', home.home]);
  program.ok(['verify', '--repo', systemLocation(home.store), '--passphrase-file', program.secret('typed', 'chosen by people')]);
});

// The first start: a tenant to work in, and a secret for whoever stands in front of the machine. It holds the role of the owner there and that of the
// security administrator, who can give every other right to others, but is not the other two administrators.

import type { CatalogTables } from '../catalog/catalog.ts';
import { newId } from '../model/identifier.ts';
import { instantOf } from '../model/instant.ts';
import type { Tenant } from '../model/tenant.ts';
import { expiryOf, newSecret } from './tokens.ts';

const TENANT_SETTING = 'bootstrap:tenant';
const TOKEN_SETTING = 'bootstrap:token';
const ADMIN_DAYS = 365;
export const DEFAULT_TENANT = 'default';

export type Sources = { readonly now: () => Date; readonly random: (bytes: number) => Uint8Array };

/** The tenant of the first start, made when there is none. Run it inside of a transaction. */
export async function firstTenant(tables: CatalogTables, sources: Sources): Promise<Tenant> {
  const known = await tables.settings.get(TENANT_SETTING);
  return (known === undefined ? undefined : await tables.tenants.get(known)) ?? (await addTenant(tables, sources));
}

/** Only the first time, undefined after that: it is stored as a digest and cannot be shown again, so ask for it when it will be. Run it inside of
 *  a transaction. */
export async function firstAdminSecret(tables: CatalogTables, tenant: Tenant, sources: Sources): Promise<string | undefined> {
  if ((await tables.settings.get(TOKEN_SETTING)) !== undefined) return undefined;
  return issueAdminSecret(tables, tenant, sources);
}

/** A new one beside those that exist: for who has lost the first, and may read the service's home. */
export async function issueAdminSecret(tables: CatalogTables, tenant: Tenant, { now, random }: Sources): Promise<string> {
  const at = now();
  const { secret, digest } = newSecret(random);
  const id = newId('token', at, random);
  await tables.tokens.add(
    {
      id,
      label: 'first administrator',
      grants: [{ role: 'security-admin' }, { role: 'owner', tenantId: tenant.id }],
      createdBy: 'system',
      createdAt: instantOf(at),
      expiresAt: expiryOf(at, ADMIN_DAYS),
    },
    digest,
  );
  await tables.settings.set(TOKEN_SETTING, id);
  return secret;
}

async function addTenant(tables: CatalogTables, { now, random }: Sources): Promise<Tenant> {
  const at = now();
  const tenant: Tenant = {
    id: newId('tenant', at, random),
    name: DEFAULT_TENANT,
    label: 'Default tenant',
    quota: {},
    allowedSources: [],
    state: 'active',
    createdAt: instantOf(at),
    version: 1,
  };
  const outcome = await tables.tenants.add(tenant);
  const added = outcome === 'added' ? tenant : await tables.tenants.byName(DEFAULT_TENANT);
  await tables.settings.set(TENANT_SETTING, added!.id);
  return added!;
}

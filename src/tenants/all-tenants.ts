// Every tenant of a catalogue, page by page.

import type { Catalog } from '../catalog/catalog.ts';
import type { Tenant } from '../model/tenant.ts';

const AT_ONCE = 500;

export async function* allTenants({ tenants }: Pick<Catalog, 'tenants'>): AsyncGenerator<Tenant> {
  for (let after: string | undefined; ; ) {
    const { items, next } = await tenants.list(after === undefined ? { limit: AT_ONCE } : { limit: AT_ONCE, after });
    yield* items;
    if (next === undefined) return;
    after = next;
  }
}

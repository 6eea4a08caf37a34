// What every Catalog does with plans: one version of a name in force, and every version that ever was.

import { describe, expect, it } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { StoredPlan } from '../../src/model/plan.ts';
import { moment, type Things } from '../support/catalog-things.ts';
import { pages } from './catalog.ts';

export function plansConformance(open: () => { readonly catalog: Catalog; readonly other: Catalog }, things: Things): void {
  const plan = (tenantId: string, version: number, name = 'portal'): StoredPlan => ({
    tenantId,
    name,
    version,
    text: `name: ${name} # ${version}`,
    digest: String(version).padStart(64, '0'),
    changedAt: moment(version),
    changedBy: 'person:anna',
  });

  describe('plans of a catalogue', () => {
    it('are exchanged from the version that was read, only for a later one, and each version stays', async () => {
      const { catalog, other } = open();
      const { tenant } = await things.seed(catalog);
      const [first, second, third] = [1, 4, 5].map((version) => plan(tenant.id, version)) as [StoredPlan, StoredPlan, StoredPlan];
      expect(await catalog.plans.put(first, undefined)).toEqual(first);
      expect(await other.plans.put(second, undefined)).toBe('stale');
      expect(await other.plans.put(first, 1)).toBe('not-raised');
      expect(await other.plans.put(second, 1)).toEqual(second);
      expect(await catalog.plans.put(third, 1)).toBe('stale');
      expect(await catalog.plans.byName(tenant.id, 'portal')).toEqual(second);
      expect(await catalog.plans.version(tenant.id, 'portal', 1)).toEqual(first);
      expect(await catalog.plans.delete(tenant.id, 'portal', 1)).toBe('stale');
      expect(await catalog.plans.delete(tenant.id, 'portal', 4)).toBe('deleted');
      expect(await catalog.plans.delete(tenant.id, 'portal', 4)).toBe('missing');
      expect(await other.plans.byName(tenant.id, 'portal')).toBeUndefined();
      expect(await other.plans.put(plan(tenant.id, 3), undefined), 'lower than one that was deleted').toBe('not-raised');
      expect(await other.plans.put(third, undefined)).toEqual(third);
      expect(await pages((page) => catalog.plans.versions(tenant.id, 'portal', page), 2)).toEqual([[third, second], [first]]);
    });

    it('are listed by name, of one tenant or of all, with what was found of the version in force', async () => {
      const { catalog, other } = open();
      const [a, b] = [await things.seed(catalog), await things.seed(catalog)];
      for (const name of ['b', 'a', 'c']) await catalog.plans.put(plan(a.tenant.id, 1, name), undefined);
      await catalog.plans.put(plan(b.tenant.id, 1, 'a'), undefined);
      const readiness = { at: moment(9), runId: things.id('run'), version: 1, isReady: true, checks: [] };
      expect(await catalog.plans.note(a.tenant.id, 'b', readiness)).toBe(true);
      expect(await catalog.plans.note(a.tenant.id, 'b', { ...readiness, version: 2 })).toBe(false);
      const listed = await pages((page) => other.plans.list(a.tenant.id, page), 2);
      expect(listed.map((page) => page.map(({ name }) => name))).toEqual([['a', 'b'], ['c']]);
      expect(listed[0]![1]).toEqual({ ...plan(a.tenant.id, 1, 'b'), readiness });
      const all = (await pages((page) => other.plans.listAll(page), 2)).flat();
      const ours = all.filter(({ tenantId }) => tenantId === a.tenant.id || tenantId === b.tenant.id);
      expect(ours).toHaveLength(4);
      expect(ours.filter(({ tenantId }) => tenantId === b.tenant.id)).toEqual([plan(b.tenant.id, 1, 'a')]);
    });
  });
}

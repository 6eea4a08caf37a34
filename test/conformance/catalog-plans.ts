// What every Catalog does with plans (one version of a name in force, and every version that ever was), their evidence and failovers.

import { describe, expect, it } from 'vitest';
import type { Catalog, EvidenceFilter } from '../../src/catalog/catalog.ts';
import type { Evidence } from '../../src/model/evidence.ts';
import type { Failover } from '../../src/model/failover.ts';
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

  describe('evidence and failovers of a catalogue', () => {
    it('keeps the bytes of evidence as they came, once, and lists what came last first', async () => {
      const { catalog, other } = open();
      const [{ tenant, agent }, elsewhere] = [await things.seed(catalog), await things.seed(catalog)];
      const evidence = (id: string, n: number, outcome = 'succeeded'): Evidence => ({
        ...{ id, tenantId: tenant.id, plan: 'portal', planVersion: 1, planDigest: '0'.repeat(64), kind: 'drill', outcome },
        ...{ createdAt: moment(n), receivedAt: moment(n), runId: things.id('run'), agentId: agent.id, keyId: '0'.repeat(16) },
        ...{
          publicKey: 'A'.repeat(43),
          rtoMs: 1.5,
          levels: [{ edition: 'e', level: 2 }],
          files: [{ name: 'pack.json', bytes: 3 }],
        },
      });
      const content = new Uint8Array([0, 255, 10]);
      expect(await catalog.evidence.add(evidence('a', 1), [{ name: 'pack.json', content }])).toBe('added');
      expect(await other.evidence.add(evidence('a', 9), [{ name: 'pack.json', content: new Uint8Array(1) }])).toBe('exists');
      await other.evidence.add(evidence('b', 3, 'failed'), []);
      await other.evidence.add(evidence('c', 2), []);
      expect(await other.evidence.file(tenant.id, 'a', 'pack.json')).toEqual(content);
      expect(await other.evidence.file(tenant.id, 'a', 'other')).toBeUndefined();
      expect(await other.evidence.file(elsewhere.tenant.id, 'a', 'pack.json')).toBeUndefined();
      expect(await other.evidence.get(elsewhere.tenant.id, 'a')).toBeUndefined();
      expect(await other.evidence.get(tenant.id, 'a')).toMatchObject({ receivedAt: moment(1), rtoMs: 1.5 });
      const listed = async (filter: EvidenceFilter) =>
        (await pages((page) => catalog.evidence.list(tenant.id, filter, page), 1)).flat();
      expect((await listed({})).map(({ id }) => id)).toEqual(['b', 'c', 'a']);
      expect((await listed({ plan: 'portal', outcome: 'succeeded' })).map(({ id }) => id)).toEqual(['c', 'a']);
      expect(await listed({ kind: 'failback' })).toEqual([]);
    });

    it('changes of a failover only what becomes of it, and knows the newest of a plan', async () => {
      const { catalog, other } = open();
      const { tenant, agent } = await things.seed(catalog);
      const failover = (id: string): Failover => ({
        ...{
          id,
          tenantId: tenant.id,
          plan: 'portal',
          planVersion: 1,
          planDigest: '0'.repeat(64),
          kind: 'planned',
          reason: 'works',
        },
        ...{ agentId: agent.id, requestedBy: 'person:a', requestedAt: moment(0), approvalId: things.id('approval') },
        ...{ approvers: [], state: 'waiting' },
      });
      const [first, second] = [things.id('failover'), things.id('failover')].sort().map(failover) as [Failover, Failover];
      for (const one of [first, second]) await catalog.failovers.add(one);
      expect(await other.failovers.newest(tenant.id, 'portal')).toEqual(second);
      const changed: Failover = { ...first, state: 'approved', approvers: ['b'], runId: things.id('run'), heardAt: moment(1) };
      expect(await other.failovers.change({ ...changed, reason: 'another' })).toBe(true);
      expect(await catalog.failovers.get(tenant.id, first.id)).toEqual(changed);
      expect(await catalog.failovers.change({ ...changed, tenantId: things.id('tenant') })).toBe(false);
      expect(await pages((page) => catalog.failovers.list(tenant.id, page), 1)).toEqual([[second], [changed]]);
    });
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

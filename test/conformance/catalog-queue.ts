// The part of the catalogue's conformance suite that is about the queue.

import { beforeAll, describe, expect, it } from 'vitest';
import type { Catalog, Claim } from '../../src/catalog/catalog.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { Asset } from '../../src/model/asset.ts';
import { LOST_MAX, type Run } from '../../src/model/run.ts';
import { RUN_KINDS } from '../../src/model/run-kind.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { moment, type Things } from '../support/catalog-things.ts';
import { pages } from './catalog.ts';

const LEASE_MS = 30_000;

export function queueConformance(
  under: () => { readonly catalog: Catalog; readonly other: Catalog; readonly things: Things },
): void {
  let catalog: Catalog;
  let other: Catalog;
  let things: Things;
  const claimOf = (seconds: number, more: Partial<Claim> = {}): Claim => ({
    by: 'service:a',
    kinds: RUN_KINDS,
    at: moment(seconds),
    leaseMs: LEASE_MS,
    perAgentMax: 100,
    perTenantMax: 100,
    totalMax: 10_000,
    ...more,
  });
  const seeded = async (): Promise<{ tenant: Tenant; agent: Agent; asset: Asset; assets: Asset[] }> => {
    const { tenant, agent, asset } = await things.seed(catalog);
    const assets = [asset, ...Array.from({ length: 5 }, () => things.asset(tenant.id, agent.id))];
    for (const one of assets.slice(1)) await catalog.assets.add(one);
    return { tenant, agent, asset, assets };
  };
  /** Ends everything that is queued or runs, so that a test knows what is there. */
  const clear = async (): Promise<void> => {
    for (let run: Run | undefined; (run = await catalog.runs.claim(claimOf(90_000))) !== undefined; )
      await catalog.runs.end(run.id, run.fence, moment(90_000), { state: 'canceled' });
    await catalog.runs.expire(moment(10_000_000), moment(10_000_000), 1000);
  };

  describe('the queue', () => {
    beforeAll(async () => {
      ({ catalog, other, things } = under());
      await clear();
    });

    it('takes a run once for each key', async () => {
      const { tenant, asset, agent } = await seeded();
      const run = things.run(tenant.id, { assetId: asset.id, agentId: agent.id, startBy: moment(600) });
      const adds = Array.from({ length: 10 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).runs.add({ ...run, id: things.id('run') }, moment(1)),
      );
      const outcomes = await Promise.all(adds);
      expect(outcomes.filter(({ outcome }) => outcome === 'added')).toHaveLength(1);
      const stored = outcomes.find(({ outcome }) => outcome === 'added')!.run;
      for (const one of outcomes) expect(one.run).toEqual(stored);
      expect(await other.runs.byKey(tenant.id, run.key)).toEqual(stored);
      expect(stored).toEqual({ ...run, id: stored.id, state: 'queued', attempt: 0, fence: 0, createdAt: moment(1) });
      const elsewhere = await seeded();
      expect((await catalog.runs.add(things.run(elsewhere.tenant.id, { key: run.key }), moment(1))).outcome).toBe('added');
      await clear();
    });

    it('gives the best run that may start now', async () => {
      const { tenant, agent, assets } = await seeded();
      const add = async (priority: number, dueSeconds: number, more = {}) => {
        const assetId = assets[order.length]!.id;
        order.push(
          (
            await catalog.runs.add(
              things.run(tenant.id, { assetId, agentId: agent.id, priority, dueAt: moment(dueSeconds), ...more }),
              moment(0),
            )
          ).run.id,
        );
      };
      const order: string[] = [];
      await add(50, 20);
      await add(50, 10);
      await add(90, 30);
      await add(99, 0, { notBefore: moment(1000) });
      await add(99, 0, { startBy: moment(99) });
      const claim = claimOf(100, { agentId: agent.id });
      const claimed: (string | undefined)[] = [];
      for (let n = 0; n < 4; n++) claimed.push((await catalog.runs.claim(claim))?.id);
      expect(claimed).toEqual([order[2], order[1], order[0], undefined]);
      expect((await other.runs.claim(claimOf(1000, { agentId: agent.id })))?.id).toBe(order[3]);
      await clear();
    });

    it('gives runs of an agent to that agent, and those of nobody to the service, of the kinds that they ask for', async () => {
      const a = await seeded();
      const b = await seeded();
      await catalog.runs.add(things.run(a.tenant.id, { agentId: a.agent.id, assetId: a.asset.id }), moment(0));
      await catalog.runs.add(things.run(a.tenant.id, { kind: 'prune' }), moment(0));
      expect(await catalog.runs.claim(claimOf(1, { agentId: b.agent.id }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { kinds: ['verify', 'backup'] }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { agentId: a.agent.id, kinds: ['restore'] }))).toBeUndefined();
      const claimed = await catalog.runs.claim(claimOf(1, { agentId: a.agent.id, by: 'agent:a', kinds: ['restore', 'backup'] }));
      expect(claimed).toMatchObject({
        kind: 'backup',
        state: 'running',
        claimedBy: 'agent:a',
        attempt: 1,
        fence: 1,
        startedAt: moment(1),
        leaseUntil: moment(31),
      });
      expect(await other.runs.get(a.tenant.id, claimed!.id)).toEqual(claimed);
      expect(await catalog.runs.claim(claimOf(1))).toMatchObject({ kind: 'prune', claimedBy: 'service:a' });
      await clear();
    });

    it('keeps the limits of an agent, of a tenant and of all', async () => {
      const a = await seeded();
      const b = await seeded();
      for (const asset of a.assets)
        await catalog.runs.add(things.run(a.tenant.id, { agentId: a.agent.id, assetId: asset.id }), moment(0));
      await catalog.runs.add(things.run(a.tenant.id, { kind: 'prune' }), moment(0));
      await catalog.runs.add(things.run(b.tenant.id, { kind: 'prune' }), moment(1));
      const ofA = { agentId: a.agent.id };
      expect(await catalog.runs.claim(claimOf(1, ofA))).toBeDefined();
      expect(await catalog.runs.claim(claimOf(1, ofA))).toBeDefined();
      expect(await catalog.runs.claim(claimOf(1, { ...ofA, perAgentMax: 2 }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { ...ofA, perTenantMax: 2 }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { ...ofA, totalMax: 2 }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { totalMax: 2 }))).toBeUndefined();
      expect(await catalog.runs.claim(claimOf(1, { perTenantMax: 2 })), 'the next tenant').toMatchObject({ tenantId: b.tenant.id });
      expect(await catalog.runs.claim(claimOf(1, { ...ofA, perAgentMax: 3, perTenantMax: 3, totalMax: 4 }))).toBeDefined();
      await clear();
      await clear();
    });

    it('runs one of a kind of an asset at a time, restores as many as there are', async () => {
      const { tenant, agent, asset } = await seeded();
      for (const kind of ['backup', 'backup', 'restore', 'restore', 'restore-test'] as const)
        await catalog.runs.add(things.run(tenant.id, { agentId: agent.id, assetId: asset.id, kind }), moment(0));
      for (const n of [0, 1]) await catalog.runs.add(things.run(tenant.id, { kind: 'prune', dueAt: moment(n) }), moment(0));
      const kinds: (string | undefined)[] = [];
      for (let n = 0; n < 5; n++) kinds.push((await catalog.runs.claim(claimOf(1, { agentId: agent.id })))?.kind);
      expect(kinds.toSorted()).toEqual(['backup', 'restore', 'restore', 'restore-test', undefined]);
      const prune = await catalog.runs.claim(claimOf(1));
      expect(await catalog.runs.claim(claimOf(1)), 'the same repository').toBeUndefined();
      await catalog.runs.end(prune!.id, prune!.fence, moment(2), { state: 'succeeded' });
      expect(await catalog.runs.claim(claimOf(3))).toMatchObject({ kind: 'prune' });
      await clear();
    });

    it('gives each run to one of many claimers', async () => {
      const { tenant } = await seeded();
      for (let n = 0; n < 30; n++) await catalog.runs.add(things.run(tenant.id, { kind: 'restore' }), moment(0));
      const claims = Array.from({ length: 45 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).runs.claim(claimOf(1, { by: `service:${n}` })),
      );
      const claimed = (await Promise.all(claims)).filter((run) => run !== undefined);
      expect(new Set(claimed.map(({ id }) => id)).size).toBe(30);
      expect(claimed).toHaveLength(30);
      await clear();
    });

    it('extends the lease of its holder, takes progress, and tells of a wish to stop', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id), moment(0));
      const run = (await catalog.runs.claim(claimOf(0)))!;
      const progress = { phase: 'reading', bytesDone: 5, at: moment(3) };
      expect(await catalog.runs.extend(run.id, 1, moment(3), LEASE_MS, progress)).toEqual({
        ...run,
        leaseUntil: moment(33),
        progress,
      });
      expect(await other.runs.extend(run.id, 1, moment(2), LEASE_MS), 'never shorter').toMatchObject({
        leaseUntil: moment(33),
        progress,
      });
      expect(await catalog.runs.extend(run.id, 2, moment(3), LEASE_MS)).toBe('fenced');
      expect(await catalog.runs.extend(run.id, 0, moment(3), LEASE_MS)).toBe('fenced');
      expect(await other.runs.cancel(tenant.id, run.id, moment(4))).toMatchObject({
        state: 'running',
        cancelRequestedAt: moment(4),
      });
      expect(await other.runs.cancel(tenant.id, run.id, moment(5)), 'the first wish counts').toMatchObject({
        cancelRequestedAt: moment(4),
      });
      expect(await catalog.runs.extend(run.id, 1, moment(5), LEASE_MS)).toMatchObject({ cancelRequestedAt: moment(4) });
      const ended = await catalog.runs.end(run.id, 1, moment(6), { state: 'failed', retryAt: moment(9) });
      expect(ended, 'not tried again').toMatchObject({ state: 'failed', endedAt: moment(6) });
      expect(await catalog.runs.cancel(tenant.id, run.id, moment(9)), 'over is over').toEqual(ended);
    });

    it('hastens a queued run as far as it must, and no other', async () => {
      const { tenant, agent, asset } = await seeded();
      const parts = { assetId: asset.id, agentId: agent.id, priority: 50, perHostMax: 1, perSiteMax: 1 };
      const waiting = things.run(tenant.id, { ...parts, notBefore: moment(900), startBy: moment(950) });
      const { run } = await catalog.runs.add(waiting, moment(0));
      const hastened = await other.runs.hasten(tenant.id, run.id, moment(10), 70);
      const { perHostMax: _, perSiteMax: __, startBy: ___, ...kept } = run;
      expect(hastened).toEqual({ ...kept, notBefore: moment(10), priority: 70 });
      expect(await catalog.runs.hasten(tenant.id, run.id, moment(20), 40), 'never later, never less').toEqual(hastened);
      const elsewhere = await seeded();
      expect(await catalog.runs.hasten(elsewhere.tenant.id, run.id, moment(1), 99)).toBeUndefined();
      expect((await catalog.runs.claim(claimOf(10, { agentId: agent.id })))?.id).toBe(run.id);
      expect(await catalog.runs.hasten(tenant.id, run.id, moment(1), 99), 'it runs').toBeUndefined();
      await clear();
    });

    it('cancels a queued run at once', async () => {
      const { tenant } = await seeded();
      const { run } = await catalog.runs.add(things.run(tenant.id), moment(0));
      expect(await other.runs.cancel(tenant.id, run.id, moment(1))).toMatchObject({ state: 'canceled', endedAt: moment(1) });
      expect(await catalog.runs.claim(claimOf(2))).toBeUndefined();
      expect(await catalog.runs.end(run.id, 0, moment(2), { state: 'succeeded' })).toBe('fenced');
    });

    it('ends once, and says the same to who says the same', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id), moment(0));
      const run = (await catalog.runs.claim(claimOf(0)))!;
      const end = { state: 'warned' as const, result: { snapshot: 'x' }, fault: { code: 'X', message: 'm', hint: 'h' } };
      const ended = await catalog.runs.end(run.id, 1, moment(5), end);
      const { claimedBy: _, leaseUntil: __, ...rest } = run;
      expect(ended).toEqual({ ...rest, ...end, endedAt: moment(5) });
      expect(await other.runs.end(run.id, 1, moment(8), end)).toEqual(ended);
      expect(await catalog.runs.end(run.id, 1, moment(8), { state: 'succeeded' })).toBe('fenced');
      expect(await catalog.runs.end(run.id, 2, moment(8), end)).toBe('fenced');
      expect(await catalog.runs.extend(run.id, 1, moment(8), LEASE_MS)).toBe('fenced');
      expect(await catalog.runs.end(things.id('run'), 1, moment(8), end)).toBe('fenced');
    });

    it('tries again as often as it may, under a greater fence each time', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id, { attemptsMax: 2 }), moment(0));
      const first = (await catalog.runs.claim(claimOf(0)))!;
      const fault = { code: 'STORE_TIMEOUT', message: 'm', hint: 'h' };
      const failed = { state: 'failed' as const, fault, retryAt: moment(60) };
      const again = await catalog.runs.end(first.id, 1, moment(5), failed);
      expect(again).toMatchObject({ state: 'queued', notBefore: moment(60), fault, attempt: 1 });
      expect(await other.runs.end(first.id, 1, moment(6), failed)).toEqual(again);
      expect(await catalog.runs.claim(claimOf(59))).toBeUndefined();
      const second = (await other.runs.claim(claimOf(60)))!;
      expect(second).toMatchObject({ attempt: 2, fence: 2, startedAt: moment(60) });
      expect(second.fault).toBeUndefined();
      expect(await catalog.runs.extend(first.id, 1, moment(61), LEASE_MS)).toBe('fenced');
      expect(await catalog.runs.end(first.id, 1, moment(61), { state: 'succeeded' })).toBe('fenced');
      expect(await catalog.runs.end(first.id, 2, moment(62), failed)).toMatchObject({ state: 'failed', endedAt: moment(62) });
    });

    it('gives a run whose holder fell silent to another, and refuses the holder from then on', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id, { attemptsMax: 2 }), moment(0));
      const first = (await catalog.runs.claim(claimOf(0)))!;
      expect(await catalog.runs.expire(moment(30), moment(40), 10)).toEqual([]);
      const expired = await Promise.all([catalog, other].map((one) => one.runs.expire(moment(31), moment(40), 10)));
      expect(expired.flat()).toMatchObject([{ id: first.id, state: 'queued', notBefore: moment(40), fault: { code: 'RUN_LOST' } }]);
      expect(await catalog.runs.end(first.id, 1, moment(32), { state: 'succeeded' })).toBe('fenced');
      expect(await catalog.runs.extend(first.id, 1, moment(32), LEASE_MS)).toBe('fenced');
      expect(await catalog.runs.claim(claimOf(40))).toMatchObject({ id: first.id, fence: 2, attempt: 2, lost: 1 });
      await clear();
    });

    it('does not repeat what was asked for once, also when its holder fell silent', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id, { attemptsMax: 1 }), moment(0));
      const { id } = (await catalog.runs.claim(claimOf(0)))!;
      expect(await catalog.runs.expire(moment(31), moment(40), 10)).toMatchObject([
        { id, state: 'failed', fault: { code: 'RUN_LOST' } },
      ]);
    });

    it('uses up no attempt of a run that lost its holder, and ends one that loses it every time', async () => {
      const { tenant } = await seeded();
      const { run } = await catalog.runs.add(things.run(tenant.id, { attemptsMax: 2 }), moment(0));
      const fault = { code: 'SERVICE_STOPPING', message: 'm', hint: 'h' };
      const claim = async (n: number) => (await catalog.runs.claim(claimOf(n * 100)))!;
      let n = 0;
      // By its lease, and as its holder said when it was stopped.
      for (; n < LOST_MAX - 1; n++) {
        const { fence } = await claim(n);
        const at = moment(n * 100 + 50);
        if (n % 2 === 0)
          expect(await catalog.runs.expire(at, at, 10)).toMatchObject([{ id: run.id, state: 'queued', lost: n + 1 }]);
        else {
          const end = { state: 'failed', loss: 'holder', fault, retryAt: at } as const;
          expect(await catalog.runs.end(run.id, fence, at, end)).toMatchObject({ state: 'queued', lost: n + 1 });
        }
      }
      const { fence } = await claim(n);
      const failed = { state: 'failed', fault: { ...fault, code: 'STORE_TIMEOUT' }, retryAt: moment(n * 100 + 10) } as const;
      expect(await catalog.runs.end(run.id, fence, moment(n * 100 + 10), failed), 'the first failure').toMatchObject({
        state: 'queued',
        attempt: LOST_MAX,
        lost: LOST_MAX - 1,
      });
      expect(await claim(++n)).toMatchObject({ id: run.id });
      const at = moment(n * 100 + 50);
      expect(await catalog.runs.expire(at, at, 10)).toMatchObject([
        { id: run.id, state: 'failed', lost: LOST_MAX, fault: { code: 'RUN_LOST_TOO_OFTEN' } },
      ]);
      await clear();
    });

    it("keeps a run's own limits of its host and its site, which others fill too", async () => {
      const { tenant, agent, assets } = await seeded();
      const [second, elsewhere] = [things.agent(tenant.id), things.agent(tenant.id)];
      for (const one of [second, elsewhere]) await catalog.agents.add(one);
      for (const one of [agent, second]) expect(await catalog.agents.place(one.id, 'north')).toBe(true);
      expect((await other.agents.get(agent.id))?.site).toBe('north');
      const add = async (agentId: string, n: number, more = {}): Promise<string> => {
        const asset = things.asset(tenant.id, agentId);
        await catalog.assets.add(asset);
        const run = things.run(tenant.id, { agentId, assetId: asset.id, dueAt: moment(n), ...more });
        return (await catalog.runs.add(run, moment(0))).run.id;
      };
      expect(assets.length).toBeGreaterThan(0);
      const claim = (agentId: string) => catalog.runs.claim(claimOf(10, { agentId }));
      const one = await add(agent.id, 1, { perHostMax: 1, perSiteMax: 2 });
      const two = await add(agent.id, 2, { perHostMax: 1, perSiteMax: 2 });
      const three = await add(second.id, 3, { perHostMax: 1, perSiteMax: 2 });
      const four = await add(second.id, 4, { perSiteMax: 2 });
      const five = await add(second.id, 5);
      const six = await add(elsewhere.id, 6, { perSiteMax: 1 });
      const running = await claim(agent.id);
      expect(running).toMatchObject({ id: one, site: 'north' });
      expect(await claim(agent.id), 'its host is full').toBeUndefined();
      expect((await claim(second.id))?.id).toBe(three);
      expect((await claim(second.id))?.id, 'the site is full; one without limits goes on').toBe(five);
      expect((await claim(elsewhere.id))?.id, 'at no site').toBe(six);
      await catalog.runs.end(one, running!.fence, moment(11), { state: 'succeeded' });
      expect(await claim(agent.id), 'still two at the site').toBeUndefined();
      await catalog.runs.end(five, 1, moment(11), { state: 'succeeded' });
      expect((await claim(agent.id))?.id).toBe(two);
      expect(await claim(second.id)).toBeUndefined();
      expect((await other.runs.get(tenant.id, four))?.state).toBe('queued');
      await catalog.agents.place(agent.id, undefined);
      expect((await catalog.agents.get(agent.id))?.site).toBeUndefined();
      await clear();
      await clear();
    });

    it('lets a holder that was late say so before anybody noticed', async () => {
      const { tenant } = await seeded();
      await catalog.runs.add(things.run(tenant.id), moment(0));
      const run = (await catalog.runs.claim(claimOf(0)))!;
      expect(await catalog.runs.extend(run.id, 1, moment(100), LEASE_MS)).toMatchObject({ leaseUntil: moment(130) });
      expect(await catalog.runs.expire(moment(101), moment(101), 10)).toEqual([]);
      expect(await catalog.runs.end(run.id, 1, moment(200), { state: 'succeeded' })).toMatchObject({ state: 'succeeded' });
    });

    it('ends what nobody started in its window, and what was asked to stop and fell silent', async () => {
      const { tenant } = await seeded();
      const late = (await catalog.runs.add(things.run(tenant.id, { kind: 'verify', startBy: moment(50) }), moment(0))).run;
      await catalog.runs.add(things.run(tenant.id), moment(0));
      const running = (await catalog.runs.claim(claimOf(0, { kinds: ['backup'] })))!;
      await catalog.runs.cancel(tenant.id, running.id, moment(1));
      expect(await catalog.runs.expire(moment(50), moment(60), 1)).toMatchObject([{ id: running.id, state: 'canceled' }]);
      expect(await catalog.runs.expire(moment(50), moment(60), 1), 'not yet').toEqual([]);
      expect(await catalog.runs.expire(moment(51), moment(60), 1)).toMatchObject([
        { id: late.id, state: 'failed', fault: { code: 'RUN_TOO_LATE' } },
      ]);
    });

    it('lists newest first, filtered, in pages; counts; and finds the newest that ended well', async () => {
      const { tenant, agent, assets } = await seeded();
      const before = await catalog.runs.counts();
      const made: Run[] = [];
      for (let n = 0; n < 7; n++) {
        const kind = n % 2 === 0 ? ('backup' as const) : ('verify' as const);
        const assetId = assets[n % 3]!.id;
        made.unshift((await catalog.runs.add(things.run(tenant.id, { kind, assetId, agentId: agent.id }), moment(n))).run);
      }
      const listed = await pages((page) => catalog.runs.list(tenant.id, {}, page), 3);
      expect(listed.map((items) => items.length)).toEqual([3, 3, 1]);
      expect(listed.flat()).toEqual(made);
      const filter = { assetId: assets[0]!.id, kind: 'backup' as const, states: ['queued' as const], since: moment(1) };
      expect((await catalog.runs.list(tenant.id, filter, { limit: 9 })).items).toEqual([made[0]]);
      expect((await catalog.runs.list(tenant.id, { states: ['running', 'failed'] }, { limit: 9 })).items).toEqual([]);
      const run = (await catalog.runs.claim(claimOf(10, { agentId: agent.id, kinds: ['backup'] })))!;
      await catalog.runs.end(run.id, 1, moment(11), { state: 'succeeded' });
      expect(await other.runs.latest(run.assetId!, 'backup', ['succeeded', 'warned'])).toMatchObject({ id: run.id });
      expect(await other.runs.latest(run.assetId!, 'backup', ['warned'])).toBeUndefined();
      expect(await other.runs.latest(run.assetId!, 'verify', ['succeeded'])).toBeUndefined();
      const count = (counts: typeof before, kind: string, state: string) =>
        counts.find((one) => one.kind === kind && one.state === state)?.count ?? 0;
      const now = await other.runs.counts();
      expect(count(now, 'backup', 'queued') - count(before, 'backup', 'queued')).toBe(3);
      expect(count(now, 'verify', 'queued') - count(before, 'verify', 'queued')).toBe(3);
      expect(count(now, 'backup', 'succeeded') - count(before, 'backup', 'succeeded')).toBe(1);
    });
  });
}

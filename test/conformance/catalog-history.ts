// The part of the catalogue's conformance suite that is about trimming what is over and old.

import { beforeAll, describe, expect, it } from 'vitest';
import type { Catalog, HistoryKind, WriteSession } from '../../src/catalog/catalog.ts';
import type { Delivery } from '../../src/catalog/deliveries.ts';
import type { Event } from '../../src/model/event.ts';
import { newId } from '../../src/model/identifier.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import { moment, type Things } from '../support/catalog-things.ts';

export function historyConformance(
  under: () => { readonly catalog: Catalog; readonly other: Catalog; readonly things: Things },
): void {
  let catalog: Catalog;
  let other: Catalog;
  let things: Things;

  describe('history', () => {
    beforeAll(() => {
      ({ catalog, other, things } = under());
    });

    const DAY = 86_400;
    const trimAll = async (kind: HistoryKind, before: string): Promise<number> => {
      let count = 0;
      for (let after: string | undefined; ; ) {
        const { deleted, next } = await catalog.history.trim(kind, before, 2, after);
        count += deleted;
        if (next === undefined) return count;
        after = next;
      }
    };

    it('of runs is trimmed, but for the newest of each kind and outcome; counts and keys of others stay', async () => {
      const { tenant, agent, asset } = await things.seed(catalog);
      // An id says when it was made.
      const add = async (day: number, kind: RunKind, state: 'succeeded' | 'failed' | 'queued', ofAsset = true) => {
        const id = newId('run', new Date(moment(day * DAY)), things.random);
        const more = ofAsset ? { assetId: asset.id } : {};
        const { run } = await catalog.runs.add(things.run(tenant.id, { id, kind, ...more }), moment(day * DAY));
        if (state === 'queued') return id;
        const claim = {
          by: 'service:x',
          kinds: [kind],
          at: moment(day * DAY),
          leaseMs: 1000,
          perAgentMax: 9,
          perTenantMax: 99,
          totalMax: 9999,
        };
        const claimed = (await catalog.runs.claim(claim))!;
        expect(claimed.id).toBe(run.id);
        await catalog.runs.end(id, claimed.fence, moment(day * DAY + 60), { state });
        return id;
      };
      expect(agent.tenantId).toBe(tenant.id);
      const before = await catalog.runs.counts();
      const gone = [
        await add(1, 'backup', 'succeeded'),
        await add(2, 'backup', 'succeeded'),
        await add(3, 'prune', 'succeeded', false),
      ];
      const kept = [
        await add(4, 'backup', 'failed'),
        await add(5, 'backup', 'succeeded'),
        await add(6, 'verify', 'succeeded', false),
        await add(7, 'prune', 'succeeded', false),
        await add(20, 'restore', 'succeeded'),
        await add(21, 'restore', 'succeeded'),
        await add(8, 'forget', 'queued'),
      ];
      expect(await trimAll('runs', moment(10 * DAY))).toBeGreaterThanOrEqual(3);
      for (const id of gone) expect(await other.runs.get(tenant.id, id)).toBeUndefined();
      for (const id of kept) expect((await other.runs.get(tenant.id, id))?.id).toBe(id);
      const counted = (counts: typeof before) =>
        counts.find(({ kind, state }) => kind === 'backup' && state === 'succeeded')?.count ?? 0;
      expect(counted(await catalog.runs.counts()) - counted(before)).toBe(3);
      expect(await trimAll('runs', moment(10 * DAY))).toBe(0);
      await catalog.runs.cancel(tenant.id, kept.at(-1)!, moment(30 * DAY));
    });

    it('of events goes with what was delivered of them, and not before', async () => {
      const { tenant } = await things.seed(catalog);
      const add = (seconds: number) =>
        catalog.events.add({ tenantId: tenant.id, kind: 'x', severity: 'info', message: 'm' }, moment(seconds));
      const [delivered, waiting, quiet, young] = [await add(1), await add(2), await add(3), await add(100 * DAY)];
      const delivery = ({ id, sequence }: Event, state: Delivery['state']): Delivery => ({
        id: things.id('delivery'),
        eventId: id,
        sequence,
        channel: 'c',
        attempt: 0,
        notBefore: moment(1_000 * DAY),
        state,
      });
      await catalog.deliveries.add(delivery(delivered, 'delivered'));
      const held = delivery(waiting, 'waiting');
      await catalog.deliveries.add(held);
      await trimAll('events', moment(50 * DAY));
      const left = async () => (await other.events.after(0, tenant.id, 10)).map(({ id }) => id);
      expect(await left()).toEqual([waiting.id, young.id]);
      expect(quiet.sequence).toBeLessThan(young.sequence);
      await catalog.deliveries.change({ ...held, state: 'given-up' });
      await trimAll('events', moment(50 * DAY));
      expect(await left()).toEqual([young.id]);
    });

    it('of sessions is trimmed when they are over and their recovery point is gone; of logins when they are', async () => {
      const { tenant, agent, asset } = await things.seed(catalog);
      const put = async (session: string, state: WriteSession['state'], day: number) => {
        const ids = { tenantId: tenant.id, agentId: agent.id, runId: things.id('run') };
        await catalog.sessions.put({ session, ...ids, state, openedAt: moment(day * DAY) });
        return session;
      };
      const name = () => Buffer.from(things.random(10)).toString('hex');
      const point = things.point(tenant.id, { assetId: asset.id });
      await catalog.recoveryPoints.put(point);
      const kept = [await put(point.snapshot, 'committed', 1), await put(name(), 'open', 2), await put(name(), 'committed', 100)];
      const gone = [await put(name(), 'committed', 3), await put(name(), 'abandoned', 4), await put(name(), 'committed', 5)];
      expect(await trimAll('sessions', moment(50 * DAY))).toBeGreaterThanOrEqual(3);
      for (const session of gone) expect(await other.sessions.get(session)).toBeUndefined();
      for (const session of kept) expect((await other.sessions.get(session))?.session).toBe(session);
      const person = {
        id: things.id('person'),
        login: `login-${name()}`,
        label: 'p',
        grants: [],
        state: 'active' as const,
        hasTotp: false,
      };
      await catalog.people.add({ ...person, createdAt: moment(0), version: 1 }, { passwordHash: 'x' });
      const token = async (more: object) => {
        const id = things.id('token');
        const base = { id, label: 't', grants: [], createdBy: 'x', createdAt: moment(0) };
        await catalog.tokens.add({ ...base, ...more }, name());
        return id;
      };
      const old = await token({ personId: person.id, expiresAt: moment(DAY) });
      const others = [await token({ personId: person.id, expiresAt: moment(99 * DAY) }), await token({ expiresAt: moment(DAY) })];
      await trimAll('logins', moment(50 * DAY));
      expect(await other.tokens.get(old)).toBeUndefined();
      for (const id of others) expect((await other.tokens.get(id))?.id).toBe(id);
    });
  });
}

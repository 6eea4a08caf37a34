// What every Catalog must do, whatever lies under it. Each driver's test file runs this suite.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { Event } from '../../src/model/event.ts';
import type { Page, PageRequest } from '../../src/model/page.ts';
import { catalogThings, moment, type Things } from '../support/catalog-things.ts';
import { historyConformance } from './catalog-history.ts';
import { plansConformance } from './catalog-plans.ts';
import { queueConformance } from './catalog-queue.ts';

export type CatalogUnderTest = {
  readonly catalog: Catalog;
  /** The same catalogue as another process would open it. */
  readonly other: Catalog;
  readonly cleanUp: () => Promise<void>;
};

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    return `no fault but ${JSON.stringify(await promise)}`;
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
};

export async function pages<T>(list: (page: PageRequest) => Promise<Page<T>>, limit: number): Promise<T[][]> {
  const all: T[][] = [];
  for (let after: string | undefined; ; ) {
    const page = await list(after === undefined ? { limit } : { limit, after });
    all.push([...page.items]);
    after = page.next;
    if (after === undefined) return all;
  }
}

export function catalogConformance(open: () => Promise<CatalogUnderTest>): void {
  let under: CatalogUnderTest;
  let catalog: Catalog;
  let other: Catalog;
  const things: Things = catalogThings(7);
  beforeAll(async () => {
    under = await open();
    ({ catalog, other } = under);
  });
  afterAll(() => under.cleanUp());

  describe('a catalogue', () => {
    it('gives back what was added, in every process', async () => {
      const { tenant, agent, asset } = await things.seed(catalog);
      for (const one of [catalog, other]) {
        expect(await one.tenants.get(tenant.id)).toEqual(tenant);
        expect(await one.tenants.byName(tenant.name)).toEqual(tenant);
        expect(await one.agents.get(agent.id)).toEqual(agent);
        expect(await one.assets.get(tenant.id, asset.id)).toEqual(asset);
        expect(await one.assets.byName(tenant.id, asset.name)).toEqual(asset);
      }
    });

    it('gives names once', async () => {
      const { tenant, agent, asset } = await things.seed(catalog);
      expect(await catalog.tenants.add(things.tenant({ name: tenant.name }))).toBe('exists');
      expect(await other.tenants.add(tenant)).toBe('exists');
      expect(await catalog.agents.add(things.agent(tenant.id, { publicKey: agent.publicKey }))).toBe('exists');
      expect(await catalog.assets.add(things.asset(tenant.id, agent.id, { name: asset.name }))).toBe('exists');
      const elsewhere = await things.seed(catalog);
      const same = things.asset(elsewhere.tenant.id, elsewhere.agent.id, { name: asset.name });
      expect(await catalog.assets.add(same), 'in another tenant').toBe('added');
    });

    it('hides what belongs to another tenant', async () => {
      const a = await things.seed(catalog);
      const b = await things.seed(catalog);
      const point = things.point(a.tenant.id, { runId: things.id('run') });
      await catalog.recoveryPoints.put(point);
      const { run } = await catalog.runs.add(things.run(a.tenant.id), moment(0));
      expect(await catalog.agents.get(a.agent.id, b.tenant.id)).toBeUndefined();
      expect(await catalog.agents.get(a.agent.id, a.tenant.id)).toEqual(a.agent);
      expect(await catalog.assets.get(b.tenant.id, a.asset.id)).toBeUndefined();
      expect(await catalog.assets.byName(b.tenant.id, a.asset.name)).toBeUndefined();
      expect(await catalog.assets.change({ ...a.asset, tenantId: b.tenant.id })).toBe('missing');
      expect(await catalog.runs.get(b.tenant.id, run.id)).toBeUndefined();
      expect(await catalog.runs.byKey(b.tenant.id, run.key)).toBeUndefined();
      expect(await catalog.runs.cancel(b.tenant.id, run.id, moment(1))).toBeUndefined();
      expect((await catalog.runs.get(a.tenant.id, run.id))?.state).toBe('queued');
      expect(await catalog.recoveryPoints.get(b.tenant.id, point.snapshot)).toBeUndefined();
      expect(await catalog.recoveryPoints.madeBy(a.tenant.id, point.runId!)).toEqual(point);
      expect(await catalog.recoveryPoints.madeBy(b.tenant.id, point.runId!)).toBeUndefined();
      expect(await catalog.recoveryPoints.remove(b.tenant.id, point.snapshot)).toBe(false);
      for (const items of [
        (await catalog.agents.list(b.tenant.id, { limit: 10 })).items,
        (await catalog.assets.list(b.tenant.id, { limit: 10 })).items,
        (await catalog.runs.list(b.tenant.id, {}, { limit: 10 })).items,
        (await catalog.recoveryPoints.list(b.tenant.id, undefined, { limit: 10 })).items,
        (await catalog.recoveryPoints.list(b.tenant.id, a.asset.id, { limit: 10 })).items,
      ])
        expect(JSON.stringify(items)).not.toContain(a.tenant.id);
    });

    it('refuses what points into nothing or into another tenant', async () => {
      const a = await things.seed(catalog);
      const b = await things.seed(catalog);
      expect(await codeOf(catalog.agents.add(things.agent(things.id('tenant'))))).toBe('INTERNAL');
      expect(await codeOf(catalog.assets.add(things.asset(a.tenant.id, b.agent.id)))).toBe('INTERNAL');
      expect(await codeOf(catalog.runs.add(things.run(a.tenant.id, { assetId: b.asset.id }), moment(0)))).toBe('INTERNAL');
      expect(await codeOf(catalog.recoveryPoints.put(things.point(a.tenant.id, { assetId: b.asset.id })))).toBe('INTERNAL');
    });

    it('changes from the version that was read, and from no other', async () => {
      const { tenant, asset } = await things.seed(catalog);
      const { city: _, ...changed } = { ...tenant, city: 'x', label: 'New', state: 'suspended' as const };
      expect(await catalog.tenants.change(changed)).toEqual({ ...changed, version: 2 });
      expect(await other.tenants.change({ ...tenant, label: 'Lost' })).toBe('stale');
      expect(await other.tenants.change(things.tenant())).toBe('missing');
      expect((await catalog.tenants.get(tenant.id))?.label).toBe('New');
      const moved = { ...asset, source: { kind: 'volume' as const, path: '/dev/sda' }, label: 'Disk', state: 'paused' as const };
      expect(await catalog.assets.change(moved)).toEqual({ ...moved, version: 2 });
      expect(await catalog.assets.change(moved)).toBe('stale');
    });

    it('lets one of many changes from one version win', async () => {
      const { tenant } = await things.seed(catalog);
      const changes = Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).tenants.change({ ...tenant, label: `${n}` }),
      );
      const outcomes = await Promise.all(changes);
      expect(outcomes.filter((outcome) => outcome === 'stale')).toHaveLength(19);
      expect(await catalog.tenants.get(tenant.id)).toEqual(outcomes.find((outcome) => typeof outcome === 'object'));
    });

    it('lists in pages without a gap or a repetition', async () => {
      const { tenant, agent } = await things.seed(catalog);
      const made = [(await catalog.assets.list(tenant.id, { limit: 1 })).items[0]!];
      for (let n = 0; n < 6; n++) {
        const asset = things.asset(tenant.id, agent.id);
        await catalog.assets.add(asset);
        made.push(asset);
      }
      const listed = await pages((page) => catalog.assets.list(tenant.id, page), 3);
      expect(listed.map((items) => items.length)).toEqual([3, 3, 1]);
      expect(listed.flat()).toEqual(made);
      const all = (await pages((page) => catalog.assets.listAll(page), 4)).flat();
      expect(all.filter(({ tenantId }) => tenantId === tenant.id)).toEqual(made);
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
      expect((await catalog.assets.list(tenant.id, { limit: 7 })).next, 'exactly a page').toBeUndefined();
    });
  });

  describe('a transaction', () => {
    it('is all or nothing', async () => {
      const tenant = things.tenant();
      const agent = things.agent(tenant.id);
      const thrown = catalog.transaction(async (tables) => {
        await tables.tenants.add(tenant);
        await tables.agents.add(agent);
        await tables.agents.seen(agent.id, moment(1));
        expect((await tables.agents.get(agent.id))?.lastSeenAt, 'it sees what it wrote').toBe(moment(1));
        throw new Error('no');
      });
      await expect(thrown).rejects.toThrow('no');
      expect(await catalog.tenants.get(tenant.id)).toBeUndefined();
      const answer = await catalog.transaction(async (tables) => {
        await tables.tenants.add(tenant);
        await tables.agents.add(agent);
        return 5;
      });
      expect(answer).toBe(5);
      expect(await other.agents.get(agent.id)).toEqual(agent);
    });

    it('hides what it has not committed, and nothing of others gets into it', async () => {
      const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
      const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
      const ended = catalog.transaction(async (tables) => {
        await tables.settings.set('mixed', 'mine');
        reach();
        await allowed;
        throw new Error('undone');
      });
      await reached;
      const written = catalog.settings.set('beside', 'kept');
      expect(await catalog.settings.get('mixed')).toBeUndefined();
      expect(await other.settings.get('mixed')).toBeUndefined();
      expect(await catalog.settings.get('beside'), 'it waits').toBeUndefined();
      allow();
      await expect(ended).rejects.toThrow('undone');
      await written;
      expect(await catalog.settings.get('mixed')).toBeUndefined();
      expect(await other.settings.get('beside'), 'not undone with it').toBe('kept');
    });

    it('loses no increment of many at once, here and elsewhere', async () => {
      await catalog.settings.set('counter', '0');
      const increment = (one: Catalog) =>
        one.transaction(async (tables) => {
          const value = Number(await tables.settings.get('counter'));
          await new Promise((resolve) => setImmediate(resolve));
          await tables.settings.set('counter', `${value + 1}`);
        });
      await Promise.all(Array.from({ length: 40 }, (_, n) => increment(n % 2 === 0 ? catalog : other)));
      expect(await catalog.settings.get('counter')).toBe('40');
    });

    it('goes on after a refusal that its work caught', async () => {
      const { tenant, agent } = await things.seed(catalog);
      const asset = things.asset(tenant.id, agent.id);
      await catalog.transaction(async (tables) => {
        await tables.assets.add(things.asset(tenant.id, things.id('agent'))).catch(() => {});
        await tables.assets.add(asset);
      });
      expect(await catalog.assets.get(tenant.id, asset.id)).toEqual(asset);
    });

    it('is refused inside of another, as is writing past it; afterwards its tables are dead', async () => {
      await catalog.transaction(async () => {
        await expect(catalog.settings.set('past', 'x')).rejects.toThrow('through the tables');
        await expect(catalog.transaction(async () => {})).rejects.toThrow('through the tables');
      });
      const kept = await catalog.transaction(async (tables) => tables);
      await expect(kept.settings.set('late', 'x')).rejects.toThrow('over');
      await expect(kept.settings.get('late')).rejects.toThrow('over');
      expect(await catalog.settings.get('past')).toBeUndefined();
    });

    it('tells nothing of what was to be stored when it fails', async () => {
      const secret = 'hunter2-scrypt-hash';
      const person = {
        id: things.id('person'),
        login: 'ann',
        label: 'Ann',
        grants: [],
        state: 'active' as const,
        hasTotp: false,
        createdAt: moment(0),
        version: 1,
      };
      const failures: unknown[] = [];
      const token = { id: things.id('token'), label: 'x', grants: [], createdBy: secret, createdAt: moment(0) };
      await catalog.tokens.add(token, secret);
      await catalog.tokens.add({ ...token, id: things.id('token') }, secret).catch((error: unknown) => failures.push(error));
      await catalog.people
        .add({ ...person, state: secret as 'active' }, { passwordHash: secret })
        .catch((error: unknown) => failures.push(error));
      expect(failures).toHaveLength(2);
      for (const failure of failures) {
        expect(failure).toBeInstanceOf(Fault);
        const { message, stack, cause } = failure as Fault;
        expect(`${message} ${stack} ${String(cause)} ${(cause as Error).stack} ${JSON.stringify(cause)}`).not.toContain(secret);
      }
    });
  });

  describe('people, tokens and agents', () => {
    it('keeps the secrets of people apart from them', async () => {
      const { tenant } = await things.seed(catalog);
      const grants = [{ role: 'owner' as const, tenantId: tenant.id }];
      const person = {
        id: things.id('person'),
        login: 'bob',
        label: 'Bob',
        grants,
        state: 'active' as const,
        hasTotp: false,
        createdAt: moment(0),
        version: 1,
      };
      expect(await catalog.people.add(person, { passwordHash: 'hash' })).toBe('added');
      expect(await catalog.people.add({ ...person, id: things.id('person') }, { passwordHash: 'h' })).toBe('exists');
      expect(await catalog.people.get(person.id)).toEqual(person);
      expect(await other.people.byLogin('bob')).toEqual({ person, secrets: { passwordHash: 'hash' } });
      expect(await catalog.people.byLogin('nobody')).toBeUndefined();
      expect(await catalog.people.change({ ...person, hasTotp: true }, { passwordHash: 'other', totpSecret: 'totp' })).toEqual({
        ...person,
        hasTotp: true,
        version: 2,
      });
      expect(await catalog.people.change({ ...person, label: 'Old' }, { passwordHash: 'lost' })).toBe('stale');
      expect((await catalog.people.byLogin('bob'))?.secrets).toEqual({ passwordHash: 'other', totpSecret: 'totp' });
      expect(await catalog.people.change({ ...person, hasTotp: false, version: 2 })).toMatchObject({ version: 3 });
      expect((await catalog.people.byLogin('bob'))?.secrets.passwordHash, 'without secrets they stay').toBe('other');
      expect((await catalog.people.list({ limit: 10 }, tenant.id)).items.map(({ id }) => id)).toEqual([person.id]);
      expect((await catalog.people.list({ limit: 10 }, things.id('tenant'))).items).toEqual([]);
    });

    it('finds tokens by digest, revokes once', async () => {
      const { tenant } = await things.seed(catalog);
      const grants = [{ role: 'viewer' as const, tenantId: tenant.id }];
      const token = {
        id: things.id('token'),
        label: 'CI',
        grants,
        createdBy: 'person:x',
        createdAt: moment(0),
        expiresAt: moment(100),
      };
      await catalog.tokens.add(token, 'd1');
      expect(await other.tokens.byDigest('d1')).toEqual(token);
      expect(await catalog.tokens.byDigest('d2')).toBeUndefined();
      await catalog.tokens.used(token.id, moment(9));
      await catalog.tokens.used(token.id, moment(8));
      expect(await catalog.tokens.revoke(token.id, moment(10))).toBe(true);
      expect(await other.tokens.revoke(token.id, moment(11))).toBe(false);
      expect(await catalog.tokens.get(token.id)).toEqual({ ...token, lastUsedAt: moment(9), revokedAt: moment(10) });
      expect((await catalog.tokens.list({ limit: 10 }, tenant.id)).items).toHaveLength(1);
    });

    it('gives an enrolment to one of many, and to nobody once it is over', async () => {
      const { tenant } = await things.seed(catalog);
      const enrolment = {
        id: things.id('enrolment'),
        tenantId: tenant.id,
        label: 'web1',
        expiresAt: moment(60),
        createdBy: 'person:x',
      };
      await catalog.tokens.addEnrolment(enrolment, 'e1');
      await catalog.tokens.addEnrolment({ ...enrolment, id: things.id('enrolment') }, 'e2');
      const takes = Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? catalog : other).tokens.takeEnrolment('e1', moment(1)));
      expect((await Promise.all(takes)).filter((taken) => taken !== undefined)).toEqual([enrolment]);
      expect(await catalog.tokens.takeEnrolment('e2', moment(60))).toBeUndefined();
      expect(await catalog.tokens.takeEnrolment('e3', moment(1))).toBeUndefined();
    });

    it('remembers signs of life: at once here, soon elsewhere, never backwards', async () => {
      const { tenant, agent } = await things.seed(catalog);
      const host = { ...agent.host, hostname: 'renamed' };
      await catalog.agents.seen(agent.id, moment(5), host);
      await catalog.agents.seen(agent.id, moment(4));
      const expected = { ...agent, host, lastSeenAt: moment(5) };
      expect(await catalog.agents.get(agent.id)).toEqual(expected);
      expect((await catalog.agents.list(tenant.id, { limit: 5 })).items).toEqual([expected]);
      await expect.poll(() => other.agents.get(agent.id), { timeout: 20_000 }).toEqual(expected);
      expect(await catalog.agents.revoke(agent.id, moment(6))).toBe(true);
      expect(await other.agents.revoke(agent.id, moment(7))).toBe(false);
      expect(await catalog.agents.get(agent.id)).toEqual({ ...expected, state: 'revoked', revokedAt: moment(6) });
    });
  });

  describe('policies', () => {
    it('are of the provider or of a tenant, changed by version, and deleted only when no asset names them', async () => {
      const { tenant, asset } = await things.seed(catalog);
      const policy = {
        id: things.id('policy'),
        tenantId: tenant.id,
        name: 'gold',
        level: 'asset' as const,
        text: '# x\n',
        version: 1,
        changedAt: moment(0),
        changedBy: 'person:x',
      };
      const { tenantId: _, ...provider } = { ...policy, id: things.id('policy'), level: 'city' as const, scope: 'wuhan' };
      expect(await catalog.policies.add(policy)).toBe('added');
      expect(await catalog.policies.add(provider)).toBe('added');
      expect(await catalog.policies.add({ ...provider, id: things.id('policy') })).toBe('exists');
      expect(await catalog.policies.byName(tenant.id, 'gold')).toEqual(policy);
      expect(await catalog.policies.byName(undefined, 'gold')).toEqual(provider);
      expect((await catalog.policies.list(undefined, { limit: 9 })).items).toEqual([provider]);
      expect((await catalog.policies.list(tenant.id, { limit: 9 })).items).toEqual([policy]);
      expect(await catalog.policies.change({ ...policy, text: 'new' })).toEqual({ ...policy, text: 'new', version: 2 });
      expect(await catalog.policies.change(policy)).toBe('stale');
      await catalog.assets.change({ ...asset, policyId: policy.id });
      expect(await catalog.policies.delete(policy.id, 2)).toBe('in-use');
      expect(await catalog.policies.delete(provider.id, 2)).toBe('stale');
      expect(await catalog.policies.delete(provider.id, 1)).toBe('deleted');
      expect(await catalog.policies.delete(provider.id, 1)).toBe('missing');
    });
  });

  queueConformance(() => ({ catalog, other, things }));
  historyConformance(() => ({ catalog, other, things }));
  plansConformance(() => under, things);

  describe('recovery points', () => {
    it('are listed newest first, in pages, by tenant and by asset', async () => {
      const { tenant, agent, asset } = await things.seed(catalog);
      const second = things.asset(tenant.id, agent.id);
      await catalog.assets.add(second);
      const made = [];
      for (let n = 0; n < 7; n++) {
        // Two at one instant.
        const at = moment(Math.floor(n / 2));
        const point = things.point(tenant.id, { startedAt: at, assetId: n === 3 ? second.id : asset.id });
        await catalog.recoveryPoints.put(point);
        made.push(point);
      }
      made.sort((a, b) => (`${a.startedAt}${a.snapshot}` < `${b.startedAt}${b.snapshot}` ? 1 : -1));
      expect((await pages((page) => catalog.recoveryPoints.list(tenant.id, undefined, page), 2)).flat()).toEqual(made);
      const ofAsset = made.filter(({ assetId }) => assetId === asset.id);
      expect((await pages((page) => catalog.recoveryPoints.list(tenant.id, asset.id, page), 4)).flat()).toEqual(ofAsset);
      expect(await catalog.recoveryPoints.latest(asset.id)).toEqual(ofAsset[0]);
      const damaged = { ...ofAsset[0]!, isSound: false, provenAt: moment(9), proof: 'verify', tags: [] };
      await catalog.recoveryPoints.put(damaged);
      expect(await other.recoveryPoints.get(tenant.id, damaged.snapshot)).toEqual(damaged);
      expect(await catalog.recoveryPoints.latest(asset.id), 'the newest sound one').toEqual(ofAsset[1]);
      expect(await catalog.recoveryPoints.count(asset.id)).toBe(ofAsset.length);
      const deciding = async (damagedMax: number, until = moment(100)) =>
        (await other.recoveryPoints.deciding(asset.id, until, damagedMax)).map(({ snapshot }) => snapshot).toSorted();
      const names = (...points: { readonly snapshot: string }[]) => points.map(({ snapshot }) => snapshot).toSorted();
      expect(await deciding(5)).toEqual(names(ofAsset[1]!, ofAsset.at(-1)!, damaged));
      expect(await deciding(0)).toEqual(names(ofAsset[1]!, ofAsset.at(-1)!));
      const proved = { ...ofAsset[2]!, provenAt: moment(50) };
      await catalog.recoveryPoints.put({ ...ofAsset.at(-1)!, provenAt: moment(40) });
      await catalog.recoveryPoints.put(proved);
      expect(await deciding(5)).toEqual(names(ofAsset[1]!, ofAsset.at(-1)!, damaged, proved));
      expect(await deciding(0, moment(0)), 'as of then').toEqual(names(ofAsset[1]!, ofAsset.at(-2)!, ofAsset.at(-1)!));
      expect(await catalog.recoveryPoints.remove(tenant.id, damaged.snapshot)).toBe(true);
      expect(await catalog.recoveryPoints.remove(tenant.id, damaged.snapshot)).toBe(false);
    });
  });

  describe('sessions and grants', () => {
    it('keeps a session and what became of it', async () => {
      const { tenant, agent } = await things.seed(catalog);
      const session = {
        session: Buffer.from(things.random(10)).toString('hex'),
        tenantId: tenant.id,
        agentId: agent.id,
        runId: things.id('run'),
        state: 'open' as const,
        openedAt: moment(0),
      };
      await catalog.sessions.put(session);
      expect(await other.sessions.listOpen()).toContainEqual(session);
      expect(await other.sessions.listOpen(tenant.id)).toEqual([session]);
      expect(await other.sessions.listOpen(things.id('tenant'))).toEqual([]);
      await catalog.sessions.put({ ...session, state: 'committed', verifiedAt: moment(3) });
      expect(await other.sessions.listOpen(tenant.id)).toEqual([]);
      expect(await other.sessions.get(session.session)).toEqual({ ...session, state: 'committed', verifiedAt: moment(3) });
      expect(await catalog.sessions.list(tenant.id)).toHaveLength(1);
      expect(await catalog.sessions.list(things.id('tenant'))).toEqual([]);
    });

    it('gives a grant once', async () => {
      const grant = {
        digest: 'g1',
        session: 's',
        key: 'packs/1',
        lengthBytes: 2 ** 33,
        sha256: 'aa',
        expiresAt: '9999-01-01T00:00:00.000Z',
      };
      const over = { ...grant, digest: 'g2', expiresAt: moment(1) };
      await catalog.sessions.addGrants([grant, over]);
      const takes = Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? catalog : other).sessions.takeGrant('g1', moment(2)));
      expect((await Promise.all(takes)).filter((taken) => taken !== undefined)).toEqual([grant]);
      expect(await catalog.sessions.takeGrant('g2', moment(2))).toBeUndefined();
    });
  });

  describe('schedules and promises', () => {
    it('lets one scheduler advance', async () => {
      const { asset } = await things.seed(catalog);
      expect(await catalog.schedules.get(asset.id, 'backup')).toBeUndefined();
      const begin = Array.from({ length: 10 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).schedules.advance(asset.id, 'backup', undefined, moment(n)),
      );
      expect((await Promise.all(begin)).filter((outcome) => outcome === 'advanced')).toHaveLength(1);
      const at = await catalog.schedules.get(asset.id, 'backup');
      expect(await catalog.schedules.advance(asset.id, 'backup', moment(999), moment(1000))).toBe('lost');
      expect(await catalog.schedules.advance(asset.id, 'backup', at, moment(1000))).toBe('advanced');
      expect(await other.schedules.get(asset.id, 'backup')).toBe(moment(1000));
      expect(await other.schedules.get(asset.id, 'verify')).toBeUndefined();
    });

    it('says when a promise breaks and when it is kept again', async () => {
      const { tenant, asset } = await things.seed(catalog);
      const kept = {
        assetId: asset.id,
        tenantId: tenant.id,
        objective: 'rpo' as const,
        isKept: true,
        measured: 1.5,
        promised: 60,
        since: moment(0),
        judgedAt: moment(0),
      };
      expect(await catalog.promises.put(kept)).toBe('same');
      const broken = { ...kept, isKept: false, since: moment(10), judgedAt: moment(10) };
      expect(await catalog.promises.put(broken)).toBe('changed');
      expect(await other.promises.put({ ...broken, since: moment(20), judgedAt: moment(20) })).toBe('same');
      expect(await catalog.promises.list(tenant.id)).toEqual([{ ...broken, judgedAt: moment(20) }]);
      expect(await catalog.promises.put({ ...broken, objective: 'window' }), 'first and broken').toBe('changed');
      expect(await catalog.promises.put({ ...kept, since: moment(30) })).toBe('changed');
      expect((await catalog.promises.list(undefined)).filter(({ tenantId }) => tenantId === tenant.id)).toHaveLength(2);
    });
  });

  describe('events and deliveries', () => {
    it('numbers events without a gap and gives them in order', async () => {
      const { tenant } = await things.seed(catalog);
      const adds = Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).events.add(
          { kind: 'run.failed', severity: 'warning', message: `${n}`, details: { n }, ...(n < 5 ? { tenantId: tenant.id } : {}) },
          moment(n),
        ),
      );
      const added = await Promise.all(adds);
      const first = Math.min(...added.map(({ sequence }) => sequence));
      const listed = await catalog.events.after(first - 1, undefined, 100);
      expect(listed.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, n) => first + n));
      expect(listed).toEqual(added.toSorted((a, b) => a.sequence - b.sequence));
      expect(await catalog.events.after(first - 1, tenant.id, 100)).toHaveLength(5);
      expect(await catalog.events.after(first + 4, undefined, 3)).toEqual(listed.slice(5, 8));
    });

    it('gives what waits for a channel in the order of the events, whatever the clock says, and what was put aside when its time has come', async () => {
      const events: Event[] = [];
      for (let n = 0; n < 3; n++)
        events.push(await catalog.events.add({ kind: 'run.failed', severity: 'info', message: `${n}` }, moment(n)));
      const deliveries = events.map(({ id, sequence }) => ({
        id: things.id('delivery'),
        eventId: id,
        sequence,
        channel: 'hook',
        attempt: 0,
        notBefore: moment(10),
        state: 'waiting' as const,
      }));
      for (const delivery of [...deliveries].reverse()) await catalog.deliveries.add(delivery);
      const idsAt = async (seconds: number) =>
        (await other.deliveries.next('hook', moment(seconds), 5)).map(({ event }) => event.message);
      expect(await other.deliveries.next('hook', moment(0), 1)).toEqual([{ delivery: deliveries[0], event: events[0] }]);
      expect(await idsAt(0)).toEqual(['0', '1', '2']);
      expect(await other.deliveries.next('another', moment(0), 1)).toEqual([]);
      await catalog.deliveries.change({ ...deliveries[0]!, attempt: 1, lastError: 'refused' });
      expect(await idsAt(9)).toEqual(['1', '2']);
      expect(await idsAt(10)).toEqual(['0', '1', '2']);
      await catalog.deliveries.change({ ...deliveries[1]!, state: 'delivered' });
      expect(await other.deliveries.channels(moment(0))).toContain('hook');
      expect(await catalog.deliveries.giveUp('hook', moment(2), 'down')).toBe(1);
      expect(await idsAt(999)).toEqual(['2']);
      expect(await other.deliveries.waiting('hook')).toBe(1);
      expect(await catalog.deliveries.giveUp('hook', moment(3), 'down')).toBe(1);
      expect(await other.deliveries.channels(moment(999))).not.toContain('hook');
    });
  });

  describe('approvals, audit and usage', () => {
    it('moves an approval once, and keeps who decided', async () => {
      const { tenant } = await things.seed(catalog);
      const approval = {
        id: things.id('approval'),
        tenantId: tenant.id,
        action: 'snapshot.delete' as const,
        request: { a: 1 },
        reason: 'r',
        requestedBy: 'person:a',
        requestedAt: moment(0),
        expiresAt: moment(60),
        state: 'pending' as const,
      };
      await catalog.approvals.add(approval);
      expect(await catalog.approvals.overdue(moment(59), 5)).toEqual([]);
      expect(await catalog.approvals.overdue(moment(60), 5)).toEqual([approval]);
      const moves = Array.from({ length: 8 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).approvals.move(approval.id, ['pending'], 'approved', `person:${n}`, moment(n)),
      );
      const moved = await Promise.all(moves);
      expect(moved.filter((one) => one)).toHaveLength(1);
      const winner = `person:${moved.indexOf(true)}`;
      expect(await catalog.approvals.move(approval.id, ['pending', 'rejected'], 'executed', 'x', moment(9))).toBe(false);
      expect(await catalog.approvals.move(approval.id, ['approved'], 'executed', 'x', moment(9))).toBe(true);
      expect(await other.approvals.get(tenant.id, approval.id)).toMatchObject({ state: 'executed', decidedBy: winner });
      expect(await catalog.approvals.get(things.id('tenant'), approval.id)).toBeUndefined();
      expect((await catalog.approvals.list(tenant.id, { limit: 2 })).items).toHaveLength(1);
    });

    it('counts each person who approves once, of a pending one only', async () => {
      const { tenant } = await things.seed(catalog);
      const id = things.id('approval');
      const about = {
        tenantId: tenant.id,
        action: 'failover' as const,
        request: {},
        reason: 'r',
        requestedBy: 'person:a',
        needed: 2,
      };
      const approval = { id, ...about, requestedAt: moment(0), expiresAt: moment(60), state: 'pending' as const };
      await catalog.approvals.add(approval);
      const said = await Promise.all(
        Array.from({ length: 6 }, (_, n) => (n % 2 === 0 ? catalog : other).approvals.approve(id, 'person:b')),
      );
      expect(said.filter((one) => one !== undefined)).toEqual([['person:b']]);
      expect(await other.approvals.approve(id, 'person:c')).toEqual(['person:b', 'person:c']);
      expect(await catalog.approvals.get(tenant.id, id)).toEqual({ ...approval, approvedBy: ['person:b', 'person:c'] });
      await catalog.approvals.move(id, ['pending'], 'rejected', 'person:d', moment(1));
      expect(await catalog.approvals.approve(id, 'person:e')).toBeUndefined();
    });

    it('chains the audit one after the other, whoever appends', async () => {
      const { tenant } = await things.seed(catalog);
      const hashOf = (entry: { readonly sequence: number }) => `${entry.sequence}`.padStart(64, '0');
      const entry = {
        at: moment(0),
        actor: 'person:a',
        actorLabel: 'A',
        action: 'asset.create',
        outcome: 'done' as const,
        details: { b: [1] },
      };
      const appends = Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 ? catalog : other).audit.append(
          n === 0 ? { ...entry, tenantId: tenant.id, source: '::1', subject: 's' } : entry,
          hashOf,
        ),
      );
      const appended = await Promise.all(appends);
      const all = await catalog.audit.after(0, undefined, 1000);
      expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_, n) => n + 1));
      expect(all.map(({ previous }) => previous)).toEqual(all.map((_, n) => `${n}`.padStart(64, '0')));
      expect(all).toEqual(appended.toSorted((a, b) => a.sequence - b.sequence));
      expect(await catalog.audit.after(0, tenant.id, 10)).toHaveLength(1);
      expect(await other.audit.last()).toEqual(all.at(-1));
    });

    it('measures days, and adds up egress beside it', async () => {
      const { tenant } = await things.seed(catalog);
      const day = { tenantId: tenant.id, day: '2026-11-21', protectedBytes: 5, storedBytes: 2 ** 50, runs: 3, drillSeconds: 90 };
      await Promise.all([...Array(10)].map((_, n) => (n % 2 === 0 ? catalog : other).usage.addEgress(tenant.id, '2026-11-21', 7)));
      await catalog.usage.put(day);
      await catalog.usage.put({ ...day, runs: 4 });
      await catalog.usage.put({ ...day, day: '2026-11-22' });
      await catalog.usage.put({ ...day, day: '2026-12-01' });
      expect(await other.usage.list(tenant.id, '2026-11-01', '2026-11-30')).toEqual([
        { ...day, runs: 4, egressBytes: 70 },
        { ...day, day: '2026-11-22', egressBytes: 0 },
      ]);
    });
  });

  describe('answers and settings', () => {
    it('lets a request be done once', async () => {
      const begins = Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? catalog : other).answers.begin('t', 'k', 'd', moment(0)));
      const outcomes = await Promise.all(begins);
      expect(outcomes.filter((outcome) => outcome === 'new')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'busy')).toHaveLength(9);
      expect(await catalog.answers.begin('t', 'k', 'other', moment(0))).toBe('other');
      expect(await catalog.answers.begin('t2', 'k', 'other', moment(0))).toBe('new');
      await catalog.answers.finish('t', 'k', 201, '{}', '[]');
      expect(await other.answers.begin('t', 'k', 'd', moment(1))).toEqual({ status: 201, body: '{}', headers: '[]' });
      await other.answers.drop('t', 'k');
      expect(await other.answers.begin('t', 'k', 'd', moment(1)), 'what was answered is not dropped').toMatchObject({
        status: 201,
      });
    });

    it('gives a dropped or abandoned request to the next, and forgets old ones', async () => {
      expect(await catalog.answers.begin('u', 'k', 'd', moment(0))).toBe('new');
      await catalog.answers.drop('u', 'k');
      expect(await catalog.answers.begin('u', 'k', 'd', moment(1))).toBe('new');
      expect(await catalog.answers.begin('u', 'k', 'd', moment(600))).toBe('busy');
      expect(await catalog.answers.begin('u', 'k', 'd', moment(602)), 'ten minutes later').toBe('new');
      expect(await catalog.answers.begin('u', 'k', 'd', moment(603))).toBe('busy');
      await catalog.answers.finish('u', 'k', 200, 'b', 'h');
      await catalog.answers.forgetBefore(moment(600));
      expect(await catalog.answers.begin('u', 'k', 'd', moment(700))).toMatchObject({ status: 200 });
      await catalog.answers.forgetBefore(moment(9999));
      expect(await catalog.answers.begin('u', 'k', 'd', moment(9999))).toBe('new');
    });

    it('says that it works', async () => {
      await catalog.check();
      await catalog.settings.set('a', '1');
      await other.settings.set('a', '2');
      expect(await catalog.settings.get('a')).toBe('2');
    });
  });
}

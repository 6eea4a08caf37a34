import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import type { Principal } from '../../src/model/principal.ts';
import { APPROVAL_MS, Approvals } from '../../src/trust/approvals.ts';
import { verifyAudit } from '../../src/trust/audit-chain.ts';
import { auditEntries } from '../../src/trust/audit-checkpoint.ts';
import { auditOf, catalogThings, moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';

async function setUp() {
  const things = catalogThings();
  let now = START;
  const options = { now: () => now, random: things.random };
  const catalog = await openSqliteCatalog({ path: join(scratchDirectory(), 'catalog.sqlite'), ...options });
  onTestFinished(() => catalog.close());
  const { tenant } = await things.seed(catalog);
  const person = async (name: string): Promise<Principal & { readonly kind: 'person' }> => {
    const grants = [{ role: 'owner' as const, tenantId: tenant.id }];
    const who = { id: name, label: name, grants };
    await catalog.people.add(
      { ...who, login: name, state: 'active', hasTotp: false, createdAt: moment(0), version: 1 },
      { passwordHash: 'hash' },
    );
    return { kind: 'person', ...who };
  };
  const asked = {
    tenantId: tenant.id,
    action: 'snapshot.delete' as const,
    request: { snapshot: 'abc' },
    reason: 'left the bureau',
  };
  const approvals = new Approvals({ catalog, ...options });
  const actions = async () => (await auditOf(catalog)).map(({ action, outcome, actor }) => `${action} ${outcome} ${actor}`);
  return {
    things,
    catalog,
    tenant,
    approvals,
    asked,
    ann: await person('ann'),
    bob: await person('bob'),
    actions,
    later: (ms: number) => (now = new Date(now.getTime() + ms)),
  };
}

describe('a request that needs two people', () => {
  it('is executed as it was asked for, once, after another person approved it', async () => {
    const { catalog, tenant, approvals, asked, ann, bob, actions } = await setUp();
    const { id } = await approvals.request(ann, asked, '10.0.0.1');
    await expect(approvals.execute(ann, tenant.id, id, async () => 1)).rejects.toMatchObject({ code: 'APPROVAL_NOT_OPEN' });
    expect(await approvals.approve(bob, tenant.id, id)).toMatchObject({ state: 'approved', decidedBy: 'person:bob' });
    await expect(approvals.reject(bob, tenant.id, id)).rejects.toMatchObject({ code: 'APPROVAL_NOT_OPEN' });
    const failed = approvals.execute(ann, tenant.id, id, async (tables) => {
      await tables.settings.set('done', 'half');
      throw new Error('no room');
    });
    await expect(failed, 'what fails can be tried again').rejects.toThrow('no room');
    expect(await catalog.settings.get('done')).toBeUndefined();
    const executions = Array.from({ length: 5 }, () =>
      approvals.execute(ann, tenant.id, id, async (tables, { request }) => {
        await tables.settings.set('done', `${(await tables.settings.get('done')) ?? ''}${request['snapshot']}`);
      }),
    );
    const settled = await Promise.allSettled(executions);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await catalog.settings.get('done')).toBe('abc');
    expect(await catalog.approvals.get(tenant.id, id)).toMatchObject({ state: 'executed', decidedBy: 'person:bob' });
    expect(await actions()).toEqual([
      'approval.request done person:ann',
      'approval.approve done person:bob',
      'approval.execute done person:ann',
    ]);
    expect((await verifyAudit(auditEntries(catalog), [])).kind).toBe('whole');
  });

  it('is approved by nobody who asked for it: not the same person, not their token, not the person behind the token', async () => {
    const { catalog, things, tenant, approvals, asked, ann, bob, actions } = await setUp();
    const own = await approvals.request(ann, asked);
    await expect(approvals.approve(ann, tenant.id, own.id)).rejects.toMatchObject({ code: 'APPROVAL_OWN_REQUEST' });
    const token = { id: things.id('token'), label: 'CI', grants: [], createdBy: 'person:ann', createdAt: moment(0) };
    const second = { ...token, id: things.id('token'), createdBy: `token:${token.id}` };
    await catalog.tokens.add(token, 'd1');
    await catalog.tokens.add(second, 'd2');
    const byToken: Principal = { kind: 'token', id: second.id, label: 'CI', grants: [] };
    await expect(approvals.approve(byToken, tenant.id, own.id), 'a program').rejects.toMatchObject({ code: 'APPROVAL_OF_PERSONS' });
    const through = await approvals.request(byToken, asked);
    await expect(approvals.approve(ann, tenant.id, through.id), 'through a token').rejects.toMatchObject({
      code: 'APPROVAL_OWN_REQUEST',
    });
    expect(await catalog.approvals.get(tenant.id, through.id)).toMatchObject({ state: 'pending' });
    expect(await approvals.approve(bob, tenant.id, through.id)).toMatchObject({ state: 'approved' });
    expect((await actions()).filter((line) => line.includes('denied'))).toHaveLength(3);
    expect(await approvals.reject(ann, tenant.id, own.id), 'taken back').toMatchObject({ state: 'rejected' });
  });

  it('ends with its time, asked for or approved', async () => {
    const { tenant, approvals, asked, ann, bob, later, actions } = await setUp();
    const short = await approvals.request(ann, { ...asked, lifetimeMs: 1000 });
    const long = await approvals.request(ann, { ...asked, lifetimeMs: 100 * APPROVAL_MS });
    later(1000);
    await expect(approvals.approve(bob, tenant.id, short.id)).rejects.toMatchObject({ code: 'APPROVAL_NOT_OPEN' });
    await approvals.approve(bob, tenant.id, long.id);
    later(APPROVAL_MS);
    await expect(approvals.execute(ann, tenant.id, long.id, async () => 1)).rejects.toMatchObject({ code: 'APPROVAL_NOT_OPEN' });
    expect(await approvals.expire(), 'already').toEqual([]);
    expect((await actions()).filter((line) => line === 'approval.expire done system:system')).toHaveLength(2);
  });

  it('of another tenant does not exist', async () => {
    const { things, catalog, approvals, asked, ann, bob } = await setUp();
    const { id } = await approvals.request(ann, asked);
    const other = await things.seed(catalog);
    await expect(approvals.approve(bob, other.tenant.id, id)).rejects.toMatchObject({ code: 'APPROVAL_NOT_FOUND' });
    await expect(approvals.execute(bob, other.tenant.id, id, async () => 1)).rejects.toMatchObject({ code: 'APPROVAL_NOT_FOUND' });
  });
});

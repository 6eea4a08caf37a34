// How a tenant ends: closed first, its erasure asked for by one and agreed to by another, and taken back until it begins.

import { expect, it } from 'vitest';
import { newService } from './new-service.ts';
import { populate } from './world.ts';

const DAY_MS = 86_400_000;
const BODY = { reason: 'moved away', handedOver: 'all of it, to Anna' };

async function closedBureau() {
  const service = await newService();
  const tenant = await service.addTenant('bureau-a');
  const things = await populate(service, tenant);
  const anna = await service.sessionOf('anna', { role: 'owner', tenantId: tenant.id });
  const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
  const ask = (method: string, path: string, token: string, body?: unknown) =>
    service.ask(method, `/v1/tenants/${tenant.id}${path}`, { token, body });
  const pending = (await ask('POST', `/assets/${things['asset']}/retire`, anna, { reason: 'x' })).json;
  const early = await ask('POST', '/erase', anna, BODY);
  expect(early, 'not before it is closed').toMatchObject({ status: 409 });
  const close = (await ask('POST', '/close', anna, { reason: 'moved away' })).json;
  expect((await ask('POST', `/approvals/${close.id}/approve`, berta)).json).toMatchObject({ state: 'executed' });
  return { service, tenant, things, anna, berta, ask, pending };
}

it('the erasure of a closed tenant is approved by a second person, waits, and ends what else was to be done', async () => {
  const { service, tenant, things, anna, berta, ask, pending } = await closedBureau();
  const asked = await ask('POST', '/erase', anna, BODY);
  expect(asked).toMatchObject({ status: 202, json: { action: 'tenant.erase', state: 'pending' } });
  const approve = (id: string, token: string) => ask('POST', `/approvals/${id}/approve`, token);
  expect((await approve(asked.json.id, anna)).json.code).toBe('APPROVAL_OWN_REQUEST');
  expect((await approve(pending.id, berta)).json, 'nothing else is decided in a closed tenant').toMatchObject({
    code: 'REQUEST_CONFLICT',
  });
  expect((await approve(asked.json.id, berta)).json).toMatchObject({ state: 'executed' });
  const [run] = (await ask('GET', '/runs?kind=erase', anna)).json.items;
  expect(run).toMatchObject({ state: 'queued', parameters: { order: { approval: asked.json.id, ...BODY } } });
  expect(Date.parse(run.notBefore) - service.clock.getTime()).toBe(30 * DAY_MS);
  expect(run.parameters.order.requestedBy).not.toBe(run.parameters.order.approvedBy);
  expect((await ask('GET', `/runs/${things['run']}`, anna)).json.state).toBe('canceled');
  const again = (await ask('POST', '/erase', anna, BODY)).json;
  expect((await approve(again.id, berta)).json, 'it waits already').toMatchObject({ code: 'REQUEST_CONFLICT' });

  expect((await ask('POST', `/runs/${run.id}/cancel`, anna)).json).toMatchObject({ state: 'canceled' });
  expect((await approve(again.id, berta)).json, 'and can be asked for again').toMatchObject({ state: 'executed' });
  const [second] = (await ask('GET', '/runs?kind=erase', anna)).json.items;
  await service.catalog.settings.set(`erasure:${tenant.id}`, '{}');
  expect((await ask('POST', `/runs/${second.id}/cancel`, anna)).json, 'until it has begun').toMatchObject({
    code: 'REQUEST_CONFLICT',
  });
});

it('the provider may ask for it and never decides; who is not an owner does neither', async () => {
  const { service, tenant, berta, ask } = await closedBureau();
  const system = await service.sessionOf('system', { role: 'system-admin' });
  const asked = await ask('POST', '/erase', system, BODY);
  expect(asked.status).toBe(202);
  const approve = (token: string) => ask('POST', `/approvals/${asked.json.id}/approve`, token);
  expect((await approve(system)).json.code).toBe('REQUEST_FORBIDDEN');
  const operator = await service.sessionOf('olga', { role: 'operator', tenantId: tenant.id });
  expect((await ask('POST', '/erase', operator, BODY)).json.code).toBe('REQUEST_FORBIDDEN');
  expect((await approve(operator)).json.code).toBe('REQUEST_FORBIDDEN');
  expect((await approve(berta)).json).toMatchObject({ state: 'executed' });
});

it('certificates are shown to who may look at the tenant, and once there is one nothing is erased again', async () => {
  const { service, tenant, anna, ask } = await closedBureau();
  expect((await ask('GET', '/certificates', anna)).json).toEqual({ items: [] });
  await service.catalog.settings.set(`certificate:${tenant.id}`, '{"format":"holdfast-erasure-certificate"}');
  expect((await ask('GET', '/certificates', anna)).json.items).toHaveLength(1);
  expect(await ask('POST', '/erase', anna, BODY)).toMatchObject({ status: 409 });
});

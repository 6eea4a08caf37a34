import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { firstAdminSecret, firstTenant } from '../../src/trust/bootstrap.ts';
import { decodeBase32, stepOf, totpCode } from '../../src/trust/totp.ts';
import { newService } from './new-service.ts';
import type { ServiceUnderTest } from './service-under-test.ts';

const PASSWORD = 'correct horse battery';
const login = (service: ServiceUnderTest, name: string, password = PASSWORD, code?: string, from?: string) =>
  service.ask('POST', '/v1/login', {
    body: { login: name, password, ...(code === undefined ? {} : { code }) },
    ...(from === undefined ? {} : { from }),
  });

describe('a login', () => {
  it('becomes a session with the roles that the person has now, until logout or twelve hours', async () => {
    const service = await newService();
    const tenant = await service.addTenant('bureau-a');
    const id = await service.addPerson('anna', PASSWORD, { role: 'viewer', tenantId: tenant.id });
    const { status, json } = await login(service, 'anna');
    expect(status).toBe(200);
    const seen = async () => (await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: json.secret })).status;
    expect(await seen()).toBe(200);
    const admin = await service.addToken({ role: 'security-admin' });
    await service.ask('PATCH', `/v1/people/${id}`, { token: admin, body: { grants: [] }, headers: { 'if-match': '*' } });
    expect(await seen()).toBe(404);
    await service.ask('PATCH', `/v1/people/${id}`, { token: admin, body: { state: 'disabled' }, headers: { 'if-match': '*' } });
    expect(await seen()).toBe(401);
    await service.ask('PATCH', `/v1/people/${id}`, { token: admin, body: { state: 'active' }, headers: { 'if-match': '*' } });
    const me = async () => (await service.ask('GET', '/v1/me', { token: json.secret })).status;
    expect(await me()).toBe(200);
    service.clock = new Date(service.clock.getTime() + 12 * 3_600_000);
    expect(await me()).toBe(401);
    const again = (await login(service, 'anna')).json.secret;
    expect((await service.ask('POST', '/v1/logout', { token: again })).status).toBe(204);
    expect((await service.ask('GET', '/v1/me', { token: again })).status).toBe(401);
  });

  it('is refused in the same words whether the login exists or not, and is in the audit', async () => {
    const service = await newService();
    await service.addPerson('anna', PASSWORD);
    const [wrong, nobody] = [await login(service, 'anna', 'wrong password'), await login(service, 'berta', 'wrong password')];
    expect(wrong.status).toBe(401);
    const { requestId: _, ...told } = wrong.json;
    expect(nobody.json).toMatchObject(told);
    const lines = await service.catalog.audit.after(0, undefined, 10);
    expect(lines.map(({ action, outcome, actorLabel }) => [action, outcome, actorLabel])).toEqual([
      ['login', 'failed', 'anna'],
      ['login', 'failed', 'berta'],
    ]);
    expect(JSON.stringify(lines)).not.toContain('wrong password');
  });

  it('that fails again and again has to wait, also with the right password', async () => {
    const service = await newService();
    await service.addPerson('anna', PASSWORD);
    for (let i = 0; i < 5; i++) await login(service, 'anna', 'wrong password');
    expect((await login(service, 'anna')).json).toMatchObject({ status: 429, code: 'REQUEST_RATE_LIMITED' });
    service.clock = new Date(service.clock.getTime() + 15 * 60_000);
    expect((await login(service, 'anna')).status).toBe(200);
  });

  it('needs the code of a second factor, each code once', async () => {
    const service = await newService();
    await service.addPerson('anna', PASSWORD);
    const token = (await login(service, 'anna')).json.secret;
    const { json: offer } = await service.ask('POST', '/v1/me/totp', { token });
    const code = () => totpCode(decodeBase32(offer.secret)!, stepOf(service.clock));
    const put = (body: object) => service.ask('PUT', '/v1/me/totp', { token, body });
    expect(
      (await put({ secret: offer.secret, code: code() === '000000' ? '111111' : '000000', password: PASSWORD })).json.errors[0]
        .field,
    ).toBe('body/code');
    expect((await put({ secret: offer.secret, code: code(), password: 'not the password' })).json.code).toBe('LOGIN_REFUSED');
    expect((await put({ secret: offer.secret, code: code(), password: PASSWORD })).status).toBe(204);
    expect((await login(service, 'anna')).json.code).toBe('LOGIN_CODE_NEEDED');
    expect((await login(service, 'anna', PASSWORD, code())).status).toBe(200);
    expect((await login(service, 'anna', PASSWORD, code())).json.code).toBe('LOGIN_REFUSED');
    service.clock = new Date(service.clock.getTime() + 30_000);
    expect((await login(service, 'anna', PASSWORD, code())).status).toBe(200);
    service.clock = new Date(service.clock.getTime() + 30_000);
    expect((await service.ask('POST', '/v1/me/totp/remove', { token, body: { password: PASSWORD, code: code() } })).status).toBe(
      204,
    );
    expect((await login(service, 'anna')).status).toBe(200);
  });

  it('can have its password changed by who knows it', async () => {
    const service = await newService();
    await service.addPerson('anna', PASSWORD);
    const token = (await login(service, 'anna')).json.secret;
    const change = (password: string, newPassword: string) =>
      service.ask('POST', '/v1/me/password', { token, body: { password, newPassword } });
    const other = (await login(service, 'anna')).json.secret;
    const isHeard = async (secret: string) => (await service.ask('GET', '/v1/me', { token: secret })).status === 200;
    expect((await change('not it at all', 'another long secret')).json.code).toBe('LOGIN_REFUSED');
    expect(await isHeard(other)).toBe(true);
    expect((await change(PASSWORD, 'anna anna anna')).json.errors[0].field).toBe('body/newPassword');
    expect((await change(PASSWORD, 'another long secret')).status).toBe(204);
    expect([await isHeard(token), await isHeard(other)]).toEqual([true, false]);
    expect((await login(service, 'anna')).status).toBe(401);
    expect((await login(service, 'anna', 'another long secret')).status).toBe(200);
  });

  it('whose password somebody else sets has no session any more', async () => {
    const service = await newService();
    const admin = await service.addToken({ role: 'security-admin' });
    const id = await service.addPerson('anna', PASSWORD);
    const token = (await login(service, 'anna')).json.secret;
    const { headers } = await service.ask('GET', `/v1/people/${id}`, { token: admin });
    const change = (body: object, ifMatch: string) =>
      service.ask('PATCH', `/v1/people/${id}`, { token: admin, body, headers: { 'if-match': ifMatch } });
    const renamed = await change({ label: 'Anna B.' }, headers['etag'] as string);
    expect((await service.ask('GET', '/v1/me', { token })).status).toBe(200);
    expect((await change({ password: 'another long secret' }, renamed.headers['etag'] as string)).status).toBe(200);
    expect((await service.ask('GET', '/v1/me', { token })).status).toBe(401);
  });
});

describe('people of a tenant', () => {
  it('are made by its owner under its name, and have roles in it only', async () => {
    const service = await newService();
    const [a, b] = [await service.addTenant('bureau-a'), await service.addTenant('bureau-b')];
    const owner = await service.tokenFor(a, 'owner');
    const make = (body: object) => service.ask('POST', `/v1/tenants/${a.id}/people`, { token: owner, body });
    const made = await make({ login: 'anna', label: 'Anna', password: PASSWORD, roles: ['owner'] });
    expect(made).toMatchObject({ status: 201, json: { login: 'anna@bureau-a', grants: [{ role: 'owner', tenantId: a.id }] } });
    expect(made.text).not.toContain('scrypt');
    expect((await make({ login: 'anna', label: 'Anna', password: PASSWORD, roles: [] })).json.code).toBe('REQUEST_CONFLICT');
    expect((await make({ login: 'berta', label: 'B', password: PASSWORD, roles: ['system-admin'] })).status).toBe(400);
    expect((await make({ login: 'x@bureau-b', label: 'B', password: PASSWORD, roles: [] })).status).toBe(400);
    expect((await make({ login: 'berta', label: 'B', password: 'aaaaaaaaaaaaaa', roles: [] })).json.errors[0].message).toContain(
      'too weak',
    );
    // The same person's roles elsewhere are not shown, and stay when roles here change.
    const admin = await service.addToken({ role: 'security-admin' });
    const grants = [
      { role: 'owner', tenantId: a.id },
      { role: 'viewer', tenantId: b.id },
    ];
    await service.ask('PATCH', `/v1/people/${made.json.id}`, { token: admin, body: { grants }, headers: { 'if-match': '"1"' } });
    const url = `/v1/tenants/${a.id}/people/${made.json.id}`;
    expect((await service.ask('GET', url, { token: owner })).json.grants).toEqual([grants[0]]);
    const changed = await service.ask('PATCH', url, { token: owner, body: { roles: ['auditor'] }, headers: { 'if-match': '"2"' } });
    expect(changed.json.grants).toEqual([{ role: 'auditor', tenantId: a.id }]);
    expect((await service.catalog.people.get(made.json.id))!.grants).toEqual([grants[1], { role: 'auditor', tenantId: a.id }]);
    expect(
      (await service.ask('PATCH', url, { token: owner, body: { state: 'disabled' }, headers: { 'if-match': '*' } })).json.code,
    ).toBe('REQUEST_CONFLICT');
  });

  it('do not give themselves roles', async () => {
    const service = await newService();
    const token = await service.sessionOf('sec', { role: 'security-admin' });
    const { id } = (await service.ask('GET', '/v1/me', { token })).json;
    const answer = await service.ask('PATCH', `/v1/people/${id}`, {
      token,
      body: { grants: [{ role: 'system-admin' }] },
      headers: { 'if-match': '*' },
    });
    expect(answer.json).toMatchObject({ code: 'REQUEST_CONFLICT', detail: expect.stringContaining('their own roles') });
    const three = { login: 'x', label: 'x', password: PASSWORD, grants: [{ role: 'system-admin' }, { role: 'audit-admin' }] };
    expect((await service.ask('POST', '/v1/people', { token, body: three })).json.errors[0].message).toContain('separated');
  });
});

describe('the first start', () => {
  it('makes a tenant and an administrator, once', async () => {
    const service = await newService();
    const sources = { now: () => service.clock, random: randomBytes };
    const begin = () =>
      service.catalog.transaction(async (tables) => {
        const tenant = await firstTenant(tables, sources);
        return { tenant, adminSecret: await firstAdminSecret(tables, tenant, sources) };
      });
    const [first, second] = [await begin(), await begin()];
    expect(second).toEqual({ tenant: first.tenant });
    const { json } = await service.ask('GET', '/v1/me', { token: first.adminSecret });
    expect(json.grants).toEqual([{ role: 'security-admin' }, { role: 'owner', tenantId: first.tenant.id }]);
    const made = await service.ask('POST', '/v1/tokens', {
      token: first.adminSecret,
      body: { label: 'sys', grants: [{ role: 'system-admin' }] },
    });
    expect(made.status).toBe(201);
    expect((await service.ask('POST', '/v1/tenants', { token: first.adminSecret, body: { name: 'b', label: 'B' } })).status).toBe(
      403,
    );
    expect((await service.ask('POST', '/v1/tenants', { token: made.json.secret, body: { name: 'b', label: 'B' } })).status).toBe(
      201,
    );
  });
});

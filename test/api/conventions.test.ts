import { describe, expect, it } from 'vitest';
import { STATUS_OF_FAULT } from '../../src/api/problem.ts';
import { FAULTS, Fault } from '../../src/base/faults.ts';
import { newService } from './new-service.ts';
import type { ServiceUnderTest } from './service-under-test.ts';
import { populate, type Things } from './world.ts';

async function bureau(options: Parameters<typeof newService>[0] = {}) {
  const service = await newService(options);
  const tenant = await service.addTenant('bureau-a');
  const things = await populate(service, tenant);
  return {
    service,
    tenant,
    things,
    owner: await service.tokenFor(tenant, 'owner'),
    viewer: await service.tokenFor(tenant, 'viewer'),
  };
}

const assetBody = (things: Things, name = 'web1/home') => ({
  name,
  agentId: things['agent'],
  source: { kind: 'files', paths: ['/home'] },
});

describe('a refusal', () => {
  it('has a status for every fault of requests, logins and approvals', () => {
    const codes = Object.keys(FAULTS).filter((code) => /^(?:REQUEST|LOGIN|APPROVAL)_/.test(code));
    expect(codes.length).toBeGreaterThan(15);
    expect(codes.filter((code) => !(code in STATUS_OF_FAULT))).toEqual([]);
    for (const status of Object.values(STATUS_OF_FAULT)) expect(status === 503 || (status >= 400 && status < 500)).toBe(true);
  });

  it('is a problem with a code, a hint and the id of the request', async () => {
    const { service, tenant } = await bureau();
    const { status, headers, json } = await service.ask('GET', `/v1/tenants/${tenant.id}/assets`);
    expect(status).toBe(401);
    expect(headers).toMatchObject({
      'content-type': 'application/problem+json; charset=utf-8',
      'www-authenticate': 'Bearer realm="holdfast"',
    });
    expect(json).toMatchObject({
      type: 'urn:holdfast:fault:REQUEST_UNAUTHENTICATED',
      code: 'REQUEST_UNAUTHENTICATED',
      status: 401,
      retry: 'never',
      requestId: headers['x-request-id'],
    });
    expect(json.hint).toBe(FAULTS.REQUEST_UNAUTHENTICATED.hint);
  });

  it.each([
    [{ name: 'web1/home' }, 'body/agentId', 'is missing'],
    [{ name: '../x', agentId: 'ast_x', source: { kind: 'volume', path: '/dev/sda' } }, 'body/name', 'must match pattern'],
    [{ name: 'a', agentId: 7, source: { kind: 'volume', path: '/dev/sda' } }, 'body/agentId', 'must be string'],
    [{ name: 'a', agentId: 'AGENT', source: { kind: 'volume', path: '/dev/sda' }, extra: 1 }, 'body/extra', 'is not known'],
  ])('names the field that is wrong in %j', async (body, field, message) => {
    const { service, tenant, owner, things } = await bureau();
    const sent = JSON.parse(JSON.stringify(body).replace('"AGENT"', JSON.stringify(things['agent'])));
    const { status, json } = await service.ask('POST', `/v1/tenants/${tenant.id}/assets`, { token: owner, body: sent });
    expect(status).toBe(400);
    expect(json.code).toBe('REQUEST_INVALID');
    expect(json.errors).toContainEqual({ field, message: expect.stringContaining(message) });
  });

  it('takes no text for a number in a body, and no nonsense for one in a query', async () => {
    const { service, tenant, owner, things } = await bureau();
    const body = { kind: 'backup', assetId: things['asset'], priority: '50' };
    expect((await service.ask('POST', `/v1/tenants/${tenant.id}/runs`, { token: owner, body })).json.errors[0].field).toBe(
      'body/priority',
    );
    for (const limit of ['0', '501', 'many', '1e2', '', ' 1', '-1', '1.5'])
      expect(
        (await service.ask('GET', `/v1/tenants/${tenant.id}/assets?limit=${encodeURIComponent(limit)}`, { token: owner })).status,
        limit,
      ).toBe(400);
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets?limit=1&limit=2`, { token: owner })).status).toBe(400);
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets?colour=red`, { token: owner })).json.errors[0]).toEqual({
      field: 'query/colour',
      message: 'is not known',
    });
  });

  it.each([
    ['POST', '{"a":', 'application/json', 400],
    ['POST', '{"__proto__":{"a":1}}', 'application/json', 400],
    ['POST', 'name=a', 'application/x-www-form-urlencoded', 415],
    ['POST', `"${'x'.repeat(300_000)}"`, 'application/json', 413],
  ])('of %s %.20s is a problem, too', async (method, payload, type, status) => {
    const { service, tenant, owner } = await bureau();
    const answer = await service.ask(method, `/v1/tenants/${tenant.id}/assets`, {
      token: owner,
      body: payload,
      headers: { 'content-type': type },
    });
    expect(answer).toMatchObject({ status, json: { status, requestId: expect.any(String) } });
  });

  it('of what nobody knows is 404, whatever the way', async () => {
    const { service, owner } = await bureau();
    for (const [method, url] of [
      ['GET', '/'],
      ['GET', '/v1/nothing'],
      ['DELETE', '/v1/me'],
      ['GET', '/v1/tenants/%ff'],
      ['GET', `/v1/tenants/${'x'.repeat(500)}`],
    ] as const) {
      const { status, json } = await service.ask(method, url, { token: owner });
      expect([400, 404, 413], url).toContain(status);
      expect(json.code).toMatch(/^REQUEST_/);
    }
  });

  it('for a reason that is ours tells nothing of it', async () => {
    const { service, tenant, viewer } = await bureau();
    service.catalog.assets.list = async () => {
      throw new Error('SELECT secret FROM table');
    };
    const { status, json, text } = await service.ask('GET', `/v1/tenants/${tenant.id}/assets`, { token: viewer });
    expect(status).toBe(500);
    expect(json).toMatchObject({ code: 'INTERNAL', hint: expect.stringContaining('requestId') });
    expect(text).not.toContain('SELECT');
    expect(service.logged.join('')).toContain('SELECT secret');
    expect(service.logged.join('')).toContain(json.requestId);
  });

  it('of a role that is too small is in the audit', async () => {
    const { service, tenant, viewer, things } = await bureau();
    expect(
      (await service.ask('POST', `/v1/tenants/${tenant.id}/assets`, { token: viewer, body: assetBody(things) })).json.code,
    ).toBe('REQUEST_FORBIDDEN');
    expect((await service.catalog.audit.after(0, tenant.id, 10)).at(-1)).toMatchObject({
      action: 'asset.change',
      outcome: 'denied',
      source: '127.0.0.1',
    });
  });
});

describe('every answer', () => {
  it('carries headers that keep it from being shown, framed, cached or guessed', async () => {
    const { service, tenant, viewer } = await bureau();
    for (const url of ['/healthz', `/v1/tenants/${tenant.id}`, '/nothing']) {
      const { headers } = await service.ask('GET', url, { token: viewer, headers: { origin: 'https://elsewhere.example' } });
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        'x-frame-options': 'DENY',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
      });
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  it('has the id of the request that was given, unless that could do harm', async () => {
    const { service } = await bureau();
    expect((await service.ask('GET', '/healthz', { headers: { 'x-request-id': 'abc-12345' } })).headers['x-request-id']).toBe(
      'abc-12345',
    );
    expect(
      (await service.ask('GET', '/healthz', { headers: { 'x-request-id': 'a b\tc{}12345' } })).headers['x-request-id'],
    ).toMatch(/^[A-Za-z0-9_-]{16}$/);
  });
});

describe('an Idempotency-Key', () => {
  const start = (service: ServiceUnderTest, tenant: { id: string }, token: string, body: unknown, key: string) =>
    service.ask('POST', `/v1/tenants/${tenant.id}/runs`, { token, body, headers: { 'idempotency-key': key } });

  it('does the work once, however often and however much at once it is asked for', async () => {
    const { service, tenant, owner, things } = await bureau();
    const body = { kind: 'backup', assetId: things['asset'] };
    const answers = await Promise.all(Array.from({ length: 20 }, () => start(service, tenant, owner, body, 'key-1')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(19);
    const runs = await service.catalog.runs.list(tenant.id, {}, { limit: 100 });
    expect(runs.items.filter(({ key }) => key.startsWith('manual:'))).toHaveLength(1);
    expect((await service.catalog.audit.after(0, tenant.id, 100)).filter(({ action }) => action === 'run.start')).toHaveLength(1);
  });

  it('of one request does not answer another', async () => {
    const { service, tenant, owner, things } = await bureau();
    await start(service, tenant, owner, { kind: 'backup', assetId: things['asset'] }, 'key-1');
    expect((await start(service, tenant, owner, { kind: 'prune' }, 'key-1')).json.code).toBe('REQUEST_KEY_REUSED');
  });

  it('belongs to who sent it', async () => {
    const { service, tenant, owner, things } = await bureau();
    const other = await service.tokenFor(tenant, 'operator');
    const body = { kind: 'backup', assetId: things['asset'] };
    const a = await start(service, tenant, owner, body, 'key-1');
    const b = await start(service, tenant, other, { kind: 'forget', assetId: things['asset'] }, 'key-1');
    expect([a.json.kind, b.json.kind]).toEqual(['backup', 'forget']);
  });

  it('is free again when the request was refused', async () => {
    const { service, tenant, owner, things } = await bureau();
    const body = assetBody(things, 'bureau-a/etc');
    const make = (name: string) =>
      service.ask('POST', `/v1/tenants/${tenant.id}/assets`, {
        token: owner,
        body: { ...body, name },
        headers: { 'idempotency-key': 'key-2' },
      });
    expect((await make('bureau-a/etc')).json.code).toBe('REQUEST_CONFLICT');
    expect((await make('bureau-a/other')).status).toBe(201);
  });

  it('makes no second secret: whoever lost the answer is told what to revoke', async () => {
    const { service, tenant, owner } = await bureau();
    for (const [things, body] of [
      ['tokens', { label: 'robot', roles: ['viewer'] }],
      ['enrolments', { label: 'host' }],
    ] as const) {
      const ask = () =>
        service.ask('POST', `/v1/tenants/${tenant.id}/${things}`, { token: owner, body, headers: { 'idempotency-key': 'once' } });
      const { status, json } = await ask();
      expect([status, json.secret]).toEqual([201, expect.stringMatching(/^hf_/)]);
      const again = await ask();
      expect([again.status, again.json.code]).toEqual([409, 'REQUEST_ANSWERED_ONCE']);
      expect(again.json.detail).toContain(json.id ?? json.token.id);
      expect(again.text).not.toContain(json.secret);
    }
    const made = (await service.catalog.tokens.list({ limit: 100 }, tenant.id)).items;
    expect(made.filter(({ label }) => label === 'robot')).toHaveLength(1);
  });

  it('that is no key is refused', async () => {
    const { service, tenant, owner } = await bureau();
    expect((await start(service, tenant, owner, { kind: 'prune' }, 'x'.repeat(201))).json.errors[0].field).toBe(
      'headers/idempotency-key',
    );
  });
});

describe('lists', () => {
  it('go on from page to page until all was shown, once', async () => {
    const { service, tenant, viewer, things } = await bureau();
    for (let i = 0; i < 24; i++) await service.addAsset(tenant, things['agent']!, `asset-${i}`);
    const seen: string[] = [];
    let after: string | undefined;
    let pages = 0;
    do {
      const { json } = await service.ask(
        'GET',
        `/v1/tenants/${tenant.id}/assets?limit=7${after === undefined ? '' : `&after=${after}`}`,
        { token: viewer },
      );
      seen.push(...json.items.map(({ name }: { name: string }) => name));
      after = json.next;
      pages++;
    } while (after !== undefined);
    expect([seen.length, new Set(seen).size, pages]).toEqual([25, 25, 4]);
  });

  it('take no cursor that is made up, of another list or of another tenant', async () => {
    const { service, tenant, viewer, things } = await bureau();
    const other = await service.addTenant('bureau-b');
    const foreign = await service.tokenFor(other, 'viewer');
    for (let i = 0; i < 3; i++) await service.addAsset(tenant, things['agent']!, `asset-${i}`);
    const next: string = (await service.ask('GET', `/v1/tenants/${tenant.id}/assets?limit=1`, { token: viewer })).json.next;
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets?after=${next}`, { token: viewer })).status).toBe(200);
    for (const [url, token] of [
      [`/v1/tenants/${tenant.id}/assets?after=${next.replace(/^./, (first) => (first === 'a' ? 'b' : 'a'))}`, viewer],
      [`/v1/tenants/${tenant.id}/agents?after=${next}`, viewer],
      [`/v1/tenants/${other.id}/assets?after=${next}`, foreign],
    ] as const)
      expect((await service.ask('GET', url, { token })).json, url).toMatchObject({
        status: 400,
        errors: [{ field: 'query/after' }],
      });
  });
});

describe('versions', () => {
  it('keep two who change the same from losing one of the changes', async () => {
    const { service, tenant, owner, things } = await bureau();
    const url = `/v1/tenants/${tenant.id}/assets/${things['asset']}`;
    const { headers } = await service.ask('GET', url, { token: owner });
    expect(headers['etag']).toBe('"1"');
    expect((await service.ask('PATCH', url, { token: owner, body: { label: 'x' } })).json.code).toBe('REQUEST_NEEDS_VERSION');
    const both = await Promise.all(
      ['mine', 'yours'].map((label) =>
        service.ask('PATCH', url, { token: owner, body: { label }, headers: { 'if-match': '"1"' } }),
      ),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    expect((await service.ask('GET', url, { token: owner })).headers['etag']).toBe('"2"');
    expect(
      (await service.ask('PATCH', url, { token: owner, body: { label: 'z' }, headers: { 'if-match': '"seven"' } })).status,
    ).toBe(412);
  });
});

describe('limits', () => {
  it('hold for one principal without holding for others', async () => {
    const { service, tenant, owner, viewer } = await bureau({ config: { rate: { requestsMax: 5, windowMs: 60_000 } } });
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: owner })).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
    const refused = await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: owner });
    expect(refused).toMatchObject({
      headers: { 'retry-after': expect.anything() },
      json: { code: 'REQUEST_RATE_LIMITED', retry: 'later' },
    });
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: viewer })).status).toBe(200);
  });

  it('slow down who guesses tokens', async () => {
    const { service } = await bureau();
    const guess = () => service.ask('GET', '/v1/me', { token: `hf_${'a'.repeat(43)}`, from: '203.0.113.9' });
    for (let i = 0; i < 51; i++) await guess();
    expect((await guess()).status).toBe(429);
    expect((await service.ask('GET', '/v1/me', { from: '203.0.113.10' })).status).toBe(401);
  });

  it('of addresses hold for tokens of the tenant, and not for the provider', async () => {
    const { service, tenant, owner } = await bureau();
    const put = (allowedSources: string[], from: string) =>
      service.ask('PUT', `/v1/tenants/${tenant.id}/allowed-sources`, {
        token: owner,
        from,
        body: { allowedSources },
        headers: { 'if-match': '*' },
      });
    expect((await put(['10.0.0.0/8'], '127.0.0.1')).json.errors[0].message).toContain('your own address');
    expect((await put(['10.0.0.0/40'], '127.0.0.1')).json.errors[0].message).toContain('no CIDR');
    expect((await put(['10.0.0.0/8'], '10.1.1.1')).status).toBe(200);
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: owner })).json.code).toBe('REQUEST_SOURCE_REFUSED');
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: owner, from: '::ffff:10.2.2.2' })).status).toBe(200);
    expect((await service.ask('GET', '/v1/me', { token: owner })).json.tenants).toEqual([]);
    const admin = await service.addToken({ role: 'system-admin' });
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}`, { token: admin })).status).toBe(200);
  });

  it('of a suspended tenant let it be looked at only', async () => {
    const { service, tenant, owner, things } = await bureau();
    const admin = await service.addToken({ role: 'system-admin' });
    await service.ask('PATCH', `/v1/tenants/${tenant.id}`, {
      token: admin,
      body: { state: 'suspended' },
      headers: { 'if-match': '"1"' },
    });
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets`, { token: owner })).status).toBe(200);
    expect(
      (await service.ask('POST', `/v1/tenants/${tenant.id}/assets`, { token: owner, body: assetBody(things) })).json.detail,
    ).toContain('suspended');
  });
});

describe('a catalogue that does not answer', () => {
  it('keeps nobody waiting for ever', async () => {
    const { service, tenant, viewer } = await bureau({ config: { handlerTimeoutMs: 50 } });
    service.catalog.assets.list = () => new Promise(() => {});
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets`, { token: viewer })).json).toMatchObject({
      status: 503,
      code: 'SERVICE_NOT_READY',
      retry: 'later',
    });
  });

  it('has more time for the proof of a long audit than for a page of a list', async () => {
    const { service, tenant, viewer, owner } = await bureau({ config: { handlerTimeoutMs: 50 } });
    const { promise: timedOut, resolve } = Promise.withResolvers<void>();
    const after = service.catalog.audit.after.bind(service.catalog.audit);
    service.catalog.audit.after = async (...range) => {
      await timedOut;
      return after(...range);
    };
    service.catalog.assets.list = () => new Promise(() => {});
    const proof = service.ask('GET', `/v1/tenants/${tenant.id}/audit/verify`, { token: owner });
    expect((await service.ask('GET', `/v1/tenants/${tenant.id}/assets`, { token: viewer })).status).toBe(503);
    resolve();
    expect(await proof).toMatchObject({ status: 200, json: { state: 'whole' } });
  });

  it('is no reason to be ready, and one to be alive', async () => {
    const { service } = await bureau();
    service.catalog.check = async () => {
      throw new Error('disk is gone');
    };
    const ready = await service.ask('GET', '/readyz');
    expect(ready).toMatchObject({ status: 503, json: { code: 'SERVICE_NOT_READY' } });
    expect(ready.text).not.toContain('disk');
    service.catalog.check = async () => {
      throw new Fault('CATALOG_FULL', 'The catalogue failed: /srv/holdfast/catalog.sqlite');
    };
    const full = await service.ask('GET', '/readyz');
    expect(full).toMatchObject({
      status: 503,
      json: { detail: "The disk of the service's catalogue is full", hint: expect.stringContaining('Free space') },
    });
    expect(full.text).not.toContain('/srv');
    expect((await service.ask('GET', '/healthz')).status).toBe(200);
  });
});

describe('tokens', () => {
  it('count until they end or are revoked, at once', async () => {
    const { service, tenant, owner } = await bureau();
    const made = (
      await service.ask('POST', `/v1/tenants/${tenant.id}/tokens`, {
        token: owner,
        body: { label: 'ci', roles: ['viewer'], days: 2 },
      })
    ).json;
    const status = async () => (await service.ask('GET', `/v1/tenants/${tenant.id}/assets`, { token: made.secret })).status;
    expect(await status()).toBe(200);
    expect(JSON.stringify(await service.ask('GET', `/v1/tenants/${tenant.id}/tokens`, { token: owner }))).not.toContain(
      made.secret,
    );
    service.clock = new Date(service.clock.getTime() + 2 * 86_400_000);
    expect(await status()).toBe(401);
    service.clock = new Date(service.clock.getTime() - 86_400_000);
    expect(await status()).toBe(200);
    await service.ask('DELETE', `/v1/tenants/${tenant.id}/tokens/${made.token.id}`, { token: owner });
    expect(await status()).toBe(401);
  });

  it('remember when they were last used, written when the service closes', async () => {
    const { service, tenant } = await bureau();
    const token = await service.tokenFor(tenant, 'viewer');
    const { id } = (await service.ask('GET', '/v1/me', { token })).json;
    await service.app.close();
    expect((await service.catalog.tokens.get(id))?.lastUsedAt).toBe(service.clock.toISOString());
  });
});

describe('a log', () => {
  it('never holds a secret', async () => {
    const lines: string[] = [];
    const { pino } = await import('pino');
    const { LOG_OPTIONS } = await import('../../src/base/log-options.ts');
    const log = pino({ ...LOG_OPTIONS, level: 'trace' }, { write: (line: string) => void lines.push(line) });
    const { service, owner } = await bureau({ log });
    await service.ask('POST', '/v1/login', { body: { login: 'anna', password: 'the very secret' } });
    await service.ask('GET', '/v1/me', { token: owner });
    log.info(
      { req: { headers: { authorization: `Bearer ${owner}` } }, body: { password: 'the very secret', code: '123456' } },
      'careless',
    );
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.join('')).not.toContain('the very secret');
    expect(lines.join('')).not.toContain(owner);
    expect(lines.join('')).not.toContain('123456');
  });
});

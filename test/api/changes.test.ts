import { describe, expect, it } from 'vitest';
import { type Replica, replicasSetting } from '../../src/model/replica.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { newService } from './new-service.ts';
import { POLICY_TEXT, populate } from './world.ts';

async function bureau(more: Partial<Tenant> = {}) {
  const service = await newService();
  const tenant = await service.addTenant('bureau-a', more);
  const things = await populate(service, tenant);
  const base = `/v1/tenants/${tenant.id}`;
  const owner = await service.tokenFor(tenant, 'owner');
  const ask = (method: string, path: string, body?: unknown, headers?: Record<string, string>, token = owner) =>
    service.ask(method, `${base}${path}`, { token, body, ...(headers === undefined ? {} : { headers }) });
  return { service, tenant, things, owner, base, ask };
}

describe('a request that is dangerous', () => {
  it('waits for a second person, who is a person and another one', async () => {
    const { service, tenant, things, ask } = await bureau();
    const anna = await service.sessionOf('anna', { role: 'owner', tenantId: tenant.id });
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    const asked = await ask('POST', `/assets/${things['asset']}/retire`, { reason: 'web1 is gone' }, {}, anna);
    expect(asked).toMatchObject({ status: 202, json: { action: 'asset.delete', state: 'pending' } });
    const approve = (token: string) => ask('POST', `/approvals/${asked.json.id}/approve`, undefined, {}, token);
    expect((await ask('GET', `/assets/${things['asset']}`)).json.state).toBe('active');
    expect((await approve(anna)).json.code).toBe('APPROVAL_OWN_REQUEST');
    expect((await approve(await service.tokenFor(tenant, 'owner'))).json.code).toBe('APPROVAL_OF_PERSONS');
    expect((await approve(await service.sessionOf('carla', { role: 'operator', tenantId: tenant.id }))).json.code).toBe(
      'REQUEST_FORBIDDEN',
    );
    expect((await ask('GET', `/assets/${things['asset']}`)).json.state).toBe('active');
    expect((await approve(berta)).json).toMatchObject({ state: 'executed' });
    expect((await ask('GET', `/assets/${things['asset']}`)).json.state).toBe('retired');
    expect((await approve(berta)).json.code).toBe('APPROVAL_NOT_OPEN');
    const actions = (await service.catalog.audit.after(0, tenant.id, 100)).map(({ action, outcome }) => `${action} ${outcome}`);
    expect(actions).toEqual(
      expect.arrayContaining([
        'approval.request done',
        'approval.approve denied',
        'approval.approve done',
        'approval.execute done',
      ]),
    );
  });

  it('is not approved by the person who made the token that asked', async () => {
    const { service, tenant, things, ask } = await bureau();
    const anna = await service.sessionOf('anna', { role: 'owner', tenantId: tenant.id });
    const { secret } = (await ask('POST', '/tokens', { label: 'tool', roles: ['owner'] }, {}, anna)).json;
    const { id } = (await ask('POST', `/assets/${things['asset']}/retire`, { reason: 'x' }, {}, secret)).json;
    expect((await ask('POST', `/approvals/${id}/approve`, undefined, {}, anna)).json.code).toBe('APPROVAL_OWN_REQUEST');
  });

  it('is executed as it was asked for, or not at all when things have changed', async () => {
    const { service, tenant, things, ask } = await bureau();
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    const hold = await ask('POST', `/recovery-points/${things['snapshot']}/hold`, { reason: 'case 1' });
    expect(hold.json.isHeld).toBe(true);
    expect((await ask('POST', `/recovery-points/${things['snapshot']}/delete`, { reason: 'x' })).json.code).toBe(
      'REQUEST_CONFLICT',
    );
    const release = (await ask('POST', `/recovery-points/${things['snapshot']}/release`, { reason: 'closed' })).json;
    await ask('POST', `/approvals/${release.id}/approve`, undefined, {}, berta);
    expect((await ask('GET', `/recovery-points/${things['snapshot']}`)).json.isHeld).toBe(false);
    const asked = (await ask('POST', `/recovery-points/${things['snapshot']}/delete`, { reason: 'x' })).json;
    await ask('POST', `/approvals/${asked.id}/approve`, undefined, {}, berta);
    const runs = (await ask('GET', '/runs?kind=forget')).json.items;
    expect(runs).toMatchObject([
      { kind: 'forget', assetId: things['asset'], parameters: { snapshots: [things['snapshot']] }, key: `approval:${asked.id}` },
    ]);
  });
});

describe('a policy', () => {
  const put = (ask: Awaited<ReturnType<typeof bureau>>['ask'], text: string, headers: Record<string, string> = {}, query = '') =>
    ask('PUT', `/policies/strict${query}`, text, { 'content-type': 'application/yaml', ...headers });

  const putAs = (ask: Awaited<ReturnType<typeof bureau>>['ask'], name: string, text: string) =>
    ask('PUT', `/policies/${name}`, text, { 'content-type': 'application/yaml' });

  it('is got as it was put, comments and all', async () => {
    const { ask } = await bureau();
    const text = POLICY_TEXT('strict');
    expect(await put(ask, text)).toMatchObject({
      status: 201,
      json: { name: 'strict', level: 'asset', text, version: 1 },
      headers: { etag: '"1"' },
    });
    const got = await ask('GET', '/policies/strict/text');
    expect(got).toMatchObject({ text, headers: { 'content-type': 'application/yaml; charset=utf-8' } });
  });

  it('that says something wrong is refused with line and column', async () => {
    const { ask } = await bureau();
    const { status, json } = await put(ask, POLICY_TEXT('strict').replace('rpo: 24h', 'rpo: soon'));
    expect(status).toBe(400);
    expect(json.errors[0]).toEqual({ field: 'body/text/objectives/rpo', message: expect.stringContaining('line 4') });
    expect((await put(ask, POLICY_TEXT('other'))).json.errors[0].field).toBe('body/text/name');
    expect((await put(ask, 'x: [')).status).toBe(400);
    expect((await put(ask, POLICY_TEXT('strict').replace('0 3 * * *', '0 99 * * *'))).status).toBe(400);
    expect((await put(ask, POLICY_TEXT('strict').replace('UTC', 'Mars/Olympus'))).status).toBe(400);
    expect((await put(ask, `extends: nothing\n${POLICY_TEXT('strict')}`)).status).toBeLessThan(500);
  });

  it('is replaced by who knows its version', async () => {
    const { ask } = await bureau();
    await put(ask, POLICY_TEXT('strict'));
    expect((await put(ask, POLICY_TEXT('strict'))).json.code).toBe('REQUEST_NEEDS_VERSION');
    expect((await put(ask, POLICY_TEXT('strict'), { 'if-match': '"7"' })).json.code).toBe('REQUEST_STALE');
    expect(await put(ask, POLICY_TEXT('strict'), { 'if-none-match': '*' })).toMatchObject({
      status: 412,
      json: { code: 'REQUEST_STALE', detail: 'There is a policy "strict" already' },
    });
    expect((await put(ask, POLICY_TEXT('strict').replace('24h', '12h'), { 'if-match': '"1"' })).headers['etag']).toBe('"2"');
  });

  it('that promises less waits for a second person', async () => {
    const { service, tenant, things, ask } = await bureau();
    await put(ask, POLICY_TEXT('strict'));
    await ask('PATCH', `/assets/${things['asset']}`, { policy: 'strict' }, { 'if-match': '"1"' });
    const weaker = POLICY_TEXT('strict').replace('24h', '48h');
    expect((await put(ask, weaker, { 'if-match': '"1"' })).json.errors[0]).toEqual({
      field: 'query/reason',
      message: expect.stringContaining('rpo'),
    });
    const asked = await put(ask, weaker, { 'if-match': '"1"' }, '?reason=too%20dear');
    expect(asked.status).toBe(202);
    const effective = async () => (await ask('GET', `/assets/${things['asset']}/policy`)).json.policy.objectives.rpoMs / 3_600_000;
    expect(await effective()).toBe(24);
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    expect((await ask('POST', `/approvals/${asked.json.id}/approve`, undefined, {}, berta)).json.state).toBe('executed');
    expect(await effective()).toBe(48);
  });

  it('taken from an asset is one that promises less', async () => {
    const { things, ask } = await bureau();
    await put(ask, POLICY_TEXT('strict'));
    await ask('PATCH', `/assets/${things['asset']}`, { policy: 'strict' }, { 'if-match': '"1"' });
    expect((await ask('PATCH', `/assets/${things['asset']}`, { policy: null }, { 'if-match': '"2"' })).json.errors[0].field).toBe(
      'body/reason',
    );
    expect((await ask('PATCH', `/assets/${things['asset']}`, { policy: null, reason: 'x' }, { 'if-match': '"2"' })).status).toBe(
      202,
    );
    expect((await ask('DELETE', '/policies/strict', undefined, { 'if-match': '"1"' })).json.detail).toContain(
      'Assets name this policy',
    );
  });

  it('may promise more than its city requires, not less', async () => {
    const { service, ask } = await bureau({ city: 'north' });
    const token = await service.addToken({ role: 'system-admin' });
    const headers = { 'content-type': 'application/yaml' };
    const city = POLICY_TEXT('north').replace('24h', '12h');
    expect((await service.ask('PUT', '/v1/policies/north?level=city&scope=north', { token, body: city, headers })).status).toBe(
      201,
    );
    const { status, json } = await put(ask, POLICY_TEXT('strict'));
    expect([status, json.errors[0].field]).toEqual([400, 'body/text/objectives/rpo']);
    expect(json.errors[0].message).toMatch(/12h/);
    expect((await put(ask, POLICY_TEXT('strict').replace('24h', '6h'))).status).toBe(201);
  });

  it('of a city only ever gets stricter', async () => {
    const { service } = await bureau();
    const token = await service.addToken({ role: 'system-admin' });
    const city = (text: string, headers: Record<string, string>) =>
      service.ask('PUT', '/v1/policies/strict?level=city&scope=north', {
        token,
        body: text,
        headers: { 'content-type': 'application/yaml', ...headers },
      });
    expect((await city(POLICY_TEXT('strict'), {})).status).toBe(201);
    expect((await city(POLICY_TEXT('strict').replace('24h', '48h'), { 'if-match': '"1"' })).json.code).toBe('REQUEST_CONFLICT');
    expect((await city(POLICY_TEXT('strict').replace('24h', '12h'), { 'if-match': '"1"' })).status).toBe(200);
  });

  it('of a city is not weakened by way of what it extends, whoever changes that', async () => {
    const { service, tenant, things, ask } = await bureau({ city: 'north' });
    const token = await service.addToken({ role: 'system-admin' });
    const provider = (name: string, place: string, text: string, version?: number) =>
      service.ask('PUT', `/v1/policies/${name}?${place}`, {
        token,
        body: text,
        headers: { 'content-type': 'application/yaml', ...(version === undefined ? {} : { 'if-match': `"${version}"` }) },
      });
    // Three steps: what the city requires is said by what its policy's base extends.
    const far = 'level=city&scope=far';
    expect((await provider('ground', far, POLICY_TEXT('ground').replace('24h', '12h'))).status).toBe(201);
    expect((await provider('floor', far, 'name: floor\nextends: ground\n')).status).toBe(201);
    expect((await provider('north', 'level=city&scope=north', 'name: north\nextends: floor\n')).status).toBe(201);
    const effective = async () => (await ask('GET', `/assets/${things['asset']}/policy`)).json.policy.objectives.rpoMs / 3_600_000;
    expect(await effective()).toBe(12);
    expect((await provider('floor', far, 'name: floor\n', 1)).json.code).toBe('REQUEST_CONFLICT');
    expect((await provider('north', 'level=city&scope=north', 'name: north\nextends: nothing\n', 1)).json.errors[0].field).toBe(
      'body/text/extends',
    );
    // A policy of the tenant by the name of the base stands for nobody but the tenant's own.
    const own = await putAs(ask, 'floor', 'name: floor\nobjectives: { rpo: 6h }\n');
    expect([own.status, await effective()]).toEqual([201, 12]);
    const weak = await putAs(ask, 'web', 'name: web\nextends: ground\nobjectives: { rpo: 48h }\n');
    expect([weak.status, weak.json.errors[0].field]).toEqual([400, 'body/text/objectives/rpo']);
    // A district of the city may say more only.
    const place = 'level=district&scope=north/east';
    const east = await provider('east', place, 'name: east\nobjectives: { rpo: 24h }\n');
    expect([east.status, east.json.errors[0].field]).toEqual([400, 'body/text/objectives/rpo']);
    expect((await provider('east', place, 'name: east\nobjectives: { rpo: 6h }\n')).status).toBe(201);
    expect(tenant.city).toBe('north');
  });

  it('that others extend is not deleted under them', async () => {
    const { ask } = await bureau();
    await put(ask, POLICY_TEXT('strict'));
    expect((await putAs(ask, 'web', 'name: web\nextends: strict\n')).status).toBe(201);
    const refused = await ask('DELETE', '/policies/strict', undefined, { 'if-match': '"1"' });
    expect([refused.status, refused.json.detail]).toEqual([409, expect.stringContaining('web')]);
    expect((await ask('DELETE', '/policies/web', undefined, { 'if-match': '"1"' })).status).toBe(204);
    expect((await ask('DELETE', '/policies/strict', undefined, { 'if-match': '"1"' })).status).toBe(204);
  });
});

describe('a restore', () => {
  it('to an instant is of the newest sound point at or before it', async () => {
    const { service, tenant, things, ask } = await bureau();
    const add = (hour: number, isSound = true) => {
      const at = `2026-11-20T${String(hour).padStart(2, '0')}:00:00.000Z`;
      return service.catalog.recoveryPoints.put({
        snapshot: String(hour).padStart(20, '0'),
        tenantId: tenant.id,
        assetId: things['asset']!,
        assetName: 'bureau-a/etc',
        startedAt: at,
        endedAt: at,
        bytesScanned: 1,
        bytesStored: 1,
        hasWarnings: false,
        tags: [],
        isHeld: false,
        isSound,
      });
    };
    for (const hour of [1, 5, 9]) await add(hour);
    await add(7, false);
    const plan = (at?: string) =>
      ask('POST', '/restores', {
        assetId: things['asset'],
        target: '/srv/back',
        dryRun: true,
        ...(at === undefined ? {} : { at }),
      });
    expect((await plan('2026-11-20T08:00:00.000Z')).json).toMatchObject({
      achievedAt: '2026-11-20T05:00:00.000Z',
      lostSeconds: 10_800,
    });
    expect((await plan('2026-11-20T09:00:00.000Z')).json).toMatchObject({ achievedAt: '2026-11-20T09:00:00.000Z', lostSeconds: 0 });
    expect((await plan()).json.point.snapshot).toBe(things['snapshot']);
    expect((await plan()).json.warnings, 'it is of today').toEqual(['Its content was not read back and proved yet']);
    const { clock } = service;
    service.clock = new Date('2026-11-20T10:00:00.000Z');
    expect((await plan()).json.warnings.at(-1), 'and now of tomorrow').toMatch(/^It is dated after now, by a clock that was ahead/);
    service.clock = clock;
    expect((await plan('2026-11-20T00:59:59.999Z')).json.detail).toContain('the earliest is of 2026-11-20T01:00:00.000Z');
    expect((await ask('GET', '/runs?kind=restore')).json.items).toEqual([]);
    const started = await ask('POST', '/restores', {
      assetId: things['asset'],
      target: '/srv/back',
      at: '2026-11-20T06:00:00.000Z',
      verify: true,
    });
    expect(started.status).toBe(201);
    expect(started.json.run).toMatchObject({
      kind: 'restore',
      agentId: things['agent'],
      parameters: { snapshot: '00000000000000000005', target: '/srv/back', verify: true },
    });
    expect(service.woken).toEqual([things['agent']]);
  });
});

describe('a run', () => {
  it('is queued, followed and canceled', async () => {
    const { service, things, ask } = await bureau();
    const made = await ask('POST', '/runs', { kind: 'backup', assetId: things['asset'] });
    expect(made).toMatchObject({
      status: 201,
      json: { state: 'queued', agentId: things['agent'] },
      headers: { location: expect.stringContaining(made.json.id) },
    });
    expect(service.woken).toEqual([things['agent']]);
    expect((await ask('POST', `/runs/${made.json.id}/cancel`)).json.state).toBe('canceled');
    expect((await ask('POST', `/runs/${made.json.id}/cancel`)).json.code).toBe('REQUEST_CONFLICT');
    const followed = await ask('GET', `/runs/${made.json.id}/stream`);
    expect(followed.text).toMatch(/^: here\n\nid: 1\nevent: run\ndata: \{.*"state":"canceled".*\}\n\n$/);
    expect((await ask('POST', '/runs', { kind: 'backup' })).json.errors[0].field).toBe('body/assetId');
    expect((await ask('POST', '/runs', { kind: 'restore-test', assetId: things['asset'] })).json.parameters).toMatchObject({
      snapshot: things['snapshot'],
    });
  });
});

describe('a run that is asked for while the same is queued', () => {
  it('is that one, and goes now', async () => {
    const { service, tenant, things, ask } = await bureau();
    const { catalog } = service;
    const body = { kind: 'backup', assetId: things['asset'] };
    const queued = { tenantId: tenant.id, kind: 'backup', assetId: things['asset']!, agentId: things['agent']! } as const;
    const later = { dueAt: '2026-11-21T09:00:00.000Z', notBefore: '2026-11-21T09:03:00.000Z', attemptsMax: 5 };
    const terms = { parameters: {}, priority: 50, perHostMax: 1, requestedBy: 'scheduler' };
    await catalog.runs.add({ ...queued, ...later, ...terms, id: 'run_00000000000000000000000001', key: 'due' }, later.dueAt);
    const joined = await ask('POST', '/runs', body);
    expect(joined).toMatchObject({ status: 200, json: { id: 'run_00000000000000000000000001', priority: 70, state: 'queued' } });
    expect(joined.json.notBefore < later.notBefore).toBe(true);
    expect(joined.json.perHostMax).toBeUndefined();
    expect(joined.headers['location']).toContain(joined.json.id);
    expect(service.woken).toEqual([things['agent']]);
    expect(await ask('POST', '/runs', body)).toMatchObject({ status: 200, json: { id: joined.json.id } });
    expect((await ask('GET', '/audit')).json.items).toMatchObject([
      { action: 'run.hasten', subject: joined.json.id, details: body },
      { action: 'run.hasten', subject: joined.json.id },
    ]);
  });

  it('is another when it is of something else, or when the one before has begun: that may lack what was changed since', async () => {
    const { service, things, ask } = await bureau();
    const body = { kind: 'backup', assetId: things['asset'] };
    const asked = async (one: object): Promise<string> => (await ask('POST', '/runs', one)).json.id;
    const backup = await asked(body);
    const verify = { kind: 'verify', verify: { mode: 'full' } };
    const others = [backup, await asked({ kind: 'forget', assetId: things['asset'] }), await asked(verify)];
    others.push(await asked({ kind: 'verify' }), await asked({ kind: 'prune' }));
    expect(new Set(others).size).toBe(5);
    expect(await asked(verify)).toBe(others[2]);
    const at = service.clock.toISOString();
    const claim = { by: 'agent:a', kinds: ['backup'], agentId: things['agent']!, at, leaseMs: 60_000 } as const;
    await service.catalog.runs.claim({ ...claim, perAgentMax: 9, perTenantMax: 9, totalMax: 9 });
    const next = await ask('POST', '/runs', body);
    expect(next.status).toBe(201);
    expect(next.json.id).not.toBe(backup);
    expect(await asked(body), 'one waits behind it, and no more').toBe(next.json.id);
  });

  it('is one for all who ask at once', async () => {
    const { ask } = await bureau();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('POST', '/runs', { kind: 'prune' })));
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });
});

describe('an agent', () => {
  it('is enrolled by a token that is shown once, and revoked', async () => {
    const { service, things, ask } = await bureau();
    const { json } = await ask('POST', '/enrolments', { label: 'web2', minutes: 5 });
    expect(json).toMatchObject({ secret: expect.stringMatching(/^hf_/), expiresAt: '2026-11-21T08:05:00.000Z' });
    expect((await ask('POST', `/agents/${things['agent']}/revoke`)).json.state).toBe('revoked');
    expect((await ask('POST', `/agents/${things['agent']}/revoke`)).json.state).toBe('revoked');
    expect(service.woken).toContain(things['agent']);
    expect((await ask('POST', '/runs', { kind: 'backup', assetId: things['asset'] })).json.detail).toContain('revoked');
    expect((await ask('GET', '/events')).json.items.filter(({ kind }: { kind: string }) => kind === 'agent.revoked')).toHaveLength(
      1,
    );
  });
});

describe('a run that nobody can carry out any more', () => {
  const statesOf = async ({ ask }: Awaited<ReturnType<typeof bureau>>, asset: string | undefined) =>
    (await ask('GET', '/runs')).json.items
      .filter(({ assetId }: { assetId: string }) => assetId === asset)
      .map(({ state }: { state: string }) => state);

  it('ends with its agent: what waits at once, what runs when its lease does', async () => {
    const some = await bureau();
    const { things, ask } = some;
    await ask('POST', '/runs', { kind: 'backup', assetId: things['asset'] });
    expect(await statesOf(some, things['asset'])).toContain('queued');
    await ask('POST', `/agents/${things['agent']}/revoke`);
    expect(await statesOf(some, things['asset'])).not.toContain('queued');
    const other = await bureau();
    const begun = (await other.ask('POST', '/runs', { kind: 'backup', assetId: other.things['asset'] })).json.id;
    const agentId = other.things['agent']!;
    const at = other.service.clock.toISOString();
    const limits = { leaseMs: 60_000, perAgentMax: 4, perTenantMax: 9, totalMax: 9 };
    await other.service.catalog.runs.claim({ by: `agent:${agentId}`, kinds: ['backup'], agentId, at, ...limits });
    await other.ask('POST', `/agents/${agentId}/revoke`);
    const late = new Date(other.service.clock.getTime() + 120_000).toISOString();
    await other.service.catalog.runs.expire(late, late, 10);
    expect((await other.service.catalog.runs.get(other.tenant.id, begun))?.state).toBe('canceled');
  });

  it('ends with its asset', async () => {
    const some = await bureau();
    const { service, tenant, things, ask } = some;
    const anna = await service.sessionOf('anna', { role: 'owner', tenantId: tenant.id });
    const berta = await service.sessionOf('berta', { role: 'owner', tenantId: tenant.id });
    await ask('POST', '/runs', { kind: 'backup', assetId: things['asset'] });
    const { id } = (await ask('POST', `/assets/${things['asset']}/retire`, { reason: 'web1 is gone' }, {}, anna)).json;
    expect(await statesOf(some, things['asset'])).toContain('queued');
    expect((await ask('POST', `/approvals/${id}/approve`, undefined, {}, berta)).json.state).toBe('executed');
    expect(await statesOf(some, things['asset'])).not.toContain('queued');
  });
});

describe('the audit', () => {
  it('has a line for every change, and proves itself', async () => {
    const { service, tenant, things, ask } = await bureau();
    await ask('POST', '/runs', { kind: 'backup', assetId: things['asset'] });
    await ask('PUT', `/recovery-points/${things['snapshot']}/tags`, { tags: ['before-upgrade'] });
    expect((await ask('GET', '/audit')).json.items.map(({ action }: { action: string }) => action)).toEqual([
      'run.start',
      'point.tag',
    ]);
    expect((await ask('GET', '/audit/verify')).json).toMatchObject({ state: 'whole', entries: 2 });
    const admin = await service.addToken({ role: 'audit-admin' });
    expect((await service.ask('GET', '/v1/audit', { token: admin })).json.items).toHaveLength(2);
    expect((await service.ask('GET', '/v1/audit', { token: await service.tokenFor(tenant, 'auditor') })).status).toBe(403);
  });
});

describe('copies at other sites', () => {
  it('are told as they were seen last; none when the service knows of no site', async () => {
    const { service, tenant, ask } = await bureau();
    expect((await ask('GET', '/replicas')).json).toEqual({ items: [] });
    const seen: Replica = {
      site: 'east',
      state: 'following',
      asOf: '2026-11-21T07:59:58.000Z',
      snapshots: 3,
      seenAt: '2026-11-21T08:00:00.000Z',
    };
    await service.catalog.settings.set(replicasSetting(tenant.id), JSON.stringify([seen]));
    expect((await ask('GET', '/replicas')).json).toEqual({ items: [seen] });
  });
});

describe('usage', () => {
  const HEADER = 'tenantId,tenant,day,protectedBytes,storedBytes,egressBytes,runs,drillSeconds\r\n';

  it('is told by day, as JSON and as CSV', async () => {
    const { service, tenant, ask } = await bureau();
    const measured = { tenantId: tenant.id, day: '2026-11-20', protectedBytes: 100, storedBytes: 40, runs: 3, drillSeconds: 60 };
    await service.catalog.usage.put(measured);
    await service.catalog.usage.addEgress(tenant.id, '2026-11-20', 7);
    const day = { ...measured, egressBytes: 7 };
    expect((await ask('GET', '/usage')).json).toEqual({ from: '2026-11-01', to: '2026-11-21', days: [day] });
    expect((await ask('GET', '/usage.csv')).text).toBe(`${HEADER}${tenant.id},${tenant.name},2026-11-20,100,40,7,3,60\r\n`);
    const before = { ...measured, day: '2026-10-31', protectedBytes: 90, storedBytes: 30, runs: 2, drillSeconds: 0 };
    await service.catalog.usage.put(before);
    const october = `${HEADER}${tenant.id},${tenant.name},2026-10-31,90,30,0,2,0\r\n`;
    expect((await ask('GET', '/usage.csv?month=2026-10')).text).toBe(october);
    expect((await ask('GET', '/usage?month=2026-10')).json.days).toMatchObject([{ day: '2026-10-31' }]);
    const admin = await service.addToken({ role: 'system-admin' });
    expect((await service.ask('GET', '/v1/usage.csv?month=2026-10', { token: admin })).text).toBe(october);
    expect((await service.ask('GET', '/v1/usage?month=2026-11', { token: admin })).json).toMatchObject({
      from: '2026-11-01',
      tenants: [{ tenant: tenant.name, storedByteDays: 40, drillSeconds: 60, days: [{ day: '2026-11-20', egressBytes: 7 }] }],
    });
    const owner = await service.tokenFor(tenant, 'owner');
    expect((await service.ask('GET', '/v1/usage', { token: owner })).status).toBe(403);
    expect((await ask('GET', '/usage?month=2026-10&from=2026-10-02')).json.errors[0].field).toBe('query/month');
    expect((await ask('GET', '/usage?month=2026-13')).status).toBe(400);
    expect((await ask('GET', '/usage?from=2026-02-31')).status).toBe(400);
    expect((await ask('GET', '/usage?from=2026-03-01&to=2026-02-01')).json.errors[0].field).toBe('query/to');
  });
});

describe('metrics', () => {
  it('are for the system administrator, and bounded', async () => {
    const { service, things, owner } = await bureau();
    expect((await service.ask('GET', '/metrics', { token: owner })).status).toBe(403);
    const admin = await service.addToken({ role: 'system-admin' });
    const { text, headers } = await service.ask('GET', '/metrics', { token: admin });
    expect(headers['content-type']).toContain('text/plain');
    expect(text).toContain(`holdfast_rpo_seconds{tenant="${things['tenant']}",asset="${things['asset']}"} 0`);
    expect(text).toContain('holdfast_runs{kind="backup",state="queued"} 1');
    expect(text).toContain('holdfast_queue_depth 1');
    expect(text).toContain('holdfast_assets 1');
    expect(text).toMatch(/holdfast_build_info\{version="[^"]+"\} 1/);
  });
});

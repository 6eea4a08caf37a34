import { describe, expect, it } from 'vitest';
import { newService } from './new-service.ts';

describe('the service from outside', () => {
  it('says that it lives and that it is ready, to anybody', async () => {
    const service = await newService();
    expect((await service.ask('GET', '/healthz')).json).toMatchObject({ state: 'ok' });
    expect((await service.ask('GET', '/readyz')).status).toBe(200);
  });

  it('makes a tenant and its repository, and an asset in it', async () => {
    const service = await newService();
    const token = await service.addToken({ role: 'system-admin' });
    const made = await service.ask('POST', '/v1/tenants', { token, body: { name: 'bureau-a', label: 'Bureau A' } });
    expect(made).toMatchObject({ status: 201, json: { name: 'bureau-a', version: 1 }, headers: { etag: '"1"' } });
    expect(service.repositories).toEqual(['bureau-a']);
    const owner = await service.addToken({ role: 'owner', tenantId: made.json.id });
    const agentId = await service.addAgent(made.json);
    const asset = await service.ask('POST', `/v1/tenants/${made.json.id}/assets`, {
      token: owner,
      body: { name: 'web1/etc', agentId, source: { kind: 'files', paths: ['/etc'] } },
    });
    expect(asset).toMatchObject({ status: 201, json: { name: 'web1/etc', state: 'active' } });
    expect((await service.ask('GET', `/v1/tenants/${made.json.id}/assets`, { token: owner })).json.items).toHaveLength(1);
  });
});

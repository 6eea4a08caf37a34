// Over real connections: how streams begin, go on, and end.

import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ServerEvent } from '../../src/client/server-events.ts';
import { ServiceClient } from '../../src/client/service-client.ts';
import { newService } from './new-service.ts';
import { populate } from './world.ts';

const STREAMS = { totalMax: 100, perPrincipalMax: 3, pollMs: 5, heartbeatMs: 20, lifeMs: 60_000 };

async function listening(streams: Partial<typeof STREAMS> = {}) {
  const service = await newService({ config: { streams: { ...STREAMS, ...streams } } });
  const tenant = await service.addTenant('bureau-a');
  const things = await populate(service, tenant);
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`;
  const secret = await service.tokenFor(tenant, 'viewer');
  const client = new ServiceClient({ url, secret, newKey: randomUUID });
  const happen = (message: string) =>
    service.catalog.events.add(
      { tenantId: tenant.id, kind: 'run.failed', severity: 'warning', message },
      service.clock.toISOString(),
    );
  return { service, tenant, things, url, secret, client, happen };
}

async function take(events: AsyncIterable<ServerEvent>, count: number): Promise<string[]> {
  const messages: string[] = [];
  for await (const { data } of events) {
    messages.push(JSON.parse(data).message);
    if (messages.length === count) break;
  }
  return messages;
}

describe('the stream of events', () => {
  it('begins now, or behind the event that is named, and shows what happens in its order', async () => {
    const { tenant, client, happen } = await listening();
    await happen('before');
    const all = client.stream(
      'streamEvents',
      { tenant: tenant.id, query: { since: 0 } },
      () => false,
      new AbortController().signal,
    );
    expect(await take(all, 2)).toEqual(['something of bureau-a', 'before']);
    const fromNow = client.stream('streamEvents', { tenant: tenant.id }, () => false, new AbortController().signal);
    const taken = take(fromNow, 2);
    const isOver = taken.then(() => true);
    // Whenever the stream has begun, it shows what comes after: events are made until it has seen two.
    for (let i = 0; !(await Promise.race([isOver, new Promise((resolve) => setImmediate(resolve, false))])); i++)
      await happen(`after ${i}`);
    const messages = await taken;
    expect(messages[0]).toMatch(/^after \d+$/);
    expect(Number(messages[1]!.slice(6))).toBe(Number(messages[0]!.slice(6)) + 1);
  });

  it('goes on where it broke off: nothing is missing and nothing comes twice, however often it ends', async () => {
    const { tenant, client, happen } = await listening({ lifeMs: 30 });
    const taken = take(
      client.stream('streamEvents', { tenant: tenant.id, query: { since: 0 } }, () => false, new AbortController().signal),
      61,
    );
    for (let i = 0; i < 60; i++) {
      await happen(`event ${i}`);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    expect(await taken).toEqual(['something of bureau-a', ...Array.from({ length: 60 }, (_, i) => `event ${i}`)]);
  });

  it('shows a sign of life while nothing happens', async () => {
    const { tenant, url, secret } = await listening();
    const response = await fetch(`${url}/v1/tenants/${tenant.id}/events/stream`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    let text = '';
    for await (const bytes of response.body!) {
      text += Buffer.from(bytes).toString();
      if (text.split(': here\n\n').length > 3) break;
    }
    expect(text.replaceAll(': here\n\n', '')).toBe('');
  });

  it('ends for who may not read on', async () => {
    const { service, tenant, url, secret } = await listening();
    const { id } = (await service.ask('GET', '/v1/me', { token: secret })).json;
    const response = await fetch(`${url}/v1/tenants/${tenant.id}/events/stream`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    await service.catalog.tokens.revoke(id, service.clock.toISOString());
    expect(await response.text()).toContain(': here');
  });

  it('shows nothing that happens after a token was revoked', async () => {
    const { service, tenant, url, secret, happen } = await listening({ heartbeatMs: 600_000 });
    const { id } = (await service.ask('GET', '/v1/me', { token: secret })).json;
    const response = await fetch(`${url}/v1/tenants/${tenant.id}/events/stream?since=0`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    let text = '';
    for await (const bytes of response.body!) {
      text += Buffer.from(bytes).toString();
      if (!text.includes('something of bureau-a') || text.includes('secret')) continue;
      await service.catalog.tokens.revoke(id, service.clock.toISOString());
      await happen('secret');
    }
    expect(text).not.toContain('secret');
  });

  it('is open a few times for one principal, and the service can stop meanwhile', async () => {
    const { service, tenant, url, secret } = await listening();
    const open = () => fetch(`${url}/v1/tenants/${tenant.id}/events/stream`, { headers: { authorization: `Bearer ${secret}` } });
    const streams = [await open(), await open(), await open()];
    expect(streams.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await open()).status).toBe(429);
    await streams[0]!.body!.cancel();
    let again = await open();
    for (; again.status === 429; again = await open()) await again.text();
    expect(again.status).toBe(200);
    await service.app.close();
    for (const stream of [streams[1]!, streams[2]!, again]) expect(await stream.text()).toContain(': here');
  });
});

describe('the stream of a run', () => {
  it('tells of every change until the run is over', async () => {
    const { service, tenant, things, client } = await listening();
    const states: string[] = [];
    const at = service.clock.toISOString();
    const events = client.stream(
      'streamRun',
      { tenant: tenant.id, run: things['run']! },
      ({ data }) => JSON.parse(data).state === 'succeeded',
      new AbortController().signal,
    );
    for await (const { data } of events) {
      const run = JSON.parse(data);
      states.push(run.progress === undefined ? run.state : run.progress.phase);
      const claim = {
        by: 'agent:x',
        kinds: ['backup'] as const,
        agentId: things['agent']!,
        at,
        leaseMs: 1000,
        perAgentMax: 9,
        perTenantMax: 9,
        totalMax: 9,
      };
      if (states.length === 1) await service.catalog.runs.claim(claim);
      if (states.length === 2) await service.catalog.runs.extend(run.id, 1, at, 1000, { phase: 'reading', bytesDone: 1, at });
      if (states.length === 3) await service.catalog.runs.end(run.id, 1, at, { state: 'succeeded' });
    }
    expect(states).toEqual(['queued', 'running', 'reading', 'reading']);
  });
});

describe('the client', () => {
  it('tells refusals as the service named them, and what is not the service as that', async () => {
    const { tenant, client, url } = await listening();
    await expect(client.call('getAsset', { tenant: tenant.id, asset: 'ast_00000000000000000000000000' })).rejects.toMatchObject({
      code: 'REQUEST_NOT_FOUND',
    });
    await expect(client.call('startRun', { tenant: tenant.id, body: { kind: 'prune' } })).rejects.toMatchObject({
      code: 'REQUEST_FORBIDDEN',
    });
    const elsewhere = new ServiceClient({ url: url.replace(/\d+$/, '1'), newKey: randomUUID });
    await expect(elsewhere.call('health', {})).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
  });

  it('repeats what got lost on the way under the same key, so that it is done once', async () => {
    const { service, tenant, things, url } = await listening();
    let lost = 0;
    const losing: typeof fetch = async (...request) => {
      const response = await fetch(...request);
      if (lost++ < 2) throw new TypeError('fetch failed');
      return response;
    };
    const client = new ServiceClient({
      url,
      secret: await service.tokenFor(tenant, 'operator'),
      newKey: randomUUID,
      fetch: losing,
    });
    const { body } = await client.call('startRun', { tenant: tenant.id, body: { kind: 'backup', assetId: things['asset']! } });
    const runs = (await service.catalog.runs.list(tenant.id, {}, { limit: 10 })).items.filter(({ key }) =>
      key.startsWith('manual:'),
    );
    expect(runs.map(({ id }) => id)).toEqual([body.id]);
    expect(lost).toBe(3);
  });

  it('reads lists to their end', async () => {
    const { service, tenant, things, client } = await listening();
    for (let i = 0; i < 130; i++) await service.addAsset(tenant, things['agent']!, `asset-${i}`);
    let count = 0;
    for await (const asset of client.each('listAssets', { tenant: tenant.id })) count += asset.tenantId === tenant.id ? 1 : 0;
    expect(count).toBe(131);
  });
});

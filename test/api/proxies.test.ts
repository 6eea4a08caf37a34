// Behind a reverse proxy the address of a request is what the proxy says, and only a proxy may say.

import { expect, it } from 'vitest';
import { newHoldfast } from '../cli/holdfast.ts';
import { newService } from './new-service.ts';

it('a trusted proxy tells where a request comes from; nobody else can, and what came before it is not believed', async () => {
  const service = await newService({ config: { trustedProxies: ['127.0.0.1', '10.9.0.0/16'] } });
  const tenant = await service.addTenant('bureau-a', { allowedSources: ['10.1.0.0/16'] });
  const token = await service.tokenFor(tenant, 'owner');
  const ask = async (from: string, forwarded?: string): Promise<number> => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    return (await service.ask('GET', `/v1/tenants/${tenant.id}`, { token, from, headers })).status;
  };
  expect(await ask('10.1.0.5'), 'as it is').toBe(200);
  expect(await ask('10.9.0.1'), 'the proxy itself is not of the tenant').toBe(403);
  expect(await ask('10.9.0.1', '10.1.0.5')).toBe(200);
  expect(await ask('127.0.0.1', '10.1.0.5, 10.9.3.3'), 'two proxies').toBe(200);
  expect(await ask('10.9.0.1', '10.1.0.5, 192.0.2.7'), 'what the client has made up').toBe(403);
  expect(await ask('192.0.2.7', '10.1.0.5'), 'who is no proxy').toBe(403);
});

it('the service refuses to start with a proxy that is no address', () => {
  const program = newHoldfast();
  const serve = ['serve', '--home', program.path('home'), '--listen', '127.0.0.1:0'];
  expect(program.fault([...serve, '--trusted-proxy', 'proxy.example'])).toMatchObject({ code: 'USAGE', status: 2 });
  const variables = { HOLDFAST_TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/99' };
  expect(program.fault(serve, { variables }).line['message']).toContain('"10.0.0.0/99"');
});

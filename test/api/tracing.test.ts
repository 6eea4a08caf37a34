import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { startTracing } from '../../src/api/tracing.ts';
import { newService } from './new-service.ts';

it('a collector gets a span for each request, below the span of the caller, without ids and secrets', async () => {
  const received: string[] = [];
  const collector = createServer((request, response) => {
    request.setEncoding('utf8');
    request.on('data', (text: string) => received.push(text));
    request.on('end', () => response.setHeader('content-type', 'application/json').end('{}'));
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void collector.close());
  const tracing = await startTracing({
    endpoint: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`,
    version: '1',
  });
  const service = await newService({ tracing });
  const tenant = await service.addTenant('bureau-a');
  const token = await service.tokenFor(tenant, 'viewer');
  const trace = '0af7651916cd43dd8448eb211c80319c';
  await service.ask('GET', `/v1/tenants/${tenant.id}`, { token, headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
  await service.ask('GET', '/nothing');
  await tracing.close();
  const text = received.join('');
  const spans = JSON.parse(text).resourceSpans[0].scopeSpans[0].spans;
  expect(spans.map(({ name }: { name: string }) => name)).toEqual(['GET /v1/tenants/:tenant', 'GET none']);
  expect(spans[0]).toMatchObject({ traceId: trace, parentSpanId: 'b7ad6b7169203331' });
  expect(text).not.toContain(token);
  expect(text).not.toContain(tenant.id);
});

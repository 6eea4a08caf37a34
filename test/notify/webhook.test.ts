import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isPublicAddress } from '../../src/notify/address-guard.ts';
import type { WebhookChannel } from '../../src/notify/channel.ts';
import { sendWebhook } from '../../src/notify/webhook.ts';
import { startReceiver } from './receiver.ts';
import { contextOf, EVENT, NOW } from './scene.ts';

const hook = (url: string, more: Partial<WebhookChannel> = {}): WebhookChannel => ({
  kind: 'webhook',
  name: 'ops',
  url,
  allowPrivate: true,
  ...more,
});

describe('a webhook', () => {
  it('gets the event as JSON, with its id and a signature that its secret makes', async () => {
    const receiver = await startReceiver((response) => response.writeHead(204).end());
    const outcome = await sendWebhook(hook(`${receiver.url}/in`, { secret: 'hook' }), contextOf({ hook: 'the secret' }));
    expect(outcome).toEqual({ kind: 'sent' });
    const [{ url, headers, body }] = receiver.received as [(typeof receiver.received)[0]];
    expect(url).toBe('/in');
    expect(headers['holdfast-event']).toBe(EVENT.id);
    expect(JSON.parse(body)).toEqual({ event: EVENT, delivery: { id: expect.stringMatching(/^dlv_/), attempt: 3 } });
    const seconds = Math.floor(NOW.getTime() / 1000);
    const digest = createHmac('sha256', 'the secret').update(`${seconds}.${body}`).digest('hex');
    expect(headers['holdfast-signature']).toBe(`t=${seconds},v1=${digest}`);
  });

  it('is not followed when it redirects', async () => {
    const other = await startReceiver((response) => response.end());
    const receiver = await startReceiver((response) => response.writeHead(307, { location: other.url }).end());
    expect(await sendWebhook(hook(receiver.url), contextOf())).toMatchObject({ kind: 'failed' });
    expect(other.received).toEqual([]);
  });

  it('is not delivered when its receiver says anything but yes', async () => {
    const statuses = [500, 503, 429, 400, 410];
    const receiver = await startReceiver((response, { url }) => response.writeHead(Number(url.slice(1))).end());
    for (const status of statuses)
      expect(await sendWebhook(hook(`${receiver.url}/${status}`), contextOf())).toMatchObject({
        kind: 'failed',
        message: expect.stringContaining(`status ${status}`),
      });
  });

  it('that never answers is left after its time', async () => {
    const receiver = await startReceiver(() => {});
    const outcome = await sendWebhook(hook(receiver.url, { timeoutMs: 150 }), contextOf());
    expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('within 150 ms') });
  });

  it('that answers without end is not read without end', async () => {
    let sent = 0;
    const receiver = await startReceiver((response) => {
      const pump = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
      };
      response.on('drain', pump);
      pump();
    });
    expect(await sendWebhook(hook(receiver.url), contextOf())).toEqual({ kind: 'sent' });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  it('of the own network is refused unless the channel allows it, by address and by name', async () => {
    const receiver = await startReceiver((response) => response.end());
    const addresses = [
      `https://127.0.0.1:${receiver.port}/`,
      `https://localhost:${receiver.port}/`,
      'https://169.254.169.254/latest/meta-data/',
      'https://[::1]/',
      'https://[::ffff:10.0.0.1]/',
      'https://0x7f000001/',
    ];
    for (const url of addresses) {
      const outcome = await sendWebhook(hook(url, { allowPrivate: false }), contextOf());
      expect(outcome, url).toMatchObject({ kind: 'failed', message: expect.stringContaining('own network') });
    }
    expect(receiver.received).toEqual([]);
  });

  it('without TLS is refused outside of the own network', async () => {
    const outcome = await sendWebhook(hook('http://192.0.2.1/', { allowPrivate: false }), contextOf());
    expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('TLS') });
  });

  it('has its path and query in no message', async () => {
    const receiver = await startReceiver((response) => response.writeHead(500).end());
    const outcome = await sendWebhook(hook(`${receiver.url}/hidden?token=hidden`), contextOf());
    expect(outcome).toMatchObject({ kind: 'failed', message: expect.not.stringContaining('hidden') });
  });
});

describe('an address', () => {
  it('is public or not', () => {
    const own = ['127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.1.1', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255'];
    const own6 = ['::1', '::', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'];
    expect([...own, ...own6, 'example.org', ''].filter(isPublicAddress)).toEqual([]);
    expect(['8.8.8.8', '114.114.114.114', '2400:3200::1'].filter((one) => !isPublicAddress(one))).toEqual([]);
  });
});

import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import type { NewEvent } from '../../src/model/event.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { readChannels, secretReader, writeChannels } from '../../src/notify/channel-settings.ts';
import { type DelivererPorts, deliverDue } from '../../src/notify/deliverer.ts';
import { routeEvents } from '../../src/notify/event-router.ts';
import { catalogThings, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { startReceiver } from './receiver.ts';

const things = catalogThings();
const signal = new AbortController().signal;
let nowMs: number;
let catalog: Catalog;
let path: string;
const now = (): Date => new Date(nowMs);

beforeEach(async () => {
  nowMs = START.getTime();
  path = `${scratchDirectory()}/catalog.sqlite`;
  catalog = await openSqliteCatalog({ path, now, random: things.random });
  onTestFinished(() => catalog.close());
});

function ports(more: Partial<DelivererPorts> = {}): DelivererPorts & { random: typeof things.random; logged: string[] } {
  const logged: string[] = [];
  const write = (...what: unknown[]): void => void logged.push(JSON.stringify(what));
  return {
    catalog,
    now,
    random: things.random,
    log: { info: write, warn: write } as DelivererPorts['log'],
    readSecret: async () => 'the-secret',
    logged,
    ...more,
  };
}

const hook = (name: string, url: string, more: Partial<Channel> = {}): Channel =>
  ({ kind: 'webhook', name, url, allowPrivate: true, secret: 'hook', ...more }) as Channel;

function add(more: Partial<NewEvent> = {}): Promise<{ id: string }> {
  return catalog.events.add({ kind: 'run.failed', severity: 'critical', message: 'It failed', ...more }, now().toISOString());
}

async function tell(some: ReturnType<typeof ports>): Promise<number> {
  await routeEvents(some);
  return deliverDue(some, signal);
}

describe('an event', () => {
  it('goes once to each channel that wants it, by severity, tenant and kind', async () => {
    const receiver = await startReceiver((response) => response.end());
    const [mine, other] = [things.id('tenant'), things.id('tenant')];
    await writeChannels(catalog, {
      channels: [
        hook('all', `${receiver.url}/all`),
        hook('critical', `${receiver.url}/critical`, { severityMin: 'critical' }),
        hook('mine', `${receiver.url}/mine`, { tenants: [mine] }),
        hook('promises', `${receiver.url}/promises`, { kinds: ['objective.*'] }),
        hook('paused', `${receiver.url}/paused`, { isPaused: true }),
      ],
    });
    await add({ tenantId: mine, severity: 'info', kind: 'objective.kept' });
    await add({ tenantId: other, severity: 'critical' });
    await add({ severity: 'warning' });
    const some = ports();
    expect(await tell(some)).toBe(6);
    expect(await tell(some)).toBe(0);
    const counts = Object.groupBy(receiver.received, ({ url }) => url);
    expect(Object.fromEntries(Object.entries(counts).map(([url, list]) => [url, list!.length]))).toEqual({
      '/all': 3,
      '/critical': 1,
      '/mine': 1,
      '/promises': 1,
    });
  });

  it('is told again until its receiver takes it, later and later, with the same id', async () => {
    let isUp = false;
    const receiver = await startReceiver((response) => response.writeHead(isUp ? 200 : 503).end());
    await writeChannels(catalog, { channels: [hook('ops', receiver.url)] });
    const { id } = await add();
    const some = ports();
    const times: number[] = [];
    for (let minute = 0; minute < 30; minute++) {
      const before = receiver.received.length;
      await tell(some);
      if (receiver.received.length > before) times.push(minute);
      nowMs += 60_000;
    }
    // 15 s, 30 s, 1 min, 2, 4, 8 ...
    expect(times).toEqual([0, 1, 2, 3, 5, 9, 17]);
    isUp = true;
    nowMs += 3_600_000;
    expect(await tell(some)).toBe(1);
    nowMs += 3_600_000;
    expect(await tell(some)).toBe(0);
    expect(new Set(receiver.received.map(({ headers }) => headers['holdfast-event']))).toEqual(new Set([id]));
  });

  it('that nobody takes is given up in the end, which is an event for the other channels', async () => {
    const down = await startReceiver((response) => response.writeHead(503).end());
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('down', down.url), hook('up', up.url)] });
    const { id } = await add();
    const some = ports();
    for (let n = 0; n < 20; n++) {
      await tell(some);
      nowMs += 3_600_000;
    }
    expect(down.received).toHaveLength(14);
    const told = up.received.map(({ body }) => JSON.parse(body).event);
    expect(told.map(({ kind }) => kind)).toEqual(['run.failed', 'delivery.given-up']);
    expect(told[1].details).toEqual({ channel: 'down', event: id });
  });

  it('does not wait for a channel that hangs, nor the service for its end', async () => {
    const hanging = await startReceiver(() => {});
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('hanging', hanging.url, { timeoutMs: 60_000 }), hook('up', up.url)] });
    for (let n = 0; n < 3; n++) await add();
    const some = ports();
    await routeEvents(some);
    const stop = new AbortController();
    const delivering = deliverDue(some, stop.signal);
    await expect.poll(() => [up.received.length, hanging.received.length], { timeout: 60_000 }).toEqual([3, 1]);
    stop.abort();
    await delivering;
  });

  it('that others have to wait for is told in rounds that end, and what comes up meanwhile is in the next one', async () => {
    const slow = await startReceiver((response) => response.end());
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, {
      channels: [hook('slow', slow.url), hook('up', up.url, { kinds: ['objective.broken'] })],
    });
    for (let n = 0; n < 3; n++) await add();
    const some = ports({ roundMs: 0 });
    expect(await tell(some)).toBe(1);
    nowMs += 1000;
    await add({ kind: 'objective.broken' });
    expect(await tell(some)).toBe(2);
    expect(up.received).toHaveLength(1);
    for (let n = 0; n < 2; n++) expect(await tell(some)).toBe(1);
    expect(await tell(some)).toBe(0);
    expect(new Set(slow.received.map(({ headers }) => headers['holdfast-event'])).size).toBe(4);
    expect(slow.received).toHaveLength(4);
  });

  it('of a channel that was taken away is not told for ever', async () => {
    await writeChannels(catalog, { channels: [hook('gone', 'http://127.0.0.1:1')] });
    await add();
    const some = ports();
    await routeEvents(some);
    await writeChannels(catalog, { channels: [] });
    await deliverDue(some, signal);
    nowMs += 24 * 3_600_000;
    expect(await catalog.deliveries.due(now().toISOString(), 10)).toEqual([]);
  });

  it('is told once by two processes that look at the same time', async () => {
    const receiver = await startReceiver((response) => setTimeout(() => response.end(), 20));
    await writeChannels(catalog, { channels: [hook('ops', receiver.url)] });
    for (let n = 0; n < 60; n++) await add();
    const second = await openSqliteCatalog({ path, now, random: things.random });
    onTestFinished(() => second.close());
    await Promise.all([tell(ports()), tell(ports({ catalog: second }))]);
    const ids = receiver.received.map(({ headers }) => headers['holdfast-event']);
    expect(new Set(ids).size).toBe(60);
    expect(ids).toHaveLength(60);
  });

  it('leaves its secrets out of logs and of the catalogue', async () => {
    const receiver = await startReceiver((response) => response.writeHead(500).end('the-secret'));
    await writeChannels(catalog, { channels: [hook('ops', `${receiver.url}/?token=the-secret`)] });
    await add();
    const some = ports();
    await tell(some);
    expect(some.logged.length).toBeGreaterThan(0);
    expect(some.logged.join('\n')).not.toContain('the-secret');
    nowMs += 3_600_000;
    const [due] = await catalog.deliveries.due(now().toISOString(), 1);
    expect(due!.delivery.lastError).toContain('status 500');
    expect(due!.delivery.lastError).not.toContain('the-secret');
  });
});

describe('the configuration of channels', () => {
  it('is a closed form: what it does not know is refused, and so are two of one name', async () => {
    const good = hook('ops', 'https://example.org/in');
    await expect(writeChannels(catalog, { channels: [{ ...good, password: 'x' }] })).rejects.toMatchObject({
      code: 'CHANNEL_INVALID',
    });
    await expect(writeChannels(catalog, { channels: [{ ...good, kind: 'pigeon' }] })).rejects.toMatchObject({
      code: 'CHANNEL_INVALID',
    });
    await expect(writeChannels(catalog, { channels: [good, good] })).rejects.toMatchObject({ code: 'CHANNEL_INVALID' });
    await expect(writeChannels(catalog, { channels: [{ ...good, url: 'https://user:pw@example.org/' }] })).rejects.toMatchObject({
      code: 'CHANNEL_INVALID',
    });
    expect(await readChannels(catalog)).toEqual([]);
    await writeChannels(catalog, { channels: [good] });
    expect(await readChannels(catalog)).toEqual([good]);
  });

  it('names secrets that lie in one directory and nowhere else', async () => {
    const read = secretReader(scratchDirectory());
    for (const name of ['../catalog', '/etc/passwd', 'none', ''])
      await expect(read(name)).rejects.toMatchObject({ code: 'CHANNEL_SECRET_MISSING' });
  });
});

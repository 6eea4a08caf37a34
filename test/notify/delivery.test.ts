import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import type { NewEvent } from '../../src/model/event.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { readChannels, secretReader, writeChannels } from '../../src/notify/channel-settings.ts';
import { channelSilence } from '../../src/notify/channel-state.ts';
import { Deliverer, type DelivererPorts } from '../../src/notify/deliverer.ts';
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
  const deliverer = new Deliverer(some, signal);
  await deliverer.tell();
  await deliverer.idle();
  return deliverer.arrived;
}

async function silences(at: number): Promise<Record<string, number>> {
  return Object.fromEntries((await channelSilence(catalog, new Date(at))).map(({ channel, seconds }) => [channel, seconds]));
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
    await writeChannels(catalog, { channels: [hook('ops', receiver.url, { kinds: ['run.*'] })] });
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

  it('waits for a receiver that is down for a weekend, and what happened comes in the order in which it did', async () => {
    let status = 503;
    const receiver = await startReceiver((response) => response.writeHead(status, { location: 'https://elsewhere.example' }).end());
    await writeChannels(catalog, { channels: [hook('ops', receiver.url)] });
    const some = ports();
    const ids: string[] = [];
    for (let n = 0; n < 60; n++) {
      // A door-keeper that sends everybody elsewhere, refuses or is silent is as much "down" as one that fails.
      status = [503, 302, 400, 404][n % 4]!;
      for (let m = 0; m < 2; m++) ids.push((await add({ message: `${n}` })).id);
      await tell(some);
      nowMs += 3_600_000;
    }
    status = 200;
    receiver.received.splice(0);
    await tell(some);
    const told = receiver.received.map(({ body }) => JSON.parse(body).event);
    expect(told.slice(0, ids.length).map(({ id }) => id)).toEqual(ids);
    // And that it heard nothing for so long.
    nowMs += 3_600_000;
    await tell(some);
    expect(receiver.received.slice(ids.length).map(({ body }) => JSON.parse(body).event.kind)).toEqual(['delivery.resumed']);
  });

  it('that is not taken by itself holds up no other one, is tried again by itself, and given up in the end', async () => {
    let wrong = '';
    const receiver = await startReceiver((response, { headers }) =>
      response.writeHead(headers['holdfast-event'] === wrong ? 500 : 200).end(),
    );
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('ops', receiver.url), hook('up', up.url)] });
    const some = ports();
    wrong = (await add({ message: 'what its receiver cannot read' })).id;
    const others = [(await add()).id, (await add()).id];
    await tell(some);
    const idsOf = () => receiver.received.map(({ headers }) => headers['holdfast-event']);
    expect(idsOf()).toEqual([wrong, ...others]);
    for (let n = 0; n < 40; n++) {
      nowMs += 3_600_000;
      others.push((await add()).id);
      await tell(some);
    }
    expect(idsOf().filter((id) => id !== wrong)).toEqual(others);
    expect(idsOf().filter((id) => id === wrong)).toHaveLength(14);
    const given = up.received.map(({ body }) => JSON.parse(body).event).filter(({ kind }) => kind === 'delivery.given-up');
    expect(given.map(({ details }) => details)).toEqual([{ channel: 'ops', event: wrong }]);
  });

  it('does not reach a receiver for long: the other channels hear of it once, and once when it does again', async () => {
    let isUp = false;
    const down = await startReceiver((response) => response.writeHead(isUp ? 200 : 503).end());
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('down', down.url), hook('up', up.url)] });
    for (let n = 0; n < 3; n++) await add();
    const some = ports();
    const kinds = () => up.received.map(({ body }) => JSON.parse(body).event.kind).filter((kind) => kind !== 'run.failed');
    for (let hour = 0; hour < 5; hour++) {
      for (let minute = 0; minute < 60; minute++) {
        await tell(some);
        nowMs += 60_000;
      }
    }
    expect(kinds()).toEqual(['delivery.failing']);
    const failing = up.received.map(({ body }) => JSON.parse(body).event).find(({ kind }) => kind === 'delivery.failing');
    expect(failing).toMatchObject({
      severity: 'warning',
      cause: expect.stringContaining('status 503'),
      details: { channel: 'down' },
    });
    expect((await silences(nowMs)).down).toBeGreaterThan(4 * 3600);
    expect((await silences(nowMs)).up).toBe(0);
    isUp = true;
    nowMs += 3_600_000;
    await tell(some);
    await tell(some);
    expect((await silences(nowMs)).down).toBe(0);
    expect(kinds()).toEqual(['delivery.failing', 'delivery.resumed']);
  });

  it('that nobody takes for a month is given up, which is one event for the other channels', async () => {
    const down = await startReceiver((response) => response.writeHead(503).end());
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('down', down.url), hook('up', up.url)] });
    for (let n = 0; n < 3; n++) await add();
    const some = ports();
    for (let day = 0; day < 40; day++) {
      await tell(some);
      nowMs += 24 * 3_600_000;
    }
    const given = up.received.map(({ body }) => JSON.parse(body).event).filter(({ kind }) => kind === 'delivery.given-up');
    expect(given.map(({ details }) => details)).toEqual([{ channel: 'down', events: 3 }]);
    expect(await catalog.deliveries.waiting('down')).toBe(0);
  });

  it('is told by a clock that was set back as well', async () => {
    let isUp = false;
    const receiver = await startReceiver((response) => response.writeHead(isUp ? 200 : 503).end());
    await writeChannels(catalog, { channels: [hook('ops', receiver.url)] });
    await add();
    const some = ports();
    await tell(some);
    isUp = true;
    nowMs -= 24 * 3_600_000;
    expect(await tell(some)).toBe(1);
  });

  it('does not wait for a channel that hangs, now or later, nor the service for its end', async () => {
    const hanging = await startReceiver(() => {});
    const up = await startReceiver((response) => response.end());
    await writeChannels(catalog, { channels: [hook('hanging', hanging.url, { timeoutMs: 60_000 }), hook('up', up.url)] });
    for (let n = 0; n < 200; n++) await add();
    const some = ports();
    const stop = new AbortController();
    const deliverer = new Deliverer(some, stop.signal);
    await deliverer.tell();
    await expect.poll(() => [up.received.length, hanging.received.length], { timeout: 60_000 }).toEqual([200, 1]);
    await add();
    await deliverer.tell();
    await expect.poll(() => [up.received.length, hanging.received.length], { timeout: 60_000 }).toEqual([201, 1]);
    stop.abort();
    await deliverer.idle();
  });

  it('that comes while its channel is told of others is told in the same breath', async () => {
    let isSeen = false;
    const receiver = await startReceiver(async (response) => {
      if (!isSeen) await add({ message: 'later' }).then(() => deliverer.tell());
      isSeen = true;
      response.end();
    });
    await writeChannels(catalog, { channels: [hook('ops', receiver.url)] });
    await add();
    const deliverer = new Deliverer(ports(), signal);
    await deliverer.tell();
    await deliverer.idle();
    expect(receiver.received).toHaveLength(2);
  });

  it('of a channel that was taken away is not told for ever', async () => {
    await writeChannels(catalog, { channels: [hook('gone', 'http://127.0.0.1:1')] });
    await add();
    const some = ports();
    await routeEvents(some);
    await writeChannels(catalog, { channels: [] });
    await tell(some);
    expect(await catalog.deliveries.waiting('gone')).toBe(0);
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
    const kept = await catalog.settings.get('notify.channel.ops');
    expect(kept).toContain('status 500');
    expect(kept).not.toContain('the-secret');
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

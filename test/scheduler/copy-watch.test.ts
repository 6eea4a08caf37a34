// Promises of copies at other sites, judged by what real copies hold.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ApiMetrics } from '../../src/api/metrics.ts';
import { Fault } from '../../src/base/faults.ts';
import { replicasSetting } from '../../src/model/replica.ts';
import { openStore } from '../../src/store/open.ts';
import { backUp, type Repositories, withRepository } from './repository-scene.ts';
import { eventsOf, HOUR, newScheduler } from './scene.ts';

const POLICY = `name: plan\nretention: { keepLast: 100 }\ncopies:\n  - { site: east, maxLag: 1h }\n`;

async function withCopy() {
  const scene = await withRepository(POLICY);
  const { catalog, directory, tenant, tenants } = scene;
  const east = join(directory, 'east');
  mkdirSync(east);
  let isCut = false;
  const copies = {
    sites: [{ site: 'east', location: east }],
    openStore: (location: string) => {
      if (isCut) throw new Fault('STORE_UNREACHABLE', 'the site does not answer');
      return openStore(location, {});
    },
  };
  const warned: unknown[] = [];
  const log = { info: () => {}, error: (what: unknown) => warned.push(what), warn: (what: unknown) => warned.push(what) };
  const scheduler = newScheduler(scene, { tenants, copies, log });
  return {
    ...scene,
    warned,
    cut: () => (isCut = true),
    copy: () => scene.cli('replica', 'run', '--to', join(east, tenant.name), '--once'),
    /** Looks and judges, twice: the first judgement may be of the look before. */
    judged: async () => {
      for (let n = 0; n < 2; n++) {
        await scheduler.tick();
        await scheduler.idle();
      }
      const [replica] = JSON.parse((await catalog.settings.get(replicasSetting(tenant.id)))!);
      const [promise] = (await catalog.promises.list(tenant.id)).filter(({ objective }) => objective === 'copies');
      return { replica, promise };
    },
    /** What Prometheus reads of the copy, by the end of the series' name. */
    series: async (): Promise<Record<string, number>> => {
      const metrics = new ApiMetrics({ catalog, now: scene.clock.now, version: '0', assetsMax: 10 });
      const lines = (await metrics.text()).matchAll(/^holdfast_copy_(\w+)\{tenant="([^"]+)",site="east"\} (\S+)$/gm);
      return Object.fromEntries([...lines].map(([, name, of, value]) => [of === tenant.id ? name : 'another', Number(value)]));
    },
  };
}

const broken = async (scene: Repositories): Promise<readonly (string | undefined)[]> =>
  (await eventsOf(scene, 'objective.broken')).map(({ cause }) => cause);

describe('a copy that is promised at another site', () => {
  it('has a lag in seconds and bytes, and the instant as of which it is whole, for Prometheus', async () => {
    const scene = await withCopy();
    const { judged, copy, cut, clock, catalog, tenant, series } = scene;
    const first = (await catalog.recoveryPoints.get(tenant.id, await backUp(scene)))!;
    await judged();
    const seenAt = clock.now().getTime() / 1000;
    const lag = (point: typeof first): number => (clock.now().getTime() - Date.parse(point.endedAt)) / 1000;
    expect(await series()).toEqual({
      lag_seconds: lag(first),
      lag_bytes: first.bytesStored,
      lag_snapshots: 1,
      seen_timestamp_seconds: seenAt,
    });
    copy();
    const { replica } = await judged();
    expect(await series()).toMatchObject({
      lag_seconds: 0,
      lag_bytes: 0,
      lag_snapshots: 0,
      verified_timestamp_seconds: Date.parse(replica.asOf) / 1000,
    });
    const second = (await catalog.recoveryPoints.get(tenant.id, await backUp(scene)))!;
    const third = (await catalog.recoveryPoints.get(tenant.id, await backUp(scene)))!;
    await judged();
    cut();
    clock.pass(HOUR);
    await judged();
    expect(await series()).toMatchObject({
      lag_seconds: lag(second),
      lag_bytes: second.bytesStored + third.bytesStored,
      lag_snapshots: 2,
      verified_timestamp_seconds: Date.parse(replica.asOf) / 1000,
    });
    expect(lag(second)).toBeGreaterThan(3600);
    expect(clock.now().getTime() / 1000 - (await series())['seen_timestamp_seconds']!).toBeGreaterThanOrEqual(3600);
  });

  it('is seen when it is there, and its lag is told from what it lacks', async () => {
    const scene = await withCopy();
    const { judged, copy, clock } = scene;
    const first = await backUp(scene);
    expect(await judged()).toMatchObject({ replica: { site: 'east', state: 'missing' }, promise: { isKept: false } });
    expect(await broken(scene)).toEqual(['Nothing is known of a copy at the site "east"']);
    copy();
    expect(await judged()).toMatchObject({
      replica: { state: 'following', snapshots: 1, asOf: expect.any(String) },
      promise: { isKept: true, measured: 0, promised: 3600 },
    });
    for (let n = 0; n < 3; n++) await backUp(scene);
    clock.pass(HOUR / 2);
    expect((await judged()).promise).toMatchObject({ isKept: true });
    clock.pass(HOUR);
    expect((await judged()).promise).toMatchObject({ isKept: false });
    expect((await broken(scene)).at(-1)).toBe('The site "east" lacks 3 recovery points and is 1h33m behind');
    copy();
    expect(await judged()).toMatchObject({ replica: { snapshots: 4 }, promise: { isKept: true, measured: 0 } });
    expect(scene.warned).toEqual([]);
    expect(first).toMatch(/^[0-9a-f]{20}$/);
  });

  it('whose site does not answer counts for what was seen of it, and nothing more', async () => {
    const scene = await withCopy();
    const { judged, copy, cut, clock } = scene;
    await backUp(scene);
    copy();
    await judged();
    cut();
    expect(await judged()).toMatchObject({
      replica: { state: 'unreachable', trouble: 'the site does not answer [STORE_UNREACHABLE]', snapshots: 1 },
      promise: { isKept: true },
    });
    await backUp(scene);
    clock.pass(2 * HOUR);
    expect((await judged()).promise).toMatchObject({ isKept: false });
  });

  it('counts for nothing when its head names no snapshot of the asset, whatever else lies there', async () => {
    const scene = await withCopy();
    const { judged, copy, directory, tenant } = scene;
    await backUp(scene);
    copy();
    rmSync(join(directory, 'east', tenant.name, 'head~'), { recursive: true });
    expect((await judged()).promise).toMatchObject({ isKept: true, measured: 60 });
    scene.clock.pass(HOUR);
    expect((await judged()).promise).toMatchObject({ isKept: false });
  });
});

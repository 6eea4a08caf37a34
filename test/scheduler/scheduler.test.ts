import { describe, expect, it, onTestFinished } from 'vitest';
import { HOUR, newScene, newScheduler, runsOf } from './scene.ts';

const HOURLY = `name: plan\nschedule:\n  - cron: "0 * * * *"\n`;
const PATIENCE = { timeout: 60_000 };

describe('a scheduler that runs by itself', () => {
  it('looks at everything when it starts, and at what changed when it is woken; agents are told what waits for them', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, things, tenant, agent } = scene;
    const told: string[] = [];
    const scheduler = newScheduler(scene, { onQueued: (agentId) => told.push(agentId) });
    onTestFinished(() => scheduler.stop());
    await scheduler.start();
    expect(await runsOf(scene, { kind: 'backup' })).toHaveLength(1);
    expect(told).toEqual([agent.id]);
    const added = things.asset(tenant.id, agent.id);
    await catalog.assets.add(added);
    for (let n = 0; n < 20; n++) scheduler.wake();
    await expect.poll(() => runsOf(scene, { assetId: added.id }), PATIENCE).toHaveLength(1);
    // Told when it is durable: after others can see it.
    await expect.poll(() => told, PATIENCE).toHaveLength(2);
  });

  it('goes on without the minutes of the wall clock when those fail to come', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, things, tenant, agent, clock } = scene;
    const scheduler = newScheduler(scene);
    onTestFinished(() => scheduler.stop());
    await scheduler.start();
    const added = things.asset(tenant.id, agent.id);
    await catalog.assets.add(added);
    // The clock that nobody can set says that the last minute is long over.
    clock.steadyMs += HOUR;
    await expect.poll(() => runsOf(scene, { assetId: added.id }), PATIENCE).toHaveLength(1);
  });

  it('does nothing more once it was stopped', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.start();
    await scheduler.stop();
    scene.clock.pass(HOUR);
    scheduler.wake();
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup' })).toHaveLength(1);
  });

  it('that meets a failing step goes on with the others, and tries it again', async () => {
    const scene = await newScene(HOURLY);
    const { catalog } = scene;
    const errors: unknown[] = [];
    const log = { info: () => {}, warn: () => {}, error: (what: unknown) => errors.push(what) } as never;
    let isBroken = true;
    const assets = {
      ...catalog.assets,
      listAll: (page: Parameters<typeof catalog.assets.listAll>[0]) => {
        if (isBroken) throw new Error('the disk is slow today');
        return catalog.assets.listAll(page);
      },
    };
    const broken = new Proxy(catalog, { get: (target, name) => (name === 'assets' ? assets : Reflect.get(target, name)) });
    const scheduler = newScheduler(scene, { catalog: broken, log });
    await scheduler.tick();
    expect(errors.length).toBeGreaterThan(0);
    isBroken = false;
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup' })).toHaveLength(1);
  });
});

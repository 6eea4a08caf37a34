import { describe, expect, it } from 'vitest';
import { eventsOf, HOUR, MINUTE, newScene, newScheduler, type Scene } from './scene.ts';

const PLAN = `name: plan\nobjectives: { rpo: 1h, proofAge: 8d }\nschedule:\n  - cron: "*/30 * * * *"\n`;

async function addPoint({ catalog, things, tenant, asset, clock }: Scene): Promise<void> {
  const at = clock.now().toISOString();
  const snapshot = Buffer.from(things.random(10)).toString('hex');
  await catalog.recoveryPoints.put(
    things.point(tenant.id, { assetId: asset.id, snapshot, startedAt: at, endedAt: at, isSound: true }),
  );
}

describe('a promise', () => {
  it('that breaks is one event with cause and action, and one more when it is kept again', async () => {
    const scene = await newScene(PLAN);
    const scheduler = newScheduler(scene);
    await addPoint(scene);
    for (let n = 0; n < 90; n += 5) {
      await scheduler.tick();
      scene.clock.pass(5 * MINUTE);
    }
    const broken = await eventsOf(scene, 'objective.broken');
    expect(broken).toMatchObject([
      { assetId: scene.asset.id, tenantId: scene.tenant.id, severity: 'critical', details: { objective: 'rpo', promised: 3600 } },
    ]);
    expect(broken[0]!.cause).toBeTruthy();
    expect(broken[0]!.action).toBeTruthy();
    await addPoint(scene);
    await scheduler.tick();
    expect(await eventsOf(scene, 'objective.kept')).toMatchObject([{ severity: 'info', details: { objective: 'rpo' } }]);
    expect(await scene.catalog.promises.list(scene.tenant.id)).toMatchObject([
      { objective: 'proof', isKept: true },
      { objective: 'rpo', isKept: true, promised: 3600 },
    ]);
  });

  it('is judged by two schedulers with one event', async () => {
    const scene = await newScene(PLAN);
    const schedulers = [newScheduler(scene), newScheduler(scene, { name: 'service:other' })];
    for (let n = 0; n < 30; n++) {
      scene.clock.pass(5 * MINUTE);
      await Promise.all(schedulers.map((scheduler) => scheduler.tick()));
    }
    expect(await eventsOf(scene, 'objective.broken')).toHaveLength(1);
  });

  it('that was broken before the service was restarted is not told again', async () => {
    const scene = await newScene(PLAN);
    scene.clock.pass(2 * HOUR);
    await newScheduler(scene).tick();
    scene.clock.pass(MINUTE);
    await newScheduler(scene).tick();
    expect(await eventsOf(scene, 'objective.broken')).toHaveLength(1);
  });

  it('that is not made any more is not broken', async () => {
    const scene = await newScene(PLAN);
    const scheduler = newScheduler(scene);
    scene.clock.pass(2 * HOUR);
    await scheduler.tick();
    const { items } = await scene.catalog.policies.list(scene.tenant.id, { limit: 1 });
    await scene.catalog.policies.change({ ...items[0]!, text: 'name: plan\nschedule:\n  - cron: "*/30 * * * *"\n' });
    scene.clock.pass(MINUTE);
    await scheduler.tick();
    expect((await scene.catalog.promises.list(scene.tenant.id)).filter(({ isKept }) => !isKept)).toEqual([]);
  });
});

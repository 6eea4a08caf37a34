import { describe, expect, it } from 'vitest';
import { ApiMetrics } from '../../src/api/metrics.ts';
import { eventsOf, HOUR, MINUTE, newScene, newScheduler, type Scene, SILENT } from './scene.ts';

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

  it('is not kept by what a clock that was ahead has dated in the future', async () => {
    const scene = await newScene(PLAN);
    const scheduler = newScheduler(scene);
    await addPoint(scene);
    scene.clock.pass(26 * HOUR);
    await addPoint(scene);
    scene.clock.pass(-24 * HOUR);
    await scheduler.tick();
    expect(await eventsOf(scene, 'objective.broken')).toMatchObject([{ details: { objective: 'rpo', measured: 2 * 3600 } }]);
    await addPoint(scene);
    await scheduler.tick();
    expect(await eventsOf(scene, 'objective.kept')).toMatchObject([{ details: { objective: 'rpo' } }]);
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

  it('is judged by any number of recovery points, and when that was is known', async () => {
    const scene = await newScene('name: plan\nobjectives: { rpo: 2h, proofAge: 30d }\nrecoveryWindow: 250d\n');
    const { catalog, things, tenant, asset, clock } = scene;
    const begun = clock.now().getTime();
    const point = (hour: number) => {
      const at = new Date(begun + hour * HOUR).toISOString();
      const snapshot = Buffer.from(things.random(10)).toString('hex');
      const proof = hour === 5500 ? { provenAt: at, proof: 'verify' as const } : {};
      return things.point(tenant.id, { assetId: asset.id, snapshot, startedAt: at, endedAt: at, isSound: true, ...proof });
    };
    const points = Array.from({ length: 6000 }, (_, hour) => point(hour));
    await catalog.transaction(async (tables) => {
      for (const one of points) await tables.recoveryPoints.put(one);
    });
    clock.pass(6000 * HOUR);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    const kept = async () =>
      Object.fromEntries((await catalog.promises.list(tenant.id)).map(({ objective, isKept }) => [objective, isKept]));
    expect(await kept()).toEqual({ rpo: true, window: true, proof: true });
    expect(await eventsOf(scene, 'objective.broken')).toEqual([]);
    const metrics = new ApiMetrics({ catalog, now: () => clock.now(), version: '0', assetsMax: 9 });
    expect(await metrics.text()).toContain(`holdfast_promises_judged_timestamp_seconds ${clock.now().getTime() / 1000}`);
    await catalog.recoveryPoints.put({ ...points[3000]!, isSound: false });
    clock.pass(MINUTE);
    await scheduler.tick();
    expect(await kept()).toEqual({ rpo: true, window: false, proof: true });
    expect((await eventsOf(scene, 'objective.broken'))[0]!.cause).toContain(
      `1 of 6000 recovery points are damaged: ${points[3000]!.snapshot}`,
    );
  });

  it('for a database is broken at once by a server that is not the one whose log is stored, as long as it is', async () => {
    const scene = await newScene('name: plan\nobjectives: { rpo: 24h }\nrecoveryWindow: 14d\n');
    const { catalog, clock, things, tenant, agent } = scene;
    const source = { kind: 'postgres', connection: 'host=db1 user=backup' } as const;
    const db = things.asset(tenant.id, agent.id, { name: 'pg/orders', source, createdAt: clock.now().toISOString() });
    await catalog.assets.add(db);
    const scheduler = newScheduler(scene, { log: SILENT as never });
    const claim = async () => {
      clock.pass(MINUTE);
      await scheduler.tick();
      const limits = { leaseMs: HOUR, perAgentMax: 4, perTenantMax: 10, totalMax: 10 };
      const by = `agent:${agent.id}`;
      return (await catalog.runs.claim({ by, kinds: ['capture'], agentId: agent.id, at: clock.now().toISOString(), ...limits }))!;
    };
    const fault = { code: 'PG_OTHER_CLUSTER', message: 'The server is another one', hint: 'Protect it under another name.' };
    const states = async () =>
      (await catalog.promises.list(tenant.id))
        .filter(({ assetId }) => assetId === db.id)
        .map(({ objective, isKept }) => `${objective} ${isKept}`);
    for (let n = 0; n < 3; n++) {
      const run = await claim();
      // While it looks again nothing is better.
      await scheduler.tick();
      const at = clock.now().toISOString();
      await catalog.transaction(async (tables) => {
        const ended = await tables.runs.end(run.id, run.fence, at, { state: 'failed', fault });
        if (ended !== 'fenced') await scheduler.onRunEnded(tables, ended);
      });
      await scheduler.tick();
      expect(await states()).toEqual(['rpo false', 'window false']);
    }
    const broken = await eventsOf(scene, 'objective.broken');
    expect(broken.map(({ assetId, details }) => [assetId, details?.objective])).toEqual([
      [db.id, 'rpo'],
      [db.id, 'window'],
    ]);
    for (const { cause, action } of broken) {
      expect(cause).toContain('The server is another one [PG_OTHER_CLUSTER]');
      expect(action).toBe(fault.hint);
    }
    const metrics = new ApiMetrics({ catalog, now: clock.now, version: '0', assetsMax: 9 });
    expect(await metrics.text()).toContain('holdfast_promises_broken{objective="rpo"} 1');
    await claim();
    clock.pass(3 * MINUTE);
    await scheduler.tick();
    expect((await states())[0]).toBe('rpo true');
  });

  it('for a database is broken for the reason of the last capture, also while the next one waits', async () => {
    const scene = await newScene('name: plan\nobjectives: { rpo: 1h }\n');
    const { catalog, clock, things, tenant, agent } = scene;
    const source = { kind: 'postgres', connection: 'host=db1 user=backup' } as const;
    const db = things.asset(tenant.id, agent.id, { name: 'pg/orders', source, createdAt: clock.now().toISOString() });
    await catalog.assets.add(db);
    const scheduler = newScheduler(scene, { log: SILENT as never });
    await scheduler.tick();
    clock.pass(2 * HOUR);
    const limits = { leaseMs: HOUR, perAgentMax: 4, perTenantMax: 10, totalMax: 10 };
    const at = clock.now().toISOString();
    await catalog.agents.seen(agent.id, at);
    const run = (await catalog.runs.claim({ by: `agent:${agent.id}`, kinds: ['capture'], agentId: agent.id, at, ...limits }))!;
    const fault = { code: 'PG_DENIED', message: 'The password is wrong', hint: 'Give the right one.' };
    await catalog.runs.end(run.id, run.fence, at, { state: 'failed', fault });
    await scheduler.tick();
    const broken = (await eventsOf(scene, 'objective.broken')).find(({ assetId }) => assetId === db.id);
    expect(broken).toMatchObject({ cause: expect.stringContaining('The password is wrong [PG_DENIED]'), action: fault.hint });
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

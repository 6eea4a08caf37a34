import { describe, expect, it } from 'vitest';
import { LOST_MAX } from '../../src/model/run.ts';
import { eventsOf, HOUR, MINUTE, newScene, newScheduler, runsOf, workOff } from './scene.ts';

const HOURLY = `name: plan\nschedule:\n  - cron: "0 * * * *"\n`;
const FAULT = { code: 'SOURCE_UNREADABLE', message: 'The path /etc cannot be read', hint: 'Check the path.' };

describe('the end of a run', () => {
  it('that failed for good is an event with its cause and what to do; the next success says that it is over', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    const failed = await workOff(scene, scheduler, { state: 'failed', fault: FAULT });
    expect(await eventsOf(scene, 'run.failed')).toMatchObject([
      {
        runId: failed!.id,
        assetId: scene.asset.id,
        severity: 'critical',
        cause: expect.stringContaining('/etc'),
        action: 'Check the path.',
      },
    ]);
    for (let n = 0; n < 3; n++) {
      scene.clock.pass(HOUR);
      await scheduler.tick();
      await workOff(scene, scheduler);
    }
    expect(await eventsOf(scene, 'run.recovered')).toHaveLength(1);
  });

  it('that will be tried again is no event yet', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    const retryAt = new Date(scene.clock.ms + MINUTE).toISOString();
    const run = await workOff(scene, scheduler, { state: 'failed', fault: FAULT, retryAt });
    expect(run).toMatchObject({ state: 'queued', attempt: 1 });
    expect(await eventsOf(scene)).toEqual([]);
  });

  it('with warnings is an event that says how much was left out', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler, { state: 'warned', result: { problems: 3 } });
    expect(await eventsOf(scene, 'backup.warned')).toMatchObject([
      { severity: 'warning', cause: expect.stringContaining('3 entries') },
    ]);
  });

  it('of a backup is followed by one forget, however many backups there were meanwhile', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    for (let n = 0; n < 3; n++) {
      await scheduler.tick();
      await workOff(scene, scheduler);
      scene.clock.pass(HOUR);
    }
    const forgets = await runsOf(scene, { kind: 'forget' });
    expect(forgets).toMatchObject([{ state: 'queued', assetId: scene.asset.id }]);
    expect(forgets[0]!.agentId).toBeUndefined();
  });

  it.each(['RESTORE_TEST_DIFFERS', 'LOG_FORKED'])(
    'of a restore test proves its recovery point, and one that ends with %s damns it',
    async (code) => {
      const scene = await newScene(`${HOURLY}verify:\n  restoreTest: { every: 1d }\n`);
      const { catalog, things, tenant, asset, clock } = scene;
      const scheduler = newScheduler(scene);
      const snapshot = 'b'.repeat(20);
      await catalog.recoveryPoints.put(things.point(tenant.id, { assetId: asset.id, snapshot, isSound: true }));
      await scheduler.tick();
      clock.pass(24 * HOUR);
      await scheduler.tick();
      const seen = [];
      for (let n = 0; n < 2; n++) {
        for (;;) {
          const end = n === 0 ? {} : { state: 'failed' as const, fault: { ...FAULT, code } };
          const run = await workOff(scene, scheduler, end);
          if (run === undefined) break;
        }
        seen.push(await catalog.recoveryPoints.get(tenant.id, snapshot));
        clock.pass(24 * HOUR);
        await scheduler.tick();
      }
      expect(seen).toMatchObject([
        { proof: 'restore-test', isSound: true, provenAt: expect.stringMatching(/^2026-11-22/) },
        { isSound: false },
      ]);
    },
  );

  it('that nobody tells comes when its lease is over: tried again, and failed with an event when it came too often', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, clock, agent, tenant } = scene;
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    const claim = {
      by: `agent:${agent.id}`,
      kinds: ['backup'] as const,
      agentId: agent.id,
      leaseMs: MINUTE,
      perAgentMax: 1,
      perTenantMax: 9,
      totalMax: 9,
    };
    let claims = 0;
    let id = '';
    for (let n = 0; n < 4 * LOST_MAX; n++) {
      const run = await catalog.runs.claim({ ...claim, at: clock.now().toISOString() });
      if (run !== undefined && (id === '' || id === run.id)) {
        claims++;
        id = run.id;
      }
      clock.pass(MINUTE);
      await scheduler.tick();
    }
    const run = await catalog.runs.get(tenant.id, id);
    expect(run).toMatchObject({ state: 'failed', attempt: LOST_MAX, lost: LOST_MAX, fault: { code: 'RUN_LOST_TOO_OFTEN' } });
    expect(claims).toBe(LOST_MAX);
    expect(await eventsOf(scene, 'run.failed')).toHaveLength(1);
  });

  it('comes by itself for a run that was not begun in time', async () => {
    const scene = await newScene(`name: plan\nschedule:\n  - cron: "0 * * * *"\n    startWithin: 20m\n`);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    scene.clock.pass(HOUR);
    await scheduler.tick();
    scene.clock.pass(30 * MINUTE);
    await scheduler.tick();
    expect(await eventsOf(scene, 'run.failed')).toMatchObject([{ details: { code: 'RUN_TOO_LATE' } }]);
  });
});

import { describe, expect, it } from 'vitest';
import { instantOf } from '../../src/model/instant.ts';
import { DAY, eventsOf, HOUR, MINUTE, newScene, newScheduler, runsOf, workOff } from './scene.ts';

const HOURLY = `name: plan\nschedule:\n  - cron: "0 * * * *"\n`;

describe('an asset with a schedule', () => {
  it('gets its first backup at once, and then one for each due time', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:20:00.000Z');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    expect(await workOff(scene, scheduler)).toMatchObject({ kind: 'backup', state: 'succeeded' });
    for (let n = 0; n < 180; n++) {
      scene.clock.pass(MINUTE);
      await scheduler.tick();
      await workOff(scene, scheduler);
    }
    const backups = await runsOf(scene, { kind: 'backup' });
    expect(backups.map(({ key }) => key.split('/backup/')[1])).toEqual([
      'first',
      '2026-11-21T09:00:00.000Z',
      '2026-11-21T10:00:00.000Z',
      '2026-11-21T11:00:00.000Z',
    ]);
    expect(backups.every(({ agentId, assetId }) => agentId === scene.agent.id && assetId === scene.asset.id)).toBe(true);
  });

  it('hands the limits of its policy to its runs', async () => {
    const scene = await newScene(`${HOURLY}limits:\n  concurrency:\n    perHost: 2\n    perSite: 7\n`);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup' })).toMatchObject([{ perHostMax: 2, perSiteMax: 7 }]);
  });

  it('is caught up once after the service was down, however much was missed', async () => {
    const scene = await newScene(HOURLY);
    const first = newScheduler(scene);
    await first.tick();
    await workOff(scene, first);
    scene.clock.pass(7 * DAY + 25 * MINUTE);
    const second = newScheduler(scene);
    await second.tick();
    expect((await runsOf(scene, { kind: 'backup', states: ['queued'] })).map(({ dueAt }) => dueAt)).toEqual([
      '2026-11-28T08:00:00.000Z',
    ]);
  });

  it('does not heap up runs while its agent is away: the one that waits stands for them', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    for (let n = 0; n < 48; n++) {
      await scheduler.tick();
      scene.clock.pass(HOUR);
    }
    expect(await runsOf(scene, { kind: 'backup' })).toHaveLength(1);
    await workOff(scene, scheduler);
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup', states: ['queued'] })).toHaveLength(1);
  });

  it('is content with a backup that somebody asked for and that has not begun, and with none that was asked for otherwise', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, things, tenant, asset, agent } = scene;
    const asked = (key: string, more = {}) =>
      catalog.runs.add(
        things.run(tenant.id, {
          assetId: asset.id,
          agentId: agent.id,
          kind: 'backup',
          parameters: {},
          key,
          dueAt: instantOf(scene.clock.now()),
          ...more,
        }),
        instantOf(scene.clock.now()),
      );
    const { run } = await asked('manual:one');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    scene.clock.pass(HOUR);
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup' })).toMatchObject([{ id: run.id }]);
    await catalog.runs.cancel(tenant.id, run.id, instantOf(scene.clock.now()));
    await asked('manual:two', { parameters: { other: true } });
    await asked('other:three');
    scene.clock.pass(HOUR);
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup', states: ['queued'] })).toHaveLength(3);
  });

  it('that was moved to another agent is backed up by that one, though a run for the old one still waits', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, things, tenant } = scene;
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    const other = things.agent(tenant.id);
    await catalog.agents.add(other);
    await catalog.assets.change({ ...scene.asset, agentId: other.id });
    scene.clock.pass(HOUR);
    await scheduler.tick();
    const runs = await runsOf(scene, { kind: 'backup' });
    expect(runs.map(({ agentId, state }) => ({ agentId, state }))).toEqual([
      { agentId: scene.agent.id, state: 'canceled' },
      { agentId: other.id, state: 'queued' },
    ]);
  });

  it('gets nothing while it is paused, and one backup when it goes on', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    const paused = await scene.catalog.assets.change({ ...scene.asset, state: 'paused' });
    for (let n = 0; n < 5; n++) {
      scene.clock.pass(HOUR);
      await scheduler.tick();
    }
    expect(await runsOf(scene, { kind: 'backup', states: ['queued'] })).toEqual([]);
    await scene.catalog.assets.change({ ...(paused as typeof scene.asset), state: 'active' });
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'backup', states: ['queued'] })).toHaveLength(1);
  });

  it('follows its policy when that is changed', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:20:00.000Z');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    const { items } = await scene.catalog.policies.list(scene.tenant.id, { limit: 1 });
    await scene.catalog.policies.change({ ...items[0]!, text: HOURLY.replace('0 * * * *', '*/10 * * * *') });
    scene.clock.pass(10 * MINUTE);
    await scheduler.tick();
    expect((await runsOf(scene, { kind: 'backup', states: ['queued'] })).map(({ dueAt }) => dueAt)).toEqual([
      '2026-11-21T08:30:00.000Z',
    ]);
  });

  it('keeps the policy that could be read last when somebody breaks its text, and says so once', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:20:00.000Z');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    const { items } = await scene.catalog.policies.list(scene.tenant.id, { limit: 1 });
    await scene.catalog.policies.change({ ...items[0]!, text: 'name: [' });
    for (let n = 0; n < 2; n++) {
      scene.clock.pass(HOUR);
      await scheduler.tick();
      await workOff(scene, scheduler);
    }
    expect(await runsOf(scene, { kind: 'backup' })).toHaveLength(3);
    expect(await eventsOf(scene, 'policy.unreadable')).toHaveLength(1);
  });

  it('waits for its hours when the policy names some, also for the first backup', async () => {
    const windowed = `name: plan\nschedule:\n  - cron: "0 * * * *"\n    window: { from: "22:00", to: "23:30" }\n`;
    const scene = await newScene(windowed);
    const scheduler = newScheduler(scene);
    for (let n = 0; n < 16; n++) {
      await scheduler.tick();
      await workOff(scene, scheduler);
      scene.clock.pass(HOUR);
    }
    expect((await runsOf(scene, { kind: 'backup' })).map(({ dueAt }) => dueAt)).toEqual([
      '2026-11-21T22:00:00.000Z',
      '2026-11-21T23:00:00.000Z',
    ]);
  });
});

describe('work on a repository', () => {
  it('happens for the tenant as often as the strictest of its policies asks, under a key of its own', async () => {
    const policy = `${HOURLY}verify:\n  sampled: { every: 1d, share: 5% }\n  full: { every: 7d }\n  restoreTest: { every: 2d }\nprune: { every: 1d }\n`;
    const scene = await newScene(policy);
    await scene.catalog.assets.add(scene.things.asset(scene.tenant.id, scene.agent.id));
    const scheduler = newScheduler(scene);
    for (let n = 0; n < 14 * 24; n++) {
      await scheduler.tick();
      for (let run = await workOff(scene, scheduler); run !== undefined; run = await workOff(scene, scheduler));
      const { catalog, clock } = scene;
      const service = {
        by: 'service:test',
        kinds: ['prune', 'verify', 'forget'] as const,
        leaseMs: MINUTE,
        perAgentMax: 1,
        perTenantMax: 9,
        totalMax: 9,
      };
      for (;;) {
        const at = clock.now().toISOString();
        const run = await catalog.runs.claim({ ...service, at });
        if (run === undefined) break;
        await catalog.runs.end(run.id, run.fence, at, { state: 'succeeded' });
      }
      scene.clock.pass(HOUR);
    }
    const verifies = await runsOf(scene, { kind: 'verify' });
    const modes = Object.groupBy(verifies, ({ parameters }) => String(parameters.mode));
    expect(modes.sampled!.length).toBeGreaterThanOrEqual(13);
    expect(modes.sampled!.length).toBeLessThanOrEqual(14);
    expect(modes.full).toHaveLength(2);
    expect(modes.sampled!.every(({ assetId, parameters }) => assetId === undefined && parameters.share === 0.05)).toBe(true);
    const prunes = await runsOf(scene, { kind: 'prune' });
    expect(prunes.length).toBeGreaterThanOrEqual(13);
    expect(new Set(prunes.map(({ key }) => key)).size).toBe(prunes.length);
    // There was no recovery point to try.
    expect(await runsOf(scene, { kind: 'restore-test' })).toEqual([]);
  });

  it('includes a restore test of the newest sound recovery point', async () => {
    const scene = await newScene(`${HOURLY}verify:\n  restoreTest: { every: 2d }\n`);
    const { catalog, things, tenant, asset } = scene;
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await catalog.recoveryPoints.put(things.point(tenant.id, { assetId: asset.id, snapshot: 'a'.repeat(20), isSound: true }));
    scene.clock.pass(2 * DAY);
    await scheduler.tick();
    expect(await runsOf(scene, { kind: 'restore-test' })).toMatchObject([
      { agentId: scene.agent.id, parameters: { snapshot: 'a'.repeat(20), target: 'scratch' } },
    ]);
  });

  it('includes a daily backup of the catalogue itself', async () => {
    const scene = await newScene(undefined);
    const scheduler = newScheduler(scene, { catalogTenant: async () => scene.tenant.id });
    for (let n = 0; n < 3; n++) {
      await scheduler.tick();
      for (const run of await runsOf(scene, { kind: 'catalog-backup', states: ['queued'] }))
        await scene.catalog.runs.cancel(scene.tenant.id, run.id, scene.clock.now().toISOString());
      scene.clock.pass(DAY);
    }
    expect(await runsOf(scene, { kind: 'catalog-backup' })).toHaveLength(2);
  });
});

describe('a clock that is set', () => {
  /** Ticks each minute for so long, with an agent that works everything off. */
  async function live(
    scene: Awaited<ReturnType<typeof newScene>>,
    scheduler: ReturnType<typeof newScheduler>,
    ms: number,
  ): Promise<number> {
    let done = 0;
    for (let n = 0; n < ms / (5 * MINUTE); n++) {
      scene.clock.pass(5 * MINUTE);
      await scheduler.tick();
      if ((await workOff(scene, scheduler)) !== undefined) done++;
    }
    return done;
  }

  it('a day forward makes one run of all that seems missed, and the schedule goes on', async () => {
    const scene = await newScene(HOURLY);
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    expect(await live(scene, scheduler, 3 * HOUR)).toBe(3);
    scene.clock.jump(DAY);
    expect(await live(scene, scheduler, 3 * HOUR)).toBe(4);
  });

  it('a day back neither floods nor stalls: each hour that passes has its backup', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:30:00.000Z');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    expect(await live(scene, scheduler, 30 * HOUR)).toBe(30);
    scene.clock.jump(-DAY);
    expect(await live(scene, scheduler, 6 * HOUR)).toBe(6);
    expect(await eventsOf(scene, 'clock.put-back')).toHaveLength(1);
    // And forward again.
    scene.clock.jump(DAY);
    expect(await live(scene, scheduler, 6 * HOUR)).toBe(7);
  });

  it('a day forward and back again at once leaves the schedule going', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:30:00.000Z');
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    await workOff(scene, scheduler);
    scene.clock.jump(DAY);
    await scheduler.tick();
    await workOff(scene, scheduler);
    scene.clock.jump(-DAY);
    expect(await live(scene, scheduler, 6 * HOUR)).toBe(6);
  });

  it('back while a run is held does not hold that run until the old time comes again', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, clock, agent } = scene;
    const scheduler = newScheduler(scene);
    await scheduler.tick();
    clock.jump(DAY);
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
    const held = await catalog.runs.claim({ ...claim, at: clock.now().toISOString() });
    expect(held?.state).toBe('running');
    clock.jump(-DAY);
    // Its holder is dead.
    for (let n = 0; n < 10; n++) {
      clock.pass(MINUTE);
      await scheduler.tick();
    }
    expect(await catalog.runs.get(scene.tenant.id, held!.id)).toMatchObject({ state: 'queued' });
  });

  it('of two schedulers whose clocks are two hours apart does not double runs', async () => {
    const scene = await newScene(HOURLY, '2026-11-21T08:30:00.000Z');
    const { clock } = scene;
    const fast = (): Date => new Date(clock.ms + 2 * HOUR);
    const hosts = [
      { now: fast, scheduler: newScheduler(scene, { name: 'service:ahead', now: fast }) },
      { now: clock.now, scheduler: newScheduler(scene) },
    ];
    let done = 0;
    for (let n = 0; n < 24 * 12; n++) {
      clock.pass(5 * MINUTE);
      for (const { now, scheduler } of hosts) {
        await scheduler.tick();
        if ((await workOff(scene, scheduler, {}, now())) !== undefined) done++;
      }
    }
    // One an hour, the first one, and a few for the times that they put each other's clock back.
    expect(done).toBeGreaterThanOrEqual(24);
    expect(done).toBeLessThanOrEqual(24 + 8);
  });
});

describe('what is over and old', () => {
  it('is trimmed each hour, and what was due before is not queued again', async () => {
    const scene = await newScene(HOURLY);
    const { catalog, clock, tenant } = scene;
    const scheduler = newScheduler(scene, { history: { runs: 2 * DAY, events: 2 * DAY } });
    for (let n = 0; n < 5 * 24; n++) {
      await scheduler.tick();
      await workOff(scene, scheduler);
      clock.pass(HOUR);
    }
    const backups = await runsOf(scene, { kind: 'backup' });
    expect(backups.length).toBeGreaterThan(40);
    expect(backups.length).toBeLessThan(55);
    const counted = (await catalog.runs.counts()).find(({ kind, state }) => kind === 'backup' && state === 'succeeded');
    expect(counted!.count).toBeGreaterThan(110);
    expect((await catalog.runs.list(tenant.id, { states: ['queued'], kind: 'backup' }, { limit: 9 })).items).toEqual([]);
  });
});

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { readyRestoredCatalog } from '../../src/catalog/sqlite/restored.ts';
import type { Run } from '../../src/model/run.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import type { Scheduler, SchedulerOptions } from '../../src/scheduler/scheduler.ts';
import { makeBase, newLogWriter, RECORD, writeLog } from '../support/log-asset.ts';
import { backUp, ENVIRONMENT, PROGRAM, type Repositories, withRepository } from './repository-scene.ts';
import { DAY, eventsOf, MINUTE, newScheduler, type Scene, workOff } from './scene.ts';

const PATIENCE = { timeout: 60_000 };
const LIMITS = { heavyMax: 2, lightMax: 2 };
const POLICY = `name: plan\nschedule:\n  - cron: "0 * * * *"\nretention: { keepLast: 2, keepTags: [[keep]] }\n`;

function schedulerOf(scene: Repositories, more: Partial<SchedulerOptions> = {}): Scheduler {
  const { tenants } = scene;
  const scheduler = newScheduler(scene, {
    tenants,
    program: { command: PROGRAM, environment: ENVIRONMENT },
    limits: LIMITS,
    ...more,
  });
  onTestFinished(() => scheduler.stop());
  return scheduler;
}

async function queue({ catalog, things, tenant, clock }: Scene, kind: RunKind, more: Partial<Run> = {}): Promise<Run> {
  const at = clock.now().toISOString();
  const { run } = await catalog.runs.add(
    things.run(tenant.id, { kind, dueAt: at, notBefore: at, parameters: {}, attemptsMax: 3, ...more }),
    at,
  );
  return run;
}

async function execute(scene: Repositories, kind: RunKind, more: Partial<Run> = {}): Promise<Run> {
  const scheduler = schedulerOf(scene);
  const { id, tenantId } = await queue(scene, kind, more);
  await scheduler.shortTick();
  await scheduler.idle();
  return (await scene.catalog.runs.get(tenantId, id))!;
}

async function snapshotsOf({ tenants, tenant }: Repositories): Promise<string[]> {
  const { snapshots } = await tenants.use(tenant.id, (repository) => repository.heads.read());
  return snapshots.map(({ session }) => session);
}

function packsOf(scene: Repositories): string[] {
  const packs = join(scene.directory, 'repositories', scene.tenant.name, 'packs');
  return (readdirSync(packs, { recursive: true }) as string[])
    .map((name) => join(packs, name))
    .filter((path) => /[0-9a-f]{64}$/.test(path));
}

describe('a forget', () => {
  it('drops what the policy does not keep, in the repository and in the catalogue; never what is held or has a tag to keep', async () => {
    const scene = await withRepository(POLICY);
    const first = await backUp(scene);
    const held = await backUp(scene, { isHeld: true });
    const tagged = await backUp(scene, { tags: ['keep'] });
    const fourth = await backUp(scene);
    const fifth = await backUp(scene);
    const run = await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(run).toMatchObject({ state: 'succeeded', result: { forgotten: [first], kept: 4, held: 1 } });
    const kept = [held, tagged, fourth, fifth].sort();
    expect((await snapshotsOf(scene)).sort()).toEqual(kept);
    const { items } = await scene.catalog.recoveryPoints.list(scene.tenant.id, scene.asset.id, { limit: 100 });
    expect(items.map(({ snapshot }) => snapshot).sort()).toEqual(kept);
  });

  it('keeps the newest sound point even when newer ones are damaged and it was asked to drop it by name', async () => {
    const scene = await withRepository(POLICY);
    const sound = await backUp(scene);
    const damaged = [await backUp(scene, { isSound: false }), await backUp(scene, { isSound: false })];
    await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(await snapshotsOf(scene)).toContain(sound);
    await execute(scene, 'forget', { assetId: scene.asset.id, parameters: { snapshots: [sound, ...damaged] } });
    expect(await snapshotsOf(scene)).toEqual([sound]);
  });

  it('keeps the newest base of a database that can be restored, although younger ones wait for their log, and when it is named', async () => {
    const scene = await withRepository(POLICY);
    const base = (start: number) => backUp(scene, {}, async (repository) => (await makeBase(repository, { start })).id);
    await scene.tenants.use(scene.tenant.id, (repository) => writeLog(newLogWriter(repository), 8 * RECORD));
    const [first, second] = [await base(0), await base(2 * RECORD)];
    const young = [await base(9 * RECORD), await base(10 * RECORD)];
    const run = await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(run).toMatchObject({ state: 'succeeded', result: { forgotten: [first], kept: 3 } });
    await execute(scene, 'forget', { assetId: scene.asset.id, parameters: { snapshots: [second] } });
    expect(await snapshotsOf(scene)).toEqual([second, ...young]);
  });

  it('heeds what was promised while it looked at the repository', async () => {
    const scene = await withRepository(POLICY);
    const { catalog, tenant, tenants } = scene;
    const all = [await backUp(scene), await backUp(scene), await backUp(scene)];
    const change = async (): Promise<void> => {
      const [policy] = (await catalog.policies.list(tenant.id, { limit: 1 })).items;
      if (policy!.version > 1) return;
      await catalog.policies.change({ ...policy!, text: policy!.text.replace('keepLast: 2', 'keepLast: 3') });
    };
    const use: typeof tenants.use = async (id, work) => {
      await change();
      return tenants.use(id, work);
    };
    const { place, useStore, destroyPassphrase } = tenants;
    const others = { place: place.bind(tenants), useStore: useStore.bind(tenants) };
    const ports = { use, ...others, destroyPassphrase: destroyPassphrase.bind(tenants) };
    const scheduler = schedulerOf(scene, { tenants: ports });
    const { id } = await queue(scene, 'forget', { assetId: scene.asset.id });
    await scheduler.shortTick();
    await scheduler.idle();
    expect(await catalog.runs.get(tenant.id, id)).toMatchObject({ state: 'succeeded', result: { forgotten: [], kept: 3 } });
    expect((await snapshotsOf(scene)).sort()).toEqual(all.sort());
  });

  it('lets nothing go while a policy that applies cannot be read', async () => {
    const scene = await withRepository(POLICY);
    const { catalog, things, tenant } = scene;
    const all = [await backUp(scene), await backUp(scene), await backUp(scene)];
    const [policy] = (await catalog.policies.list(tenant.id, { limit: 1 })).items;
    // The one of the whole tenant keeps more than the one that the asset names, and is of a version that this program does not know.
    await catalog.policies.change({ ...policy!, text: 'name: plan\nretention: { keepLast: 3 }\nofTomorrow: true\n' });
    const own = {
      ...policy!,
      id: things.id('policy'),
      name: 'own',
      level: 'asset' as const,
      text: 'name: own\nretention: { keepLast: 1 }\n',
    };
    const { scope: _, ...unscoped } = own;
    await catalog.policies.add({ ...unscoped, version: 1 });
    await catalog.assets.change({ ...scene.asset, policyId: own.id });
    const run = await execute(scene, 'forget', { assetId: scene.asset.id, attemptsMax: 1 });
    expect(run).toMatchObject({
      state: 'failed',
      fault: { code: 'POLICY_INVALID', message: expect.stringContaining(scene.asset.name) },
    });
    expect((await snapshotsOf(scene)).sort()).toEqual(all.sort());
  });

  it('lets nothing go by a rule for a week after the catalogue came out of a backup: holds of the time between are not in it', async () => {
    const before = await withRepository(POLICY);
    const first = await backUp(before);
    for (let n = 0; n < 2; n++) await backUp(before);
    const path = join(before.directory, 'restored.sqlite');
    await before.catalog.backUpTo(path, new AbortController().signal);
    before.clock.pass(MINUTE);
    readyRestoredCatalog(path, before.clock.now().toISOString());
    const catalog = await openSqliteCatalog({ path, now: before.clock.now, random: before.things.random });
    onTestFinished(() => catalog.close());
    const scene = { ...before, catalog };
    before.clock.pass(MINUTE);
    const run = await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(run).toMatchObject({ state: 'succeeded', result: { forgotten: [], kept: 3, waitsUntil: expect.any(String) } });
    expect(await snapshotsOf(scene)).toContain(first);
    before.clock.pass(8 * DAY);
    await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(await snapshotsOf(scene)).not.toContain(first);
  });

  it('that died between catalogue and repository is finished by the next one', async () => {
    const scene = await withRepository(POLICY);
    const first = await backUp(scene);
    await backUp(scene);
    const third = await backUp(scene);
    const use = async (): Promise<never> => {
      throw new Error('died');
    };
    const broken = schedulerOf(scene, {
      tenants: { place: (id: string) => scene.tenants.place(id), use, useStore: use, destroyPassphrase: use },
      log: { info: () => {}, warn: () => {}, error: () => {} } as never,
    });
    await queue(scene, 'forget', { assetId: scene.asset.id, attemptsMax: 1 });
    await broken.shortTick();
    await broken.idle();
    expect(await snapshotsOf(scene)).toContain(first);
    await execute(scene, 'forget', { assetId: scene.asset.id });
    expect(await snapshotsOf(scene)).not.toContain(first);
    expect(await snapshotsOf(scene)).toContain(third);
  });
});

describe('a verify', () => {
  it('in full proves every recovery point that was known, and the sessions of agents', async () => {
    const scene = await withRepository(POLICY);
    const snapshot = await backUp(scene);
    const { catalog, tenant, agent, things } = scene;
    const at = scene.clock.now().toISOString();
    const session = { tenantId: tenant.id, agentId: agent.id, runId: things.id('run'), openedAt: at };
    await catalog.sessions.put({ ...session, session: snapshot, state: 'committed' });
    await catalog.sessions.put({ ...session, session: 'f'.repeat(20), state: 'open' });
    const run = await execute(scene, 'verify', { parameters: { mode: 'full' } });
    expect(run).toMatchObject({ state: 'succeeded', result: { outcome: 'clean', depth: 'full' } });
    expect(await catalog.recoveryPoints.get(tenant.id, snapshot)).toMatchObject({ proof: 'verify', isSound: true });
    expect((await catalog.sessions.get(snapshot))!.verifiedAt).toBeDefined();
    expect((await catalog.sessions.get('f'.repeat(20)))!.verifiedAt).toBeUndefined();
  });

  it('in full does not make sound what a rehearsal has refuted, until another rehearsal does', async () => {
    const scene = await withRepository(POLICY);
    const { catalog, tenant } = scene;
    const [forked, damaged] = [await backUp(scene), await backUp(scene, { isSound: false })];
    const scheduler = schedulerOf(scene, { limits: { heavyMax: 0, lightMax: 0 } });
    const rehearse = async (end: Parameters<typeof workOff>[2]): Promise<void> => {
      await queue(scene, 'restore-test', { assetId: scene.asset.id, agentId: scene.agent.id, parameters: { snapshot: forked } });
      await workOff(scene, scheduler, end);
    };
    await rehearse({ state: 'failed', fault: { code: 'LOG_FORKED', message: 'two histories', hint: '' } });
    const stand = async () => [
      (await catalog.recoveryPoints.get(tenant.id, forked))!.isSound,
      (await catalog.recoveryPoints.get(tenant.id, damaged))!.isSound,
    ];
    expect(await stand()).toEqual([false, false]);
    await execute(scene, 'verify', { parameters: { mode: 'full' } });
    expect(await stand(), 'what was damaged was mended').toEqual([false, true]);
    await rehearse({});
    expect(await stand()).toEqual([true, true]);
  });

  it('of a sample proves nothing of a whole recovery point, and each takes other packs', async () => {
    const scene = await withRepository(POLICY);
    const snapshot = await backUp(scene);
    const seeds = [];
    for (let n = 0; n < 2; n++)
      seeds.push((await execute(scene, 'verify', { parameters: { mode: 'sampled', share: 0.5 } })).result!.seed);
    expect(seeds).toEqual([1, 2]);
    expect((await scene.catalog.recoveryPoints.get(scene.tenant.id, snapshot))!.provenAt).toBeUndefined();
  });

  it('that finds damage fails with an event and marks what cannot be restored', async () => {
    const scene = await withRepository(POLICY);
    const first = await backUp(scene);
    // The largest is one of content.
    const [pack] = packsOf(scene).sort((a, b) => statSync(b).size - statSync(a).size);
    const bytes = readFileSync(pack!);
    bytes[1000]! ^= 0xff;
    rmSync(pack!);
    writeFileSync(pack!, bytes);
    const run = await execute(scene, 'verify', { parameters: { mode: 'full' } });
    expect(run).toMatchObject({
      state: 'failed',
      attempt: 1,
      fault: { code: 'REPOSITORY_DAMAGED' },
      result: { affectedSnapshots: [first] },
    });
    expect(await scene.catalog.recoveryPoints.get(scene.tenant.id, first)).toMatchObject({ isSound: false });
    expect(await eventsOf(scene, 'run.failed')).toMatchObject([{ severity: 'critical', details: { code: 'REPOSITORY_DAMAGED' } }]);
  });

  it('finds a recovery point whose snapshot somebody removed from the repository', async () => {
    const scene = await withRepository(POLICY);
    const [gone, there] = [await backUp(scene), await backUp(scene)];
    scene.cli('forget', gone);
    const run = await execute(scene, 'verify', { parameters: { mode: 'full' } });
    expect(run).toMatchObject({ state: 'failed', fault: { code: 'REPOSITORY_DAMAGED' }, result: { lost: 1 } });
    const { recoveryPoints } = scene.catalog;
    expect(await recoveryPoints.get(scene.tenant.id, gone)).toMatchObject({ isSound: false });
    expect(await recoveryPoints.get(scene.tenant.id, there)).toMatchObject({ isSound: true, proof: 'verify' });
  });

  it('of sessions reads back what agents have stored, and tells which of them stored something else', async () => {
    const scene = await withRepository(POLICY);
    const { catalog, tenant, agent, things, clock } = scene;
    const good = await backUp(scene);
    const before = new Set(packsOf(scene));
    const bad = await backUp(scene);
    const openedAt = clock.now().toISOString();
    for (const session of [good, bad])
      await catalog.sessions.put({
        session,
        tenantId: tenant.id,
        agentId: agent.id,
        runId: things.id('run'),
        state: 'committed',
        openedAt,
      });
    for (const pack of packsOf(scene).filter((path) => !before.has(path))) {
      const bytes = readFileSync(pack);
      bytes[100]! ^= 1;
      rmSync(pack);
      writeFileSync(pack, bytes);
    }
    const run = await execute(scene, 'verify', { parameters: { mode: 'sessions' } });
    expect(run).toMatchObject({ state: 'failed', result: { sessions: 2, affectedSnapshots: [bad] } });
    expect((await catalog.sessions.get(good))!.verifiedAt).toBeDefined();
    expect((await catalog.sessions.get(bad))!.verifiedAt).toBeUndefined();
    expect(await catalog.recoveryPoints.get(tenant.id, bad)).toMatchObject({ isSound: false });
  });

  it('without keys (a scrub) works, too', async () => {
    const scene = await withRepository(POLICY);
    await backUp(scene);
    expect(await execute(scene, 'verify', { parameters: { mode: 'scrub' } })).toMatchObject({ state: 'succeeded' });
  });
});

describe('other runs of the service', () => {
  it('a prune frees what was forgotten', async () => {
    const scene = await withRepository(POLICY);
    for (let n = 0; n < 4; n++) {
      await backUp(scene);
    }
    await execute(scene, 'forget', { assetId: scene.asset.id });
    const run = await execute(scene, 'prune');
    expect(run.state).toBe('succeeded');
    expect(run.result!.packsDropped as number).toBeGreaterThan(0);
  });

  it('a backup of the catalogue lies in a repository of its own, can be restored and opened, and leaves no copy behind', async () => {
    const scene = await withRepository(POLICY);
    const { directory, tenant } = scene;
    const run = await execute(scene, 'catalog-backup');
    const system = join(directory, 'repositories', '_system');
    expect(run).toMatchObject({ state: 'succeeded', result: { location: system } });
    const passphrase = join(directory, 'secrets', 'system.passphrase');
    const restore = ['catalog', 'restore', '--repo', system, '--passphrase-file', passphrase, '--home', join(directory, 'again')];
    const { status, stderr } = spawnSync(PROGRAM, restore, { env: ENVIRONMENT, encoding: 'utf8' });
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    const { things, clock } = scene;
    const again = await openSqliteCatalog({ path: join(directory, 'again/catalog.sqlite'), now: clock.now, random: things.random });
    onTestFinished(() => again.close());
    expect(await again.tenants.get(tenant.id)).toMatchObject({ name: tenant.name });
    expect(readdirSync(join(directory, 'scratch'))).toEqual([]);
  });

  it('a run whose repository does not answer fails with the fault of the program, and is tried again when that may help', async () => {
    const scene = await withRepository(POLICY);
    rmSync(join(scene.directory, 'repositories'), { recursive: true });
    const run = await execute(scene, 'prune');
    expect(run).toMatchObject({ state: 'failed', fault: { code: expect.stringMatching(/^(?:STORE|FORMAT)_/) } });
  });

  it('a child that dies is a fault of its own, tried again until the attempts are used up', async () => {
    const scene = await withRepository(POLICY);
    const script = join(scene.directory, 'dies');
    writeFileSync(script, '#!/bin/sh\necho "no luck" >&2\nkill -9 $$\n', { mode: 0o755 });
    const scheduler = schedulerOf(scene, { program: { command: script, environment: ENVIRONMENT } });
    const { id } = await queue(scene, 'prune');
    const states = [];
    for (let n = 0; n < 3; n++) {
      await scheduler.shortTick();
      await scheduler.idle();
      states.push((await scene.catalog.runs.get(scene.tenant.id, id))!);
      scene.clock.pass(60 * MINUTE);
    }
    expect(states.map(({ state }) => state)).toEqual(['queued', 'queued', 'failed']);
    expect(states[2]!.fault).toMatchObject({ code: 'RUN_CHILD_DIED', message: expect.stringContaining('no luck') });
  });
});

describe('a run that works', () => {
  /** A program that tells its process id, says how far it is and ends when it is interrupted, as ours does. */
  async function slow(): Promise<Repositories & { pid(): number; scheduler(more?: Partial<SchedulerOptions>): Scheduler }> {
    const scene = await withRepository(POLICY);
    const script = join(scene.directory, 'slow');
    const pidFile = join(scene.directory, 'pid');
    writeFileSync(
      script,
      `#!/bin/sh
trap 'echo "{\\"kind\\":\\"error\\",\\"code\\":\\"INTERRUPTED\\",\\"message\\":\\"Interrupted\\",\\"hint\\":\\"\\"}"; exit 130' INT
echo '{"kind":"progress","phase":"mark","bytesDone":42}'
echo $$ > ${pidFile}.new && mv ${pidFile}.new ${pidFile}
while :; do sleep 0.05; done
`,
      { mode: 0o755 },
    );
    const pid = (): number => {
      try {
        return Number(readFileSync(pidFile, 'utf8'));
      } catch {
        return 0;
      }
    };
    const scheduler = (more: Partial<SchedulerOptions> = {}): Scheduler =>
      schedulerOf(scene, { program: { command: script, environment: ENVIRONMENT }, limits: { ...LIMITS, leaseMs: 200 }, ...more });
    return { ...scene, pid, scheduler };
  }

  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  it('tells how far it is, and ends when it is canceled', async () => {
    const scene = await slow();
    const scheduler = scene.scheduler();
    const { id } = await queue(scene, 'prune');
    await scheduler.shortTick();
    const get = (): Promise<Run | undefined> => scene.catalog.runs.get(scene.tenant.id, id);
    await expect.poll(async () => (await get())?.progress, PATIENCE).toMatchObject({ phase: 'mark', bytesDone: 42 });
    await scene.catalog.runs.cancel(scene.tenant.id, id, scene.clock.now().toISOString());
    await scheduler.idle();
    expect(await get()).toMatchObject({ state: 'canceled' });
    expect(isAlive(scene.pid())).toBe(false);
  });

  it('is killed when its lease is lost, and says nothing more', async () => {
    const scene = await slow();
    const scheduler = scene.scheduler();
    const { id } = await queue(scene, 'prune');
    await scheduler.shortTick();
    await expect.poll(() => scene.pid(), PATIENCE).toBeGreaterThan(0);
    // Somebody else believes it dead and takes it.
    const at = new Date(scene.clock.ms + MINUTE).toISOString();
    await scene.catalog.runs.expire(at, at, 10);
    const other = await scene.catalog.runs.claim({
      by: 'service:other',
      kinds: ['prune'],
      at,
      leaseMs: MINUTE,
      perAgentMax: 1,
      perTenantMax: 9,
      totalMax: 9,
    });
    expect(other?.id).toBe(id);
    await scheduler.idle();
    expect(isAlive(scene.pid())).toBe(false);
    expect(await scene.catalog.runs.get(scene.tenant.id, id)).toMatchObject({
      state: 'running',
      fence: other!.fence,
      claimedBy: 'service:other',
    });
  });

  it('hears of its end with the next look, however long its lease is', async () => {
    const scene = await slow();
    const scheduler = scene.scheduler({ limits: { ...LIMITS, leaseMs: 3_600_000 } });
    const { id } = await queue(scene, 'prune');
    await scheduler.shortTick();
    await expect.poll(() => scene.pid(), PATIENCE).toBeGreaterThan(0);
    await scene.catalog.runs.cancel(scene.tenant.id, id, scene.clock.now().toISOString());
    await scheduler.shortTick();
    await scheduler.idle();
    expect(await scene.catalog.runs.get(scene.tenant.id, id)).toMatchObject({ state: 'canceled' });
  });

  it('goes back into the queue when the service stops', async () => {
    const scene = await slow();
    const scheduler = scene.scheduler();
    const { id } = await queue(scene, 'prune');
    await scheduler.shortTick();
    await expect.poll(() => scene.pid(), PATIENCE).toBeGreaterThan(0);
    await scheduler.stop();
    expect(isAlive(scene.pid())).toBe(false);
    expect(await scene.catalog.runs.get(scene.tenant.id, id)).toMatchObject({
      state: 'queued',
      attempt: 1,
      fault: { code: 'SERVICE_STOPPING' },
    });
  });

  it('is one of few at once: the others wait', async () => {
    const scene = await slow();
    const scheduler = scene.scheduler();
    await queue(scene, 'prune');
    await queue(scene, 'verify');
    const third = await queue(scene, 'catalog-backup');
    await scheduler.shortTick();
    expect(await scene.catalog.runs.get(scene.tenant.id, third.id)).toMatchObject({ state: 'queued' });
  });
});

it('our command line ends when the process that holds its lifeline dies, and not before', async () => {
  const scene = await withRepository(POLICY);
  writeFileSync(join(scene.directory, 'disk.img'), Buffer.alloc(1024 * 1024, 7));
  scene.cli('backup', join(scene.directory, 'disk.img'), '--type', 'volume');
  const { location, passphraseFile, cacheDirectory } = await scene.tenants.place(scene.tenant.id);
  const where = ['--repo', location, '--passphrase-file', passphraseFile, '--cache-dir', cacheDirectory];
  // A verb that works until it is interrupted.
  const socket = join(scene.directory, 'socket');
  const child = spawn(PROGRAM, ['export', 'latest', '--socket', socket, '--json', ...where], {
    env: { ...ENVIRONMENT, HOLDFAST_LIFELINE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = new Promise<number | null>((done) => child.on('close', done));
  await expect.poll(() => existsSync(socket), PATIENCE).toBe(true);
  expect(child.exitCode).toBe(null);
  child.stdin.destroy();
  expect([0, 130]).toContain(await ended);
});

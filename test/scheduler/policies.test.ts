import { describe, expect, it } from 'vitest';
import { PolicyBook } from '../../src/scheduler/policy-book.ts';
import { repositoryTasks } from '../../src/scheduler/repository-tasks.ts';
import { runTerms } from '../../src/scheduler/run-terms.ts';
import { newScene, runsOf, type Scene } from './scene.ts';

const POLICY = `name: plan
schedule:
  - cron: "0 * * * *"
limits:
  bandwidth:
    - { upload: 10MiB }
    - { from: "08:00", to: "18:00", upload: 1MiB }
hooks:
  before:
    - { command: [/usr/local/bin/freeze, --all], timeout: 90s }
`;

async function add(
  scene: Scene,
  level: 'city' | 'district' | 'tenant' | 'asset',
  scope: string,
  text: string,
  tenantId?: string,
): Promise<string> {
  const { catalog, things } = scene;
  const id = things.id('policy');
  const name = `policy-${id.slice(4, 20)}`;
  const at = scene.clock.now().toISOString();
  const added = await catalog.policies.add({
    id,
    ...(tenantId === undefined ? {} : { tenantId }),
    name,
    level,
    scope,
    text,
    version: 1,
    changedAt: at,
    changedBy: 'test',
  });
  expect(added).toBe('added');
  return id;
}

describe('the policy in force', () => {
  it('is put together from city, district, tenant and asset, the stricter one counting', async () => {
    const scene = await newScene(undefined);
    const { catalog, things } = scene;
    const tenant = things.tenant({ city: 'jinan', district: 'lixia' });
    await catalog.tenants.add(tenant);
    await add(scene, 'city', 'jinan', 'name: c\nobjectives: { rpo: 1d }\nretention: { daily: 30 }\n');
    await add(scene, 'district', 'jinan/lixia', 'name: d\nobjectives: { rpo: 4h }\n');
    await add(scene, 'district', 'jinan/shizhong', 'name: other\nobjectives: { rpo: 1m }\n');
    await add(scene, 'tenant', tenant.id, 'name: t\nretention: { daily: 7, weekly: 9 }\n', tenant.id);
    const own = await add(scene, 'asset', 'x', 'name: a\nobjectives: { rpo: 1h }\n', tenant.id);
    const book = new PolicyBook({ catalog });
    await book.refresh();
    expect(book.inForce(tenant).policy).toMatchObject({ objectives: { rpoMs: 4 * 3_600_000 } });
    expect(book.inForce(tenant, { policyId: own }).policy).toMatchObject({
      objectives: { rpoMs: 3_600_000 },
      retention: { keepDaily: 30, keepWeekly: 9 },
    });
  });

  it('listens to no policy of another tenant, whatever level it claims', async () => {
    const scene = await newScene(undefined);
    const { catalog, things, tenant } = scene;
    const other = things.tenant({ city: 'jinan' });
    await catalog.tenants.add(other);
    await add(scene, 'city', 'jinan', 'name: evil\nretention: { keepLast: 1 }\n', tenant.id);
    await add(scene, 'tenant', other.id, 'name: evil\nretention: { keepLast: 1 }\n', tenant.id);
    const foreign = await add(scene, 'asset', 'x', 'name: evil\nretention: { keepLast: 1 }\n', tenant.id);
    const book = new PolicyBook({ catalog });
    await book.refresh();
    expect(book.inForce(other).policy.retention.keepLast).toBeUndefined();
    expect(book.inForce(other, { policyId: foreign }).policy.retention.keepLast).toBeUndefined();
  });

  it('changes when a policy that it extends is changed', async () => {
    const scene = await newScene('name: plan\nextends: base\nschedule:\n  - cron: "0 * * * *"\n');
    const { catalog, things, tenant } = scene;
    const id = things.id('policy');
    const at = scene.clock.now().toISOString();
    const base = { id, tenantId: tenant.id, name: 'base', level: 'asset' as const, changedAt: at, changedBy: 'test' };
    await catalog.policies.add({ ...base, text: 'name: base\nobjectives: { rpo: 2h }\n', version: 1 });
    const book = new PolicyBook({ catalog });
    await book.refresh();
    const before = book.inForce(tenant);
    expect(before.policy.objectives.rpoMs).toBe(2 * 3_600_000);
    await catalog.policies.change({ ...base, text: 'name: base\nobjectives: { rpo: 1h }\n', version: 1 });
    await book.refreshTenant(tenant.id);
    const after = book.inForce(tenant);
    expect(after.policy.objectives.rpoMs).toBe(3_600_000);
    expect(after.stamp).not.toBe(before.stamp);
  });

  it('goes with a run to its agent: limits of this hour and hooks, also before anybody has looked', async () => {
    const scene = await newScene(POLICY, '2026-11-21T09:00:00.000Z');
    const { catalog, asset, tenant, things, clock } = scene;
    await catalog.runs.add(
      things.run(tenant.id, { assetId: asset.id, agentId: scene.agent.id, kind: 'backup' }),
      clock.now().toISOString(),
    );
    const [run] = await runsOf(scene);
    const terms = runTerms(new PolicyBook({ catalog }), clock.now);
    expect(await terms(run!, asset)).toEqual({
      uploadBytesPerSecond: 1024 * 1024,
      hooks: { before: [{ command: ['/usr/local/bin/freeze', '--all'], timeoutMs: 90_000, onFailure: 'fail' }], after: [] },
    });
    clock.pass(12 * 3_600_000);
    expect(await terms({ ...run!, kind: 'restore' }, asset)).toEqual({ uploadBytesPerSecond: 10 * 1024 * 1024 });
  });
});

describe('the tasks of a repository', () => {
  it('come as often, and in as large a share, as the strictest of its policies asks; space is freed even when none asks', async () => {
    const scene = await newScene(undefined);
    const { catalog, tenant } = scene;
    const often = await add(scene, 'asset', 'a', 'name: a\nverify: { sampled: { every: 1d, share: 2% } }\n', tenant.id);
    const much = await add(
      scene,
      'asset',
      'b',
      'name: b\nverify: { sampled: { every: 7d, share: 20% }, full: { every: 30d } }\n',
      tenant.id,
    );
    const book = new PolicyBook({ catalog });
    await book.refresh();
    const policies = [often, much].map((policyId) => book.inForce(tenant, { policyId }).policy);
    for (const some of [policies, policies.toReversed()]) {
      const tasks = repositoryTasks(some);
      expect(tasks.map(({ name }) => name)).toEqual(['prune', 'verify-full', 'verify-sampled']);
      expect(tasks[2]).toMatchObject({ parameters: { share: 0.2 }, schedules: [{ everyMs: 86_400_000 }] });
    }
  });
});

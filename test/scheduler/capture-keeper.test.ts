// A database has exactly one capture, whatever ends; it takes nobody's place; and a base backup is asked for once.

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Asset } from '../../src/model/asset.ts';
import type { Run } from '../../src/model/run.ts';
import { CaptureKeeper } from '../../src/scheduler/capture-keeper.ts';
import { MINUTE, newScene, type Scene } from './scene.ts';

async function database(): Promise<Scene & { readonly keeper: CaptureKeeper; readonly db: Asset }> {
  const scene = await newScene(undefined);
  const { catalog, clock, things, tenant, agent } = scene;
  const source = { kind: 'postgres', connection: 'host=/run/postgresql user=holdfast' } as const;
  const db = things.asset(tenant.id, agent.id, { name: 'pg/orders', source });
  await catalog.assets.add(db);
  return { ...scene, db, keeper: new CaptureKeeper({ catalog, now: clock.now, random: randomBytes }) };
}

function claim({ catalog, agent, clock }: Scene, perAgentMax = 4): Promise<Run | undefined> {
  const limits = { leaseMs: MINUTE, perAgentMax, perTenantMax: 10, totalMax: 10 };
  const at = clock.now().toISOString();
  return catalog.runs.claim({ by: `agent:${agent.id}`, kinds: ['backup', 'capture'], agentId: agent.id, at, ...limits });
}

async function captures({
  catalog,
  tenant,
  db,
}: {
  catalog: Scene['catalog'];
  tenant: Scene['tenant'];
  db: Asset;
}): Promise<readonly Run[]> {
  return (await catalog.runs.list(tenant.id, { assetId: db.id, kind: 'capture' }, { limit: 100 })).items;
}

test('a capture is queued once, again when it ends, later when it fails again and again, and not for an asset that is paused', async () => {
  const scene = await database();
  const { catalog, clock, keeper, db } = scene;
  expect(await keeper.keep(db, true)).toBe(db.agentId);
  expect(await keeper.keep(db, true)).toBeUndefined();
  const pauses: number[] = [];
  for (let n = 0; n < 4; n++) {
    const run = (await claim(scene))!;
    expect(run.kind).toBe('capture');
    expect(await keeper.keep(db, true)).toBeUndefined();
    clock.pass(1000);
    const fault = { code: 'PG_DENIED', message: 'no', hint: '' };
    await catalog.runs.end(run.id, run.fence, clock.now().toISOString(), { state: 'failed', fault });
    await keeper.keep(db, true);
    const [next] = await captures(scene);
    pauses.push(Date.parse(next!.notBefore) - clock.ms);
    clock.pass(2 * MINUTE);
  }
  expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000]);
  expect(await captures(scene)).toHaveLength(5);
  await keeper.keep(db, false);
  expect((await captures(scene)).map(({ state }) => state)).toEqual(['canceled', 'failed', 'failed', 'failed', 'failed']);
  expect(await keeper.keep(db, false)).toBeUndefined();
});

test('when an asset is changed its capture is canceled, and the next one is of what it is now', async () => {
  const scene = await database();
  const { catalog, clock, keeper, db, tenant } = scene;
  await keeper.keep(db, true);
  const run = (await claim(scene))!;
  const changed: Asset = { ...db, source: { kind: 'postgres', connection: 'host=db2 user=holdfast' } };
  await keeper.keep(changed, true);
  expect((await catalog.runs.get(tenant.id, run.id))?.cancelRequestedAt).toBeDefined();
  await catalog.runs.end(run.id, run.fence, clock.now().toISOString(), { state: 'canceled' });
  await keeper.keep(changed, true);
  expect((await claim(scene))?.parameters['source']).toContain('db2');
});

test('an agent whose places are all taken begins a capture nevertheless, and a capture takes no place', async () => {
  const scene = await database();
  const { keeper, db } = scene;
  await keeper.keep(db, true);
  expect((await claim(scene, 1))?.kind).toBe('capture');
  expect((await keeper.needBase(db, 'there is none'))?.kind).toBe('backup');
  expect((await claim(scene, 1))?.kind).toBe('backup');
  const { things, catalog, tenant, agent } = scene;
  const second = things.asset(tenant.id, agent.id, { name: 'pg/other', source: db.source });
  await catalog.assets.add(second);
  await keeper.needBase(second, 'there is none');
  await keeper.keep(second, true);
  expect((await claim(scene, 1))?.kind).toBe('capture');
  expect(await claim(scene, 1)).toBeUndefined();
});

test('a base backup is asked for once, and not at once again after it has failed for good', async () => {
  const scene = await database();
  const { keeper, db, catalog, clock } = scene;
  expect(await keeper.needBase(db, 'there is none')).toBeDefined();
  expect(await keeper.needBase(db, 'there is none')).toBeUndefined();
  const run = (await claim(scene))!;
  await catalog.runs.end(run.id, run.fence, clock.now().toISOString(), { state: 'failed' });
  expect(await keeper.needBase(db, 'there is none')).toBeUndefined();
  clock.pass(11 * MINUTE);
  expect(await keeper.needBase(db, 'there is none')).toBeDefined();
});

test('what is retired gives its slot back, is tried again when the server does not answer, and is given up in the end', async () => {
  const scene = await database();
  const { keeper, db, catalog, clock } = scene;
  const retired: Asset = { ...db, state: 'retired' };
  // Never captured: there is nothing to give back.
  expect(await keeper.keep(retired, false)).toBeUndefined();
  await keeper.keep(db, true);
  const capture = (await claim(scene))!;
  await keeper.keep(retired, false);
  await catalog.runs.end(capture.id, capture.fence, clock.now().toISOString(), { state: 'canceled' });
  const releases: Run[] = [];
  while ((await keeper.keep(retired, false)) !== undefined) {
    clock.pass(2 * MINUTE);
    const run = (await claim(scene))!;
    // It is not canceled as a capture would be.
    expect(await keeper.keep(retired, false)).toBeUndefined();
    expect((await catalog.runs.get(db.tenantId, run.id))?.cancelRequestedAt).toBeUndefined();
    releases.push(run);
    await catalog.runs.end(run.id, run.fence, clock.now().toISOString(), { state: 'failed' });
  }
  expect(releases.map(({ parameters }) => parameters['release'])).toEqual(Array(8).fill(true));
});

test('a slot that was given back is not asked for again', async () => {
  const scene = await database();
  const { keeper, db, catalog, clock } = scene;
  await keeper.keep(db, true);
  const capture = (await claim(scene))!;
  await catalog.runs.end(capture.id, capture.fence, clock.now().toISOString(), { state: 'canceled' });
  const retired: Asset = { ...db, state: 'retired' };
  // Ids of one millisecond have no order.
  clock.pass(1_000);
  expect(await keeper.keep(retired, false)).toBe(db.agentId);
  const release = (await claim(scene))!;
  expect(release.parameters).toMatchObject({ release: true });
  await catalog.runs.end(release.id, release.fence, clock.now().toISOString(), { state: 'succeeded' });
  expect(await keeper.keep(retired, false)).toBeUndefined();
});

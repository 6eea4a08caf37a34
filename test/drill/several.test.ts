import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DrillScene, step } from '../support/drill.ts';
import type { Loose } from '../support/portal-plan.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { type ProtectedCluster, until } from '../support/protected-cluster.ts';

const SECOND = 'pg/second';
const member = (asset: string): object => ({ asset, kind: 'postgres', replayLimit: '5m', startLimit: '2m' });

/** One group of both, which declares that. */
const together = (declared: object) => (plan: Loose) => {
  plan.groups = [{ name: 'both', members: [member('pg/test'), member(SECOND)], ...declared }];
};

const consistencies = (scene: DrillScene): unknown[] =>
  scene.pack().body.claims.claims.flatMap(({ id, value }) => (id === 'consistency' ? [value] : []));

/** What a person would do for a barrier: nobody writes until both have their point. */
async function setBarrier(clusters: readonly ProtectedCluster[], name: string, isHeld: boolean): Promise<void> {
  for (const [i, { server }] of clusters.entries()) {
    await server.sql(`SELECT pg_create_restore_point('${name}')`);
    if (!isHeld && i === 0) await server.sql('INSERT INTO orders VALUES (6000)');
  }
  for (const { server } of clusters) await server.sql(`INSERT INTO orders VALUES (${isHeld ? 7050 : 7000})`);
  for (const cluster of clusters) await cluster.caughtUp();
}

describe.skipIf(postgresPrograms() === undefined)('a drill of several databases', () => {
  it('brings up both in the order of their groups, measures each, and says no more of them together than was done', async () => {
    const scene = await DrillScene.create();
    const second = await scene.another(SECOND);
    const places = ['--for', `${SECOND}=${join(second.scratch, 'repository')}`];
    const psql = `${scene.cluster.programs}/psql`;
    const isStanding = (port: number) => `$(${psql} -p ${port} -Atc 'SELECT pg_is_in_recovery()')`;
    const count = (port: number) => `$(${psql} -p ${port} -Atc 'SELECT count(*) FROM orders')`;
    const grouped = scene.plan((plan) => {
      plan.groups[0].afterwards = [step('first-is-up', `test ${isStanding(5432)}${isStanding(5433)} = ft`)];
      plan.groups.push({ name: 'second', after: ['database'], members: [member(SECOND)] });
      plan.smokeTests.push(step('both', `echo $HOLDFAST_CLONES; test ${count(5432)} = 1000 -a ${count(5433)} = 1000`));
    });
    const { status, stderr } = await scene.run(grouped, places);
    expect(status, stderr).toBe(0);
    expect(scene.measured('action').map(({ of, value }) => `${of} ${value.outcome}`)).toEqual([
      'isolate done',
      'probe done',
      'database.clone.pg/test done',
      `second.clone.${SECOND} done`,
      'database.promote.pg/test done',
      'database.after.first-is-up done',
      `second.promote.${SECOND} done`,
      'write-test done',
      'smoke.orders done',
      'smoke.both done',
      'verify-pages done',
      'probe.again done',
      'commit done',
      'destroy done',
    ]);
    for (const kind of ['log-end', 'heartbeat', 'recovered', 'first-write', 'pages'])
      expect([kind, ...scene.measured(kind).map(({ of }) => of)]).toEqual([kind, 'pg/test', SECOND]);
    expect(scene.measured('fingerprint').map(({ of }) => of)).toEqual(['repository of pg/test', `repository of ${SECOND}`]);
    expect(scene.measured('heartbeat').map(({ value }) => value.isSigned)).toEqual([true, true]);
    expect(scene.claim('rpo')).toMatchObject({ isKept: true });
    expect(scene.claim('rto')).toMatchObject({ isKept: true });
    expect(scene.left()).toEqual([]);
    expect(readFileSync(join(scene.drills().at(-1)!, 'steps.txt'), 'utf8')).toContain(
      `"${SECOND}":{"host":"127.0.0.1","port":5433`,
    );
    // Groups of one have nothing between them, so nothing is claimed of it.
    expect(consistencies(scene)).toEqual([]);

    // A restore point that was set while somebody wrote is no barrier: a label that was not earned is refused, and the drill is no success.
    const clusters = [scene.cluster, second];
    await setBarrier(clusters, 'not-held', false);
    expect((await scene.run(scene.plan(together({ consistency: 'barrier' })), places)).status).toBe(1);
    expect(consistencies(scene)).toMatchObject([
      { group: 'both', declared: 'barrier', members: 2, reached: 'none', isKept: false },
    ]);

    await scene.stopWriters(clusters);
    await setBarrier(clusters, 'nightly', true);
    await scene.cluster.server.sql('INSERT INTO orders VALUES (7100)');
    await scene.cluster.caughtUp();
    const newest = (...expected: readonly number[]): object =>
      step('newest', expected.map((n, i) => `test $(${psql} -p ${5432 + i} -Atc 'SELECT max(n) FROM orders') = ${n}`).join(' && '));
    const plan = (declared: object, test: object): string =>
      scene.plan((all) => {
        together(declared)(all);
        all.smokeTests = [test];
      });
    const held = await scene.run(plan({ consistency: 'barrier' }, newest(7000, 7000)), places);
    expect(held.status, held.stderr).toBe(0);
    expect(consistencies(scene)).toMatchObject([{ declared: 'barrier', reached: 'barrier', point: 'nightly', isKept: true }]);
    // The second goes on alone. What it has beyond the first is given up for the one instant.
    await until(async () => {
      await second.server.sql('INSERT INTO orders VALUES (8000)');
      await second.caughtUp();
      const [first, other] = await Promise.all([scene.cluster, second].map(async (one) => (await one.window()).at(-1)!.to.time));
      return other! - first! > 1_500_000;
    });
    expect((await scene.run(plan({ consistency: 'epsilon', epsilon: '1s' }, newest(7100, 7050)), places)).status).toBe(0);
    expect(consistencies(scene)).toMatchObject([{ declared: 'epsilon', epsilonMs: 1000, reached: 'epsilon', isKept: true }]);
  });
});

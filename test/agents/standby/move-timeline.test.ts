// A standby at a third place: the primary is failed over elsewhere, and it follows the new one only when it is told to, and only if it can.

import { describe, expect, it } from 'vitest';
import type { TestServer } from '../../support/postgres.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { until } from '../../support/protected-cluster.ts';
import { NEVER, StandbyScene } from '../../support/standby-scene.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('a standby whose primary was failed over elsewhere', () => {
  it('follows the new timeline from where it is when it is told to, and is refused when it has replayed what is not on the way', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, standby, server } = scene;
    const twin = await primary.standby('twin');
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    await follows(twin, primary.server);
    await promoted(scene, twin);
    await primary.server.sql('INSERT INTO t VALUES (2)');
    await primary.caughtUp();
    await scene.copied();

    // Pinned: all of it is there, and it follows none of it.
    const pinned = await scene.healthUntil(({ note }) => note !== undefined);
    expect(pinned).toMatchObject({ timeline: 1, note: expect.stringContaining('timeline 2') });
    expect(await scene.rows()).toEqual([1]);
    await expect(standby.moveTimeline(7, NEVER)).rejects.toMatchObject({ code: 'LOG_GAP' });
    await standby.moveTimeline(2, NEVER);
    await server.stop();
    await server.start();
    await scene.shows(2);
    expect(await scene.healthUntil(({ condition }) => condition === 'healthy')).toMatchObject({ timeline: 2, gap: undefined });

    // The next one is taken over by a standby that had not everything.
    const late = await primary.standby('late');
    await follows(late, primary.server);
    await late.stop();
    await primary.server.sql('INSERT INTO t VALUES (3)');
    await primary.caughtUp();
    await scene.shows(3);
    await promoted(scene, late, () => late.start());
    await primary.server.sql('INSERT INTO t VALUES (4)');
    await primary.caughtUp();
    await scene.copied();
    await expect(standby.moveTimeline(3, NEVER)).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
    await server.stop();
    await server.start();
    expect(await scene.rows()).toEqual([1, 2, 3]);
    expect(standby.facts.timeline).toBe(2);
  });
});

async function follows(standby: TestServer, primary: TestServer): Promise<void> {
  const end = (await primary.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]!;
  await until(async () => (await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${end}'`))[0]![0] === 't');
}

/** The old primary is gone; what is captured from now on is the new one's. */
async function promoted({ primary }: StandbyScene, standby: TestServer, before = async (): Promise<void> => {}): Promise<void> {
  await primary.server.stop('SIGKILL');
  await primary.stop();
  await before();
  await standby.sql('SELECT pg_promote()');
  primary.server = standby;
  primary.begin();
}

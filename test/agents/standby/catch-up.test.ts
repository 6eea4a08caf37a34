// A standby that is brought to where a log was sealed: exactly there, with proof, or not at all.

import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readControlData } from '../../../agents/gate/control-data.ts';
import { readStandby } from '../../../agents/standby/standby-directory.ts';
import { readClusterFacts } from '../../../src/engine/cluster-facts.ts';
import { formatLsn } from '../../../src/model/lsn.ts';
import { postgresPrograms, serverUser } from '../../support/postgres.ts';
import { ASSET, until } from '../../support/protected-cluster.ts';
import { replicaOf } from '../../support/replicating.ts';
import { objectPath, objectsIn } from '../../support/repository.ts';
import { NEVER, StandbyScene } from '../../support/standby-scene.ts';

const programs = postgresPrograms();

/** End of the log at the replica. */
async function storedEnd(scene: StandbyScene): Promise<number> {
  const { view } = (await readClusterFacts(scene.replica, ASSET))!;
  return Math.max(...view.stretches.map(({ to }) => to));
}

describe.skipIf(programs === undefined)('catching up', () => {
  it('of a planned switch replays the shutdown checkpoint, too; promoted, it has every row, and nothing of the standby is left', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, server, standby } = scene;
    await primary.server.sql('INSERT INTO t SELECT generate_series(1, 2000)');
    await primary.server.stop();
    await primary.stop();
    const { checkpoint, timeline } = readControlData(primary.programs, primary.server.directory, serverUser());
    await scene.copied();
    const caught = await standby.catchUp({ timeline, lsn: checkpoint }, NEVER);
    expect(caught.loss).toEqual({ bytes: 0, commits: 0, seconds: 0 });
    expect(caught.verifiedBytes).toBeGreaterThan(0);
    const [replayed] = (await server.sql(`SELECT pg_last_wal_replay_lsn() > '${checkpoint}', pg_last_wal_replay_lsn()`))[0]!;
    expect(replayed).toBe('t');
    // Again: the same answer.
    expect(await standby.catchUp({ timeline, lsn: checkpoint }, NEVER)).toMatchObject({ replayed: caught.replayed });
    await expect(standby.promoted(NEVER)).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
    await server.sql('SELECT pg_promote()');
    await standby.promoted(NEVER);
    expect(await scene.rows()).toHaveLength(2000);
    expect(readStandby(server.directory)).toBeUndefined();
    // 13 takes away its restore_command when it starts the next time.
    const left =
      "SELECT name FROM pg_settings WHERE name IN ('restore_command', 'primary_conninfo') AND setting <> '' AND NOT pending_restart";
    await until(async () => (await server.sql(left)).length === 0);
    await server.stop();
    await server.start();
    expect((await server.sql('SHOW recovery_target_timeline'))[0]).toEqual(['latest']);
    await server.sql('INSERT INTO t VALUES (2001)');
  });

  it('stops exactly at the seal, although more arrives, and counts what is lost', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, standby } = scene;
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    await primary.caughtUp();
    await scene.copied();
    // What arrives from here on is there before the standby knows of the seal, and its server has asked for none of it.
    await scene.server.stop();
    const sealed = { timeline: 1, lsn: formatLsn(await storedEnd(scene)) };
    for (let n = 2; n <= 4; n++) await primary.server.sql(`INSERT INTO t VALUES (${n})`);
    await primary.caughtUp();
    await scene.copied();
    const asked = standby.catchUp(sealed, NEVER);
    await until(async () => readStandby(scene.server.directory)?.sealed != null);
    await scene.server.start();
    const { replayed, loss } = await asked;
    expect(replayed).toEqual(sealed);
    expect(loss.commits).toBe(3);
    expect(loss.bytes).toBeGreaterThan(0);
    expect(loss.seconds).toBeGreaterThan(0);
    // Its server restarted has no more either, and a promotion takes nothing more.
    await scene.server.stop();
    await scene.server.start();
    await scene.server.sql('SELECT pg_promote()');
    expect(await scene.rows()).toEqual([1]);
  });

  it('is refused over a hole, beyond what has arrived, and when it has replayed more than what was sealed', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, server, standby } = scene;
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    const early = { timeline: 1, lsn: formatLsn((await storedEnd(scene)) - 8192 * 2) };
    await expect(standby.catchUp(early, NEVER)).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
    await expect(standby.catchUp({ timeline: 2, lsn: early.lsn }, NEVER)).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
    const later = { timeline: 1, lsn: formatLsn((await storedEnd(scene)) + 1_000_000) };
    await expect(standby.catchUp(later, NEVER)).rejects.toMatchObject({ code: 'LOG_GAP' });
    await server.stop();
    for (const n of [2, 3]) {
      await primary.server.sql('SELECT pg_switch_wal()');
      await primary.server.sql(`INSERT INTO t VALUES (${n})`);
    }
    await primary.caughtUp();
    await scene.copied();
    await scene.stopReplication();
    const place = replicaOf(primary.scratch);
    const sections = [...objectsIn(place, 'log/').keys()].filter((key) => !key.includes('.')).sort();
    const lost = objectPath(place, sections.at(-1)!);
    renameSync(lost, join(primary.scratch, 'lost'));
    await server.start();
    const sealed = { timeline: 1, lsn: formatLsn(await storedEnd(scene)) };
    await expect(standby.catchUp(sealed, NEVER)).rejects.toMatchObject({
      code: 'LOG_GAP',
      message: expect.stringContaining('is whole up to'),
    });
    renameSync(join(primary.scratch, 'lost'), lost);
    expect((await standby.catchUp(sealed, NEVER)).loss.bytes).toBe(0);
    expect(await scene.rows()).toEqual([1, 2, 3]);
  });
});

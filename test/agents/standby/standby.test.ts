// A standby fed from a replica, with real servers on both sides.

import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { STANDBY_LIMITS, type StandbyHealth } from '../../../agents/standby/standby-health.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { replicaOf } from '../../support/replicating.ts';
import { objectPath, objectsIn } from '../../support/repository.ts';
import { StandbyScene } from '../../support/standby-scene.ts';

const programs = postgresPrograms();
const HOUR_MS = 3_600_000;

describe.skipIf(programs === undefined)('a warm standby', () => {
  it('shows each commit soon after it arrived at the replica, in the middle of a segment, and says that it is healthy', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    for (let n = 1; n <= 5; n++) {
      await scene.primary.server.sql(`INSERT INTO t VALUES (${n})`);
      await scene.shows(n);
    }
    const health = await scene.healthUntil(({ behindBytes }) => behindBytes === 0);
    expect(health).toMatchObject({ condition: 'healthy', timeline: 1, behindSeconds: 0, gap: undefined, problem: undefined });
    expect(scene.troubles).toEqual([]);
  });

  it('goes on after restarts of its server, of what feeds it, of the replication and of the capture, over many segments', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary } = scene;
    const fill = async (from: number, to: number): Promise<void> => {
      await primary.server.sql(`INSERT INTO t SELECT generate_series(${from}, ${to}); SELECT pg_switch_wal()`);
    };
    await fill(1, 1000);
    await scene.shows(1000);
    // The server first: what arrived while it was away comes as files, and then as a stream.
    await scene.server.stop('SIGKILL');
    await fill(1001, 100_000);
    await scene.server.start();
    await scene.shows(100_000);
    // What feeds it: its server waits.
    await scene.standby.close();
    await fill(100_001, 101_000);
    await scene.open();
    await scene.shows(101_000);
    await scene.stopReplication();
    await primary.stop();
    await fill(101_001, 102_000);
    primary.begin();
    await scene.replicate();
    await scene.shows(102_000);
    // Both, and the server comes first: it waits for its log.
    await scene.standby.close();
    await scene.server.stop();
    await fill(102_001, 103_000);
    const starting = scene.server.start();
    await scene.open();
    await starting;
    await scene.shows(103_000);
    expect(await scene.healthUntil(({ behindBytes }) => behindBytes === 0)).toMatchObject({ condition: 'healthy' });
  });

  it('knows a hole ahead from being up to date, and goes on when it is mended', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, server } = scene;
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    await server.stop();
    await primary.server.sql('INSERT INTO t VALUES (2)');
    await primary.server.sql('SELECT pg_switch_wal()');
    await primary.server.sql('INSERT INTO t VALUES (3)');
    await primary.server.sql('SELECT pg_switch_wal()');
    await primary.server.sql('INSERT INTO t VALUES (4)');
    await primary.caughtUp();
    await scene.copied();
    await scene.stopReplication();
    const place = replicaOf(primary.scratch);
    const sections = [...objectsIn(place, 'log/').keys()].filter((key) => !key.includes('.')).sort();
    const lost = objectPath(place, sections.at(-1)!);
    renameSync(lost, join(primary.scratch, 'lost'));
    await server.start();
    await scene.shows(2);
    const health = await scene.healthUntil(({ condition }) => condition === 'gap ahead');
    expect(health.gap).toMatchObject({ timeline: 1, to: health.gap!.from + 16 * 1024 * 1024 });
    expect(health.problem).toContain('is missing from');
    expect(health.behindBytes).toBeGreaterThan(0);
    renameSync(join(primary.scratch, 'lost'), lost);
    await scene.shows(4);
    expect(await scene.healthUntil(({ behindBytes }) => behindBytes === 0)).toMatchObject({ condition: 'healthy', gap: undefined });
  });

  it('says that it lags, that it is stalled, that nobody replicates, and that it is broken', async () => {
    const scene = await StandbyScene.create();
    await scene.run({ ...STANDBY_LIMITS, lagBytes: 10_000, stallSeconds: 1_000 });
    const { primary, server } = scene;
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    await server.sql('SELECT pg_wal_replay_pause()');
    await primary.server.sql('INSERT INTO t SELECT generate_series(1, 5000)');
    // In seconds from when the end of the transaction is stored.
    const isBehind = ({ behindSeconds = 0 }: StandbyHealth): boolean => behindSeconds > 0;
    const lagging = await scene.healthUntil((health) => health.condition === 'lagging' && isBehind(health));
    expect(lagging.behindBytes).toBeGreaterThan(10_000);
    await scene.standby.close();
    await scene.open({ ...STANDBY_LIMITS, stallSeconds: 0.1 });
    const stalled = await scene.healthUntil(({ condition }) => condition === 'stalled');
    expect(stalled.problem).toContain('has replayed nothing');
    await server.sql('SELECT pg_wal_replay_resume()');
    await scene.healthUntil(({ condition, behindBytes }) => condition === 'healthy' && behindBytes === 0);
    await scene.stopReplication();
    await scene.standby.close();
    await scene.open(STANDBY_LIMITS, () => new Date(Date.now() + HOUR_MS));
    const alone = await scene.healthUntil(({ condition }) => condition === 'stalled');
    expect(alone).toMatchObject({ behindBytes: 0 });
    expect(alone.problem).toContain('has not looked at its source');
    await server.sql('SELECT pg_promote()');
    expect(await scene.healthUntil(({ condition }) => condition === 'broken')).toMatchObject({
      problem: expect.stringContaining('promoted'),
    });
    await server.stop();
    expect(await scene.healthUntil(({ replayed }) => replayed === undefined)).toMatchObject({ condition: 'broken' });
  });
});

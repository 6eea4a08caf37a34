// The way back: after an unplanned failover the old primary's divergent log is exported, its repository follows the new site's, and its
// directory becomes a standby of the new primary by fetching what differs.

import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { captureLog } from '../../../agents/postgres/capture.ts';
import { exportDivergence } from '../../../agents/standby/export-divergence.ts';
import { makeStandby } from '../../../agents/standby/make-standby.ts';
import { Standby } from '../../../agents/standby/standby.ts';
import { readClusterFacts } from '../../../src/engine/cluster-facts.ts';
import { RestoreProgress } from '../../../src/engine/restore-progress.ts';
import { formatLsn } from '../../../src/model/lsn.ts';
import { releaseReplica } from '../../../src/replica/replica-status.ts';
import { postgresPrograms } from '../../support/postgres.ts';
import { ASSET, PROGRAM, until } from '../../support/protected-cluster.ts';
import { rejoin } from '../../support/replicating.ts';
import { NEVER, StandbyScene } from '../../support/standby-scene.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('an old primary', () => {
  it('becomes a standby of the new one, with its divergent commits kept, and fetches little', async () => {
    const scene = await StandbyScene.create();
    const { primary } = scene;
    await primary.server.sql('CREATE TABLE big AS SELECT g AS n, repeat(md5(g::text), 8) AS text FROM generate_series(1, 60000) g');
    await primary.base();
    await primary.caughtUp();
    await scene.copied();
    await scene.run();
    await primary.server.sql('INSERT INTO t VALUES (1)');
    await scene.shows(1);
    // Cut off: what it commits now exists at the old site only.
    await scene.stopReplication();
    const { view } = (await readClusterFacts(scene.replica, ASSET))!;
    const sealed = { timeline: 1, lsn: formatLsn(Math.max(...view.stretches.map(({ to }) => to))) };
    await primary.server.sql('INSERT INTO t VALUES (2)');
    await primary.caughtUp();
    await primary.server.stop('SIGKILL');
    await primary.stop();

    const { standby, server: b } = scene;
    await standby.catchUp(sealed, NEVER);
    await b.sql('SELECT pg_promote()');
    await standby.promoted(NEVER);
    await releaseReplica(scene.replica.store, scene.replica.keyring, { by: 'test', reason: 'A is cut off', signal: NEVER });
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const capturing = captureLog({
      address: b.address(),
      repository: scene.replica,
      asset: ASSET,
      slot: 'holdfast',
      host: 'b',
      policy: { bytes: 1, ms: 50 },
      now: () => new Date(),
      signal: stop.signal,
      events: { onStreaming() {}, onProgress() {}, onGap() {}, onTimeline() {}, onTablespace() {}, onTrouble() {} },
    });
    await b.sql('INSERT INTO t VALUES (3)');
    await until(async () => (await readClusterFacts(scene.replica, ASSET))!.view.stretches.some(({ timeline }) => timeline === 2));

    const { directory: dataDirectory } = primary.server;
    const kept = await exportDivergence({
      asset: ASSET,
      dataDirectory,
      programs: primary.programs,
      segmentBytes: 16 * 1024 * 1024,
      version: 15,
      sealed,
      directory: join(primary.scratch, 'divergence'),
      now: () => new Date(),
    });
    expect(kept!.divergence).toMatchObject({ from: sealed.lsn, committed: 1, rows: { kind: 'not listed' } });
    expect(await rejoin(primary.scratch)).toMatchObject({ kind: 'joined' });
    const progress = new RestoreProgress();
    const cluster = (await readClusterFacts(primary.repository, ASSET))!;
    const facts = await makeStandby({
      repository: primary.repository,
      cluster,
      asset: ASSET,
      dataDirectory,
      delta: true,
      tablespaces: {},
      programs: primary.programs,
      program: [PROGRAM],
      threads: 1,
      now: () => new Date(),
      signal: NEVER,
      progress,
    });
    expect(facts.timeline).toBe(2);
    // The table lies there already.
    expect(progress.bytesKept).toBeGreaterThan(10 * progress.bytesFetched);
    const back = await Standby.open({
      repository: primary.repository,
      dataDirectory,
      address: primary.server.address(),
      program: [PROGRAM],
      now: () => new Date(),
      onTrouble: () => {},
    });
    onTestFinished(() => back.close());
    await primary.server.start();
    await until(async () => (await scene.rows(primary.server)).join() === '1,3');
    // And it goes on: more of the new timeline comes, and a planned way back would find it there.
    await b.sql('INSERT INTO t VALUES (4)');
    const end = (await b.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]!;
    await until(async () => {
      await rejoin(primary.scratch);
      return (await primary.server.sql(`SELECT pg_last_wal_replay_lsn() >= '${end}'`))[0]![0] === 't';
    });
    expect(await scene.rows(primary.server)).toEqual([1, 3, 4]);
    expect(await back.health(NEVER)).toMatchObject({ timeline: 2, gap: undefined });
    stop.abort();
    await capturing;
  });
});

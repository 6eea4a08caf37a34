// The accidents that were measured on real servers before there was a standby, each of which lost rows without an error.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { captureLog } from '../../../agents/postgres/capture.ts';
import { Fault } from '../../../src/base/faults.ts';
import { readClusterFacts } from '../../../src/engine/cluster-facts.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeOwned, postgresPrograms, removeScratch, serverUser, TestServer } from '../../support/postgres.ts';
import { ASSET, until } from '../../support/protected-cluster.ts';
import { StandbyScene } from '../../support/standby-scene.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('a standby', () => {
  it('does not follow the timeline of a drill that was promoted and archived, and takes a number of its own when it is promoted', async () => {
    const scene = await StandbyScene.create();
    await scene.run();
    const { primary, server } = scene;
    await primary.server.sql('INSERT INTO t SELECT generate_series(1, 100)');
    await scene.shows(100);
    await server.stop();
    const restored = await primary.restore({ kind: 'latest' });
    restored.sql.close();
    await restored.finish();
    await restored.server.stop();
    removeScratch(restored.sandbox);
    const drill = new TestServer(primary.programs, restored.dataDirectory, makeOwned(join(primary.scratch, 'drill-socket')));
    onTestFinished(() => drill.stop('SIGQUIT'));
    await drill.start();
    await primary.server.sql('INSERT INTO t SELECT generate_series(101, 200)');
    await primary.caughtUp();
    await primary.stop();
    // Its archiving was left on.
    await drill.sql('INSERT INTO t VALUES (-1)');
    const stop = new AbortController();
    const capturing = captureLog({
      address: drill.address(),
      repository: primary.repository,
      asset: ASSET,
      slot: 'drill',
      host: 'drill',
      policy: { bytes: 1, ms: 50 },
      now: () => new Date(),
      signal: stop.signal,
      events: { onStreaming() {}, onProgress() {}, onGap() {}, onTimeline() {}, onTablespace() {}, onTrouble() {} },
    });
    await until(async () =>
      (await readClusterFacts(primary.repository, ASSET))!.view.stretches.some(({ timeline }) => timeline === 2),
    );
    stop.abort();
    await capturing;
    await drill.stop('SIGKILL');
    await scene.copied();
    await server.start();
    await scene.shows(200);
    const health = await scene.healthUntil(({ behindBytes }) => behindBytes === 0);
    expect(health).toMatchObject({ condition: 'healthy', timeline: 1, note: expect.stringContaining('timeline 2') });
    expect(await scene.rows()).not.toContain(-1);
    await server.sql('SELECT pg_promote()');
    await until(async () => (await server.sql('SELECT pg_is_in_recovery()'))[0]![0] === 'f');
    expect((await server.sql('SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)'))[0]).toEqual(['00000003']);
    expect(await scene.rows()).toHaveLength(200);
  });

  it('that is promoted while its store fails waits for the log that is there, and loses nothing of it', async () => {
    let isFailing = false;
    let failures = 0;
    const wrap = (store: ObjectStore): ObjectStore =>
      new Proxy(store, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            const isLog = ['get', 'size', 'read', 'list'].includes(String(name)) && String(args[0]).startsWith('log');
            if (!isFailing || !isLog) return value.apply(target, args) as unknown;
            failures++;
            throw new Fault('STORE_UNREACHABLE', 'The store does not answer');
          };
        },
      });
    const scene = await StandbyScene.create(wrap);
    await scene.run();
    const { primary, server } = scene;
    await primary.server.sql('INSERT INTO t SELECT generate_series(1, 10)');
    await scene.shows(10);
    isFailing = true;
    for (let n = 0; n < 3; n++) {
      await primary.server.sql(`INSERT INTO t SELECT generate_series(${11 + n * 10}, ${20 + n * 10})`);
      await primary.server.sql('SELECT pg_switch_wal()');
    }
    await primary.caughtUp();
    await scene.copied();
    const asked = spawnSync(join(primary.programs, 'pg_ctl'), ['promote', '-W', '-D', server.directory], {
      ...serverUser(),
      cwd: '/',
    });
    expect(asked.status).toBe(0);
    // It asks its helper, which does not say that there is no more.
    const before = failures;
    await until(() => failures > before + 5 && scene.standby.trouble?.code === 'STORE_UNREACHABLE');
    expect((await server.sql('SELECT pg_is_in_recovery()'))[0]).toEqual(['t']);
    isFailing = false;
    await until(async () => (await server.sql('SELECT pg_is_in_recovery()'))[0]![0] === 'f');
    expect(await scene.rows()).toHaveLength(40);
  });
});

// The oldest PostgreSQL that is protected begins and ends a base backup by other functions than newer ones, is asked for one in other words,
// and writes log of another form. `ops/test-postgres 13` runs all tests against it; this is the part for which every run has time.

import { describe, expect, it } from 'vitest';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import { hasOldest, oldestPrograms } from '../support/packaged-postgres.ts';
import { column, LATEST, ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';

describe.skipIf(!hasOldest())('the oldest server that is protected', () => {
  it('comes back to an instant from files that were read here, and to a restore point from files that it sent itself', async () => {
    const settings = { max_prepared_transactions: '2' };
    const cluster = await ProtectedCluster.create({ settings, programs: oldestPrograms });
    const { server } = cluster;
    expect((await server.connect()).version).toBe(13);
    await server.sql('CREATE TABLE t (n int)');
    await server.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'");
    await cluster.start();
    expect(baseFactsOf(cluster.bases[0]!).streamedFor).toBeUndefined();
    await server.sql("COMMIT PREPARED 'one'");
    const time = await serverClock(server);
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    const then = await cluster.restore({ kind: 'time', time });
    expect(await column(then, 'SELECT n FROM t')).toEqual(['1']);
    await then.close();

    const streamed = await cluster.base(undefined, { stream: true });
    expect(baseFactsOf(streamed).streamedFor).toBe('it was asked for');
    await server.sql("SELECT pg_create_restore_point('here')");
    await server.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    const plan = await cluster.plan({ kind: 'point', name: 'here' });
    expect(plan).toMatchObject({ base: { snapshot: streamed.id } });
    const here = await cluster.restore({ kind: 'point', name: 'here' });
    expect(await column(here, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2']);
    await here.close();
    const latest = await cluster.restore(LATEST, { dataDirectory: here.dataDirectory });
    expect(await column(latest, 'SELECT count(*) FROM t')).toEqual(['3']);
    await latest.close();
  });

  it('is captured on from its standby, which sends nothing before it was asked who it is', async () => {
    const cluster = await ProtectedCluster.create({ programs: oldestPrograms });
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    const standby = await cluster.standby('second');
    await cluster.start();
    await cluster.caughtUp();
    await cluster.stop();
    await primary.sql('INSERT INTO t VALUES (1)');
    const end = Number((await primary.sql("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text"))[0]![0]);
    cluster.server = standby;
    cluster.begin();
    await until(
      () => (cluster.status?.durable ?? 0) >= end,
      () => cluster.troubles.join('; '),
    );
    await cluster.stop();
    const latest = await cluster.restore(LATEST);
    expect(await column(latest, 'SELECT n FROM t')).toEqual(['1']);
    await latest.close();
  });
});

// What happens to the log when a standby takes over: nothing that was stored is lost, nothing that was not is invented, on either side.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { newRepository } from '../support/new-repository.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';
import { scratchDirectory } from '../support/scratch.ts';

const programs = postgresPrograms();

async function rows(sql: {
  query: (text: string) => Promise<{ rows: readonly (readonly (string | null)[])[] }>;
}): Promise<string[]> {
  return (await sql.query('SELECT n FROM t ORDER BY n')).rows.map(([n]) => n!);
}

describe.skipIf(programs === undefined)('a failover', () => {
  it('while capture is away loses nothing: the rest of the old timeline is taken from the new primary', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    await cluster.start();
    const standby = await cluster.standby('second');
    await primary.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    await cluster.stop();
    await primary.sql('INSERT INTO t VALUES (2)');
    const between = await serverClock(primary);
    await primary.sql('INSERT INTO t VALUES (3)');
    const position = (await primary.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]!;
    await until(async () => (await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${position}'`))[0]![0] === 't');
    await primary.stop('SIGKILL');
    // Another node has had the number 2 meanwhile.
    writeFileSync(join(standby.directory, 'pg_wal/00000002.history'), '1\t0/1000000\telsewhere\n');
    await standby.sql('SELECT pg_promote()');
    cluster.server = standby;
    cluster.begin();
    await standby.sql('INSERT INTO t VALUES (4)');
    await cluster.caughtUp();
    expect(cluster.gaps).toEqual([]);
    expect(cluster.timelines).toEqual([3]);
    const then = await cluster.restore({ kind: 'time', time: between });
    expect(await rows(then.sql)).toEqual(['1', '2']);
    await then.close();
    const now = await cluster.restore({ kind: 'latest' });
    expect(await rows(now.sql)).toEqual(['1', '2', '3', '4']);
    expect(now.timeline).toBeGreaterThan(3);
    await now.close();
  });

  it('to a standby that was behind: what only the dead primary had stays on its own timeline, and can be had from there', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await primary.sql('INSERT INTO t VALUES (1)');
    const standby = await cluster.standby('second');
    await standby.stop();
    await primary.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    await primary.stop('SIGKILL');
    await cluster.stop();
    standby.configure({ primary_conninfo: '' });
    await standby.start();
    await standby.sql('SELECT pg_promote()');
    cluster.server = standby;
    cluster.begin();
    await standby.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    const now = await cluster.restore({ kind: 'latest' });
    expect(await rows(now.sql)).toEqual(['1', '3']);
    await now.close();
    const old = await cluster.restore({ kind: 'latest' }, { timeline: 1 });
    expect(await rows(old.sql)).toEqual(['1', '2']);
    await old.close();
  });
});

it('a second timeline under one number is refused: both histories cannot be true', async () => {
  const repository = await newRepository(scratchDirectory());
  const keeper = new LogCatalogueKeeper(repository, repository.keyring.assetId('pg'));
  const history = { incarnation: '0123456789abcdef', timeline: 2, ancestors: [{ timeline: 1, until: 100 }], file: 'MQ==' };
  await keeper.addHistory(history);
  await keeper.addHistory(history);
  expect((await keeper.read()).histories).toHaveLength(1);
  await expect(keeper.addHistory({ ...history, ancestors: [{ timeline: 1, until: 50 }], file: 'Mg==' })).rejects.toMatchObject({
    code: 'LOG_FORKED',
  });
});

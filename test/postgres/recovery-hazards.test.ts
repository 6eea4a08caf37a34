// What a cluster does to itself on the way from the base backup to the wanted time, and what another host makes of it.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { majorOf, makeOwned, postgresPrograms } from '../support/postgres.ts';
import { ProtectedCluster, type Restored, serverClock } from '../support/protected-cluster.ts';

const programs = postgresPrograms();
const major = programs === undefined ? 0 : majorOf(programs);
const column = async (restored: Restored, query: string): Promise<(string | null | undefined)[]> =>
  (await restored.sql.query(query)).rows.map(([value]) => value);

describe.skipIf(programs === undefined)('a recovery over', () => {
  it('raised parameters takes the highest that were seen on the way, as a standby must', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    const raised = { max_connections: 130, max_worker_processes: 11, max_prepared_transactions: 3, max_locks_per_transaction: 80 };
    for (const [name, value] of Object.entries(raised)) await server.sql(`ALTER SYSTEM SET ${name} = ${value}`);
    await server.stop();
    await server.start();
    await server.sql('INSERT INTO t VALUES (1)');
    // Lower again: the log between still needs the higher ones.
    await server.sql('ALTER SYSTEM RESET ALL');
    await server.stop();
    await server.start();
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'latest' });
    expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2']);
    for (const [name, value] of Object.entries(raised))
      expect(await column(restored, `SHOW ${name}`), name).toEqual([String(value)]);
    expect(restored.collations).toEqual([]);
    // Handed over, it has what it was told itself.
    await restored.finish();
    expect(readFileSync(join(restored.dataDirectory, 'postgresql.auto.conf'), 'utf8')).not.toMatch(/^max_/m);
    await restored.close();
  });

  it('databases that come and go, and prepared and open transactions, gives those of the time and no others', async () => {
    const cluster = await ProtectedCluster.create({ settings: { max_prepared_transactions: '5' } });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await server.sql('CREATE DATABASE old');
    await server.sql('CREATE TABLE inside AS SELECT 1 AS n', 'old');
    await cluster.start();
    const long = await server.connect();
    await long.query('BEGIN; INSERT INTO t VALUES (1)');
    await server.sql("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'p'");
    await server.sql('INSERT INTO t VALUES (3)');
    const before = await serverClock(server);
    await server.sql('DROP DATABASE old');
    await server.sql(`CREATE DATABASE fresh ${major >= 15 ? 'STRATEGY file_copy' : ''}`);
    await server.sql('CREATE TABLE inside AS SELECT 2 AS n', 'fresh');
    const between = await serverClock(server);
    await server.sql('DROP DATABASE fresh');
    await server.sql("COMMIT PREPARED 'p'");
    await long.query('COMMIT');
    long.close();
    await cluster.caughtUp();
    const databases = "SELECT datname FROM pg_database WHERE datname IN ('old', 'fresh')";
    for (const [time, exists] of [
      [before, 'old'],
      [between, 'fresh'],
    ] as const) {
      const restored = await cluster.restore({ kind: 'time', time });
      expect(await column(restored, databases)).toEqual([exists]);
      expect(await column(restored, 'SELECT n FROM t')).toEqual(['3']);
      // Still to be decided, as it was then: neither lost nor done.
      expect(await column(restored, 'SELECT gid FROM pg_prepared_xacts')).toEqual(['p']);
      const inside = await restored.server.addressOf(exists);
      const sql = await PgConnection.open({ address: inside });
      expect(await sql.value('SELECT n FROM inside')).toBe(exists === 'old' ? '1' : '2');
      sql.close();
      await restored.sql.query("COMMIT PREPARED 'p'");
      expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['2', '3']);
      await restored.close();
    }
    const now = await cluster.restore({ kind: 'latest' });
    expect(await column(now, databases)).toEqual([]);
    expect(await column(now, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2', '3']);
    await now.close();
  });

  it('the end of the very role and database that the backup was made by is looked at by others', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE ROLE capturer SUPERUSER LOGIN');
    await server.sql('CREATE DATABASE passing');
    const address = server.address.bind(server);
    server.address = (database = 'passing') => ({ ...address(database), user: 'capturer' });
    await cluster.start();
    await cluster.stop();
    server.address = address;
    cluster.begin();
    await server.sql('DROP DATABASE passing WITH (FORCE)');
    await server.sql('DROP ROLE capturer');
    await server.sql('CREATE TABLE t AS SELECT 1 AS n');
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'latest' });
    expect(restored.server.address).toMatchObject({ user: 'postgres', database: 'template1' });
    await restored.close();
  });
});

describe.skipIf(programs === undefined)('on a host where text sorts otherwise', () => {
  it('a restored cluster is handed over with a warning for each collation, also for one that is not there at all', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const sorting = major >= 15 ? "LOCALE_PROVIDER icu ICU_LOCALE 'und'" : "LC_COLLATE 'C.UTF-8'";
    await server.sql(`CREATE DATABASE sorted TEMPLATE template0 ${sorting}`);
    await server.sql('CREATE TABLE t (a text COLLATE "de-x-icu")', 'sorted');
    await server.sql('CREATE DATABASE elsewhere');
    await cluster.start();
    // As if all of it had been written with other libraries.
    await server.sql(`UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'de-x-icu'`, 'sorted');
    if (major >= 15) await server.sql(`UPDATE pg_database SET datcollversion = '0.2' WHERE datname = 'sorted'`);
    else await server.sql(`UPDATE pg_collation SET collversion = '0.2' WHERE collcollate ILIKE 'c.utf%8'`, 'sorted');
    await server.sql(`UPDATE pg_database SET datcollate = 'xx_XX.UTF-8', datctype = 'xx_XX.UTF-8' WHERE datname = 'elsewhere'`);
    await cluster.caughtUp();
    const { collations, close } = await cluster.restore({ kind: 'latest' });
    expect(collations).toEqual([
      expect.stringMatching(/collations of the database "elsewhere" cannot be compared .*locale/),
      expect.stringMatching(/Text in the database "sorted" was sorted by version 0\.2, .* REINDEX DATABASE "sorted"/),
      expect.stringMatching(/Text with the collation pg_catalog\."de-x-icu" in "sorted" was sorted by version 0\.1/),
    ]);
    await close();
  });
});

describe.skipIf(programs === undefined)('a restored copy of a configuration', () => {
  it('that names production’s own directory and includes what is not on this host leads to neither, and what lay elsewhere lies beside', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const elsewhere = makeOwned(join(cluster.scratch, 'etc'));
    writeFileSync(join(elsewhere, 'more.conf'), "work_mem = '5MB'\n");
    const pidFile = join(elsewhere, 'server.pid');
    server.configure({ data_directory: server.directory, external_pid_file: pidFile, include_dir: elsewhere });
    await server.stop();
    await server.start();
    await server.sql('CREATE TABLE t AS SELECT 1 AS n');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    renameSync(elsewhere, `${elsewhere}-gone`);
    // Production runs meanwhile, and nothing of it is touched.
    const restored = await cluster.restore({ kind: 'latest' });
    expect(await column(restored, 'SHOW data_directory')).toEqual([restored.dataDirectory]);
    expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2']);
    expect(existsSync(pidFile)).toBe(false);
    const main = readFileSync(join(restored.dataDirectory, 'postgresql.conf'), 'utf8');
    expect(main).not.toMatch(/^\s*(data_directory|external_pid_file|include_dir)/m);
    const kept = join(`${restored.dataDirectory}-configuration`, elsewhere, 'more.conf');
    expect(readFileSync(kept, 'utf8')).toBe("work_mem = '5MB'\n");
    await restored.close();
  });

  it('that lay elsewhere altogether, with log in long segments, is not missed', async () => {
    const cluster = await ProtectedCluster.create({ walSegmentMib: 64 });
    const { server } = cluster;
    // It runs on without it, as one whose file lies in /etc does.
    rmSync(join(server.directory, 'postgresql.conf'));
    await server.sql('CREATE TABLE t AS SELECT 1 AS n');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'latest' });
    expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2']);
    await restored.close();
  });
});

// Restores over what is there already: only what differs is fetched, and nothing of another history stays.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DataDirectory } from '../../agents/postgres/data-directory.ts';
import { placeTablespaces } from '../../agents/postgres/restore-base.ts';
import { makeOwned, postgresPrograms, TestServer } from '../support/postgres.ts';
import { column, LATEST, ProtectedCluster, protectedWithData, serverClock } from '../support/protected-cluster.ts';
import { scratchDirectory } from '../support/scratch.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('a restore over the directory of the cluster itself', () => {
  it('fetches only what differs, removes what the backup does not have, and puts tablespaces back in their places', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const place = makeOwned(join(cluster.scratch, 'space'));
    await server.sql(`CREATE TABLESPACE space LOCATION '${place}'`);
    await server.sql('CREATE TABLE big AS SELECT g AS n, md5(g::text) AS text FROM generate_series(1, 150000) g');
    await server.sql('CREATE TABLE there TABLESPACE space AS SELECT generate_series(1, 1000) AS n');
    await server.sql('VACUUM (FREEZE) big');
    await cluster.start();
    await server.sql('DELETE FROM there WHERE n > 10');
    const wanted = await serverClock(server);
    await server.sql('UPDATE big SET text = NULL WHERE n % 10000 = 0; DROP TABLE there');
    await server.sql('CREATE TABLE later AS SELECT 1 AS n');
    await server.sql('SELECT pg_switch_wal()');
    await server.sql('INSERT INTO later VALUES (2)');
    await cluster.caughtUp();
    await cluster.stop();
    await server.stop();
    const log = makeOwned(join(cluster.scratch, 'log-disk'));
    const data = server.directory;
    // The log on a disk of its own.
    spawnSync('sh', ['-c', `mv "${data}"/pg_wal/* "${log}" && rmdir "${data}/pg_wal" && ln -s "${log}" "${data}/pg_wal"`]);
    const strangers = ['base/1/99999', 'pg_wal/000000090000000000000001', 'notes.txt', 'a/b/c'].map((name) => join(data, name));
    mkdirSync(join(data, 'a/b'), { recursive: true });
    for (const path of strangers) writeFileSync(path, 'stranger');
    rmSync(join(data, 'base/1/PG_VERSION'));
    const restored = await cluster.restore({ kind: 'time', time: wanted }, { dataDirectory: data, delta: true });
    expect(strangers.filter((path) => existsSync(path))).toEqual([]);
    expect(await column(restored, 'SELECT count(text) FROM big')).toEqual(['150000']);
    expect(await column(restored, 'SELECT count(*) FROM there')).toEqual(['10']);
    expect(await column(restored, "SELECT to_regclass('later')")).toEqual([null]);
    const oid = (await column(restored, "SELECT oid FROM pg_tablespace WHERE spcname = 'space'"))[0]!;
    expect(readlinkSync(join(data, 'pg_tblspc', oid))).toBe(place);
    expect(readlinkSync(join(data, 'pg_wal'))).toBe(log);
    const { bytesFetched, bytesKept, baseBytes } = restored.progress;
    expect(bytesKept).toBeGreaterThan(baseBytes * 0.8);
    expect(bytesFetched).toBeLessThan(baseBytes * 0.2);
    await restored.finish();
    await restored.server.stop();
    // Handed over: it starts like any other.
    await server.start();
    expect((await server.sql('SELECT count(*) FROM there'))[0]).toEqual(['10']);
  });

  it('is refused while a server runs in it, for another cluster, for a directory of anything else, and without being asked for', async () => {
    const cluster = await protectedWithData(10);
    const { server } = cluster;
    await cluster.caughtUp();
    const control = (): Buffer => readFileSync(join(server.directory, 'global/pg_control'));
    const refused = (dataDirectory: string, message: RegExp, delta = true): Promise<void> =>
      expect(cluster.restore(LATEST, { dataDirectory, delta })).rejects.toMatchObject({
        code: 'TARGET_OCCUPIED',
        message: expect.stringMatching(message),
      });
    await refused(server.directory, new RegExp(`a server runs in .* \\(process ${server.pid}\\)`, 'i'));
    // Its lock file says nothing: the process does.
    rmSync(join(server.directory, 'postmaster.pid'));
    await refused(server.directory, /a server runs in/i);
    await cluster.stop();
    await server.stop('SIGKILL');
    const before = control();
    await refused(server.directory, /is not empty/, false);
    const other = await TestServer.create(programs!, cluster.scratch, 'other');
    await other.stop();
    await refused(other.directory, /is the cluster \d+; the backup is of the cluster \d+/);
    const documents = join(cluster.scratch, 'documents');
    mkdirSync(documents);
    writeFileSync(join(documents, 'letter'), 'dear');
    await refused(documents, /not the data directory of a PostgreSQL cluster/);
    expect(readFileSync(join(documents, 'letter'), 'utf8')).toBe('dear');
    expect(control().equals(before)).toBe(true);
    // In production's own directory it would be a part of production, and so would a tablespace.
    const inside = join(server.directory, 'inside');
    await expect(cluster.restore(LATEST, { dataDirectory: inside })).rejects.toMatchObject({
      code: 'TARGET_OCCUPIED',
      message: expect.stringMatching(/lies in the data directory of another cluster/),
    });
    expect(existsSync(inside)).toBe(false);
  });

  it('puts tablespaces where it is told to, but nowhere in a cluster, and none that is not there', () => {
    const directory = { path: '/nowhere/data', tablespaces: {}, isOld: false } as unknown as DataDirectory;
    const list = JSON.stringify([{ oid: '16384', location: '/srv/one' }]);
    expect(placeTablespaces(list, { 16384: '/nowhere/one' }, directory)).toEqual({ 16384: '/nowhere/one' });
    expect(() => placeTablespaces(list, { 16385: '/nowhere/one' }, directory)).toThrow(/no tablespace 16385/);
    const cluster = scratchDirectory();
    mkdirSync(join(cluster, 'global'));
    writeFileSync(join(cluster, 'PG_VERSION'), '15\n');
    expect(() => placeTablespaces(list, { 16384: join(cluster, 'one') }, directory)).toThrow(/data directory of another cluster/);
  });
});

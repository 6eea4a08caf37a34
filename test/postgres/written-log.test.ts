// The log of a server on this host is read from its files: no sender of the server takes part, and whatever a sender would see to is seen to.

import { mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readControlFile } from '../../agents/postgres/local-cluster.ts';
import { readSegment } from '../../agents/postgres/log-segments.ts';
import { WrittenLog } from '../../agents/postgres/written-log.ts';
import { segmentName } from '../../src/model/lsn.ts';
import { canSummarize, summarizingPrograms } from '../support/packaged-postgres.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { column, LATEST, ProtectedCluster, until } from '../support/protected-cluster.ts';
import { scratchDirectory } from '../support/scratch.ts';

const programs = postgresPrograms();
const SEGMENT = 16 * 1024 * 1024;

async function protectedTable(settings: Readonly<Record<string, string>> = {}): Promise<ProtectedCluster> {
  const cluster = await ProtectedCluster.create({ settings });
  await cluster.server.sql('CREATE TABLE t (n int)');
  await cluster.start();
  await cluster.server.sql('INSERT INTO t VALUES (1)');
  await cluster.caughtUp();
  return cluster;
}

async function rows(cluster: ProtectedCluster): Promise<string[]> {
  const restored = await cluster.restore(LATEST);
  try {
    return (await column(restored, 'SELECT n FROM t ORDER BY n')) as string[];
  } finally {
    await restored.close();
  }
}

describe.skipIf(programs === undefined)('a log that is read from its files', () => {
  it('needs no sender, and its slot moves on with what is stored', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    const restartPosition = async (): Promise<number> =>
      Number((await server.sql("SELECT (restart_lsn - '0/0'::pg_lsn)::text FROM pg_replication_slots"))[0]![0]);
    const before = await restartPosition();
    for (let n = 0; n < 3; n++)
      await server.sql("CREATE TABLE big AS SELECT repeat('y', 1000) FROM generate_series(1, 20000); DROP TABLE big");
    await cluster.caughtUp();
    expect(await server.sql('SELECT pid FROM pg_stat_replication')).toEqual([]);
    await until(async () => (await restartPosition()) > before + SEGMENT);
    expect(await restartPosition()).toBeLessThanOrEqual(cluster.status!.durable);
    expect(await rows(cluster)).toEqual(['1']);
    expect(cluster.troubles).toEqual([]);
  });

  it('is stored to its end when the server is shut down in order, and goes on where it starts again', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    const session = await server.connect();
    // What is written last, as the server ends: nobody can read it by SQL any more.
    await session.query('INSERT INTO t VALUES (2)');
    session.close();
    await server.stop();
    const { checkpoint, isShutDown } = readControlFile(Buffer.from(server.directory).toString('latin1'))!;
    expect(isShutDown).toBe(true);
    const end = async (): Promise<number> => (await cluster.facts()).view.stretches.at(-1)!.to;
    await until(async () => (await end()) > checkpoint);
    expect(await rows(cluster)).toEqual(['1', '2']);
    await server.start();
    await server.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    expect(await rows(cluster)).toEqual(['1', '2', '3']);
    expect(cluster.gaps).toEqual([]);
  });

  it('is stored to its end, too, when the capture is ended right behind the server', async () => {
    const cluster = await protectedTable();
    await cluster.server.sql('INSERT INTO t VALUES (2)');
    await cluster.server.stop();
    await cluster.stop();
    const { checkpoint } = readControlFile(Buffer.from(cluster.server.directory).toString('latin1'))!;
    expect((await cluster.facts()).view.stretches.at(-1)!.to).toBeGreaterThan(checkpoint);
    expect(await rows(cluster)).toEqual(['1', '2']);
  });

  it('goes on after a crash of the server', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    await server.sql('INSERT INTO t VALUES (2)');
    await server.stop('SIGKILL');
    await server.start();
    await server.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    expect(await rows(cluster)).toEqual(['1', '2', '3']);
    expect(cluster.gaps).toEqual([]);
  });

  it('loses nothing when its slot is dropped, or its session is ended', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    await server.sql("SELECT pg_drop_replication_slot('holdfast')");
    await until(() => cluster.troubles.some((text) => /"holdfast" was dropped/.test(text)));
    await server.sql('INSERT INTO t VALUES (2)');
    await until(async () => (await server.sql('SELECT slot_name FROM pg_replication_slots')).length === 1);
    await server.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_current_wal_flush_lsn%' AND pid <> pg_backend_pid()",
    );
    await server.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    expect(await rows(cluster)).toEqual(['1', '2', '3']);
    expect(cluster.gaps).toEqual([]);
  });

  it('is left to a sender from when commits wait for one', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    await server.sql("ALTER SYSTEM SET synchronous_standby_names = 'holdfast'");
    await server.sql('SELECT pg_reload_conf()');
    // Comes back when it is stored.
    await server.sql('INSERT INTO t VALUES (2)');
    await until(async () => (await server.sql("SELECT pid FROM pg_stat_replication WHERE sync_state = 'sync'")).length === 1);
    await server.sql('INSERT INTO t VALUES (3)');
    expect(await rows(cluster)).toEqual(['1', '2', '3']);
  });

  it.skipIf(!canSummarize())('is left to a sender where logical senders wait for its slot (17 and newer)', async () => {
    const cluster = await ProtectedCluster.create({
      programs: summarizingPrograms,
      settings: { synchronized_standby_slots: 'other, holdfast' },
    });
    await cluster.start();
    expect(await cluster.server.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'holdfast'")).toEqual([['t']]);
  });

  it('has one reader for a slot', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    const other = await server.connect();
    await cluster.stop();
    await until(async () => (await other.value("SELECT pg_try_advisory_lock(hashtext('holdfast'), hashtext('holdfast'))")) === 't');
    cluster.begin();
    await until(() => cluster.troubles.some((text) => /Somebody else reads the log that the slot "holdfast" keeps/.test(text)));
    other.close();
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
  });

  it('is in nobody’s way: databases are dropped and copied, and a server that waits for its sessions ends', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE DATABASE orders');
    cluster.database = 'orders';
    await cluster.start();
    expect(await server.sql('SELECT pid FROM pg_stat_replication')).toEqual([]);
    await server.sql('CREATE DATABASE copied TEMPLATE orders');
    await server.sql('DROP DATABASE orders WITH (FORCE)');
    cluster.database = 'copied';
    await cluster.stop();
    cluster.begin();
    await cluster.caughtUp();
    await server.stop('SIGTERM');
    const { checkpoint } = readControlFile(Buffer.from(server.directory).toString('latin1'))!;
    await until(async () => (await cluster.facts()).view.stretches.at(-1)!.to > checkpoint);
  });

  it('is none of a timeline that the server does not write', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await cluster.start();
    await cluster.stop();
    const sql = await server.connect();
    const { signal } = new AbortController();
    const of = { sql, dataDirectory: server.directory, slot: 'holdfast', segmentBytes: SEGMENT, position: SEGMENT, signal };
    await expect(WrittenLog.start({ ...of, timeline: 2 })).rejects.toMatchObject({ code: 'PG_CONCERN' });
    expect(await (await WrittenLog.start({ ...of, timeline: 1 })).next()).toMatchObject({ kind: 'data', start: SEGMENT });
    sql.close();
  });

  it('is asked of the server where its file is not to be had here', async () => {
    const cluster = await protectedTable();
    const { server } = cluster;
    await cluster.stop();
    const position = Number((await server.sql("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text"))[0]![0]);
    const file = join(server.directory, 'pg_wal', segmentName(1, Math.floor(position / SEGMENT), SEGMENT));
    renameSync(file, `${file}.away`);
    mkdirSync(file);
    cluster.begin();
    await until(() => cluster.troubles.some((text) => /cannot be read here: EISDIR/.test(text)));
    renameSync(file, `${file}.directory`);
    renameSync(`${file}.away`, file);
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    expect(await rows(cluster)).toEqual(['1', '2']);
    expect(cluster.gaps).toEqual([]);
  });
});

it('a segment is read as far as its file goes, and not at all when there is none', async () => {
  const files = scratchDirectory();
  const name = segmentName(3, 7, SEGMENT);
  const place = { timeline: 3, position: 7 * SEGMENT + 100, segmentBytes: SEGMENT };
  expect(await readSegment(files, place, 10)).toBeUndefined();
  writeFileSync(join(files, name), Buffer.alloc(SEGMENT, 'log'));
  expect(await readSegment(files, place, 5)).toEqual(Buffer.from('oglog'));
  expect(await readSegment(files, { ...place, position: 8 * SEGMENT - 2 }, 5)).toHaveLength(2);
  truncateSync(join(files, name), 103);
  expect(await readSegment(files, place, 10)).toHaveLength(3);
});

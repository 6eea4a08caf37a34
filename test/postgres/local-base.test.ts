// Base backups whose files are read here: of the same shape as those that the server sends, sound after whatever happens to the files
// meanwhile, and never of another cluster.

import { chmodSync, cpSync, lchownSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BaseBackupSource } from '../../agents/postgres/base-source.ts';
import { findLocalCluster, hasBegunHere, type LocalCluster } from '../../agents/postgres/local-cluster.ts';
import { readServerFacts } from '../../agents/postgres/server-facts.ts';
import { openScanner } from '../../src/codec/open-scanner.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import { mustParseLsn } from '../../src/model/lsn.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { BrokenPage } from '../../src/worker/file-task.ts';
import { checkedRead } from '../../src/worker/page-check.ts';
import { makeOwned, postgresPrograms, serverUser } from '../support/postgres.ts';
import { column, ProtectedCluster } from '../support/protected-cluster.ts';

const programs = postgresPrograms();

/** What the two ways may differ in: files that the server writes anew for each backup, or at any time. */
const OF_ITS_OWN =
  /^data\/(?:backup_manifest|backup_label|tablespace_map|global\/pg_control|pg_stat\/.*|pg_logical\/.*|pg_xact\/.*|server\.log)$/;

async function shapeOf(cluster: ProtectedCluster, snapshot: Snapshot): Promise<Record<string, string>> {
  const shape: Record<string, string> = {};
  for await (const entry of entriesOf(snapshot.root.reference, cluster.repository.readNode)) {
    const { path, kind, mode, uid, gid, sizeBytes, linkTarget, content, mtimeSec } = entry;
    const isSame = !OF_ITS_OWN.test(path) && kind === 'file';
    shape[path] = [kind, mode.toString(8), uid, gid, linkTarget, ...(isSame ? [sizeBytes, content.kind, mtimeSec] : [])].join(' ');
  }
  return shape;
}

/** Does each of these once, when its file has been found and not yet been read. */
class OnFile extends BackupProgress {
  constructor(things: ReadonlyMap<string, () => void>) {
    super();
    const left = new Map(things);
    let current = '';
    Object.defineProperty(this, 'current', {
      get: () => current,
      set: (now: string) => {
        current = now;
        const path = now.replace(/^data\//, '');
        const then = left.get(path);
        left.delete(path);
        then?.();
      },
    });
  }
}

const onFile = (path: string, then: () => void): OnFile => new OnFile(new Map([[path, then]]));

/** In a process of its own: the test's thread waits. */
const run = ({ server }: ProtectedCluster, ...statements: readonly string[]): string =>
  server.run('psql', [
    ...[
      '-h',
      server.socketDirectory,
      '-p',
      String(server.port),
      '-U',
      'postgres',
      '-d',
      'postgres',
      '-v',
      'ON_ERROR_STOP=1',
      '-qAt',
    ],
    ...statements.flatMap((statement) => ['-c', statement]),
  ]);

const pathOf = async ({ server }: ProtectedCluster, table: string): Promise<string> =>
  (await server.sql(`SELECT pg_relation_filepath('${table}')`))[0]![0]!;

describe.skipIf(programs === undefined)('a base backup whose files are read here', () => {
  it('holds what the server would have sent, and nothing else', async () => {
    const cluster = await ProtectedCluster.create();
    const { server, scratch } = cluster;
    const space = makeOwned(join(scratch, 'space'));
    chmodSync(space, 0o700);
    await server.sql(`CREATE TABLESPACE apart LOCATION '${space}'`);
    await server.sql('CREATE TABLE in_space TABLESPACE apart AS SELECT generate_series(1, 20000) n');
    await server.sql('CREATE TABLE plain AS SELECT generate_series(1, 100000) n');
    await server.sql('CREATE UNLOGGED TABLE quick AS SELECT generate_series(1, 1000) n');
    await server.sql('CREATE UNLOGGED TABLE quick_apart TABLESPACE apart AS SELECT generate_series(1, 1000) n');
    for (const [name, text] of [
      ['base/pgsql_tmp/pgsql_tmp1.0', 'x'],
      ['pg_stat_tmp/x', 'x'],
      ['pg_notify/x', 'x'],
      ['extra.conf', 'x'],
      ['backup_label.old', 'x'],
    ] as const) {
      makeOwned(join(server.directory, name, '..'));
      writeFileSync(join(server.directory, name), text);
    }
    symlinkSync('/etc/hostname', join(server.directory, 'linked'));
    // The log on a disk of its own.
    await server.stop();
    renameSync(join(server.directory, 'pg_wal'), join(scratch, 'log'));
    const link = join(server.directory, 'pg_wal');
    symlinkSync(join(scratch, 'log'), link);
    const user = serverUser();
    if (user !== undefined) lchownSync(link, user.uid, user.gid);
    await server.start();
    const session = await server.connect();
    await session.query('CREATE TEMP TABLE mine AS SELECT generate_series(1, 1000) n');
    await server.sql('CHECKPOINT');
    const streamed = await cluster.base(undefined, { stream: true });
    const local = await cluster.base();
    expect([streamed.facts!['streamedFor'], local.facts!['streamedFor']]).toEqual(['it was asked for', undefined]);
    expect(await shapeOf(cluster, local)).toEqual(await shapeOf(cluster, streamed));
    for (const name of ['systemId', 'timeline', 'tablespaces', 'server', 'configuration'])
      expect(local.facts![name], name).toEqual(streamed.facts![name]);
    session.close();
  });

  it('is sound whatever is written, cut or removed while it is read', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    for (const name of ['dropped', 'cut', 'emptied', 'grown', 'kept', 'small'])
      await server.sql(
        `CREATE TABLE ${name} AS SELECT g AS n, md5(g::text) AS text FROM generate_series(1, ${name === 'small' ? 500 : 30000}) g`,
      );
    await server.sql('CREATE INDEX ON kept (text)');
    await server.sql('CHECKPOINT');
    await cluster.start();
    const during = {
      dropped: ['DROP TABLE dropped', 'CHECKPOINT'],
      cut: ['DELETE FROM cut WHERE n > 10000', 'VACUUM cut'],
      emptied: ['TRUNCATE emptied', 'CHECKPOINT'],
      grown: [
        "INSERT INTO grown SELECT g, 'new' FROM generate_series(30001, 60000) g",
        "UPDATE kept SET text = 'x' || n WHERE n % 7 = 0",
      ],
      small: ['DELETE FROM small WHERE n > 100', 'VACUUM small'],
    };
    const done: string[] = [];
    const things = new Map<string, () => void>();
    for (const [name, statements] of Object.entries(during))
      things.set(await pathOf(cluster, name), () => {
        run(cluster, ...statements);
        done.push(name);
      });
    const base = await cluster.base(undefined, { progress: new OnFile(things) });
    expect([done.sort(), base.facts!['streamedFor']]).toEqual([Object.keys(during).sort(), undefined]);
    await cluster.caughtUp();
    expect(await cluster.plan({ kind: 'latest' })).toMatchObject({ base: { snapshot: base.id } });
    const restored = await cluster.restore({ kind: 'latest' });
    expect(await column(restored, "SELECT count(*) FROM pg_tables WHERE tablename = 'dropped'")).toEqual(['0']);
    for (const table of ['cut', 'emptied', 'grown', 'kept', 'small']) {
      const query = `SELECT count(*) || ' ' || coalesce(md5(string_agg(n || text, ',' ORDER BY n)), '') FROM ${table}`;
      expect(await column(restored, query), table).toEqual([(await server.sql(query))[0]![0]]);
    }
    await restored.sql.query('SET enable_seqscan = off');
    expect(await column(restored, "SELECT count(*) FROM kept WHERE text >= ''")).toEqual(['30000']);
    await restored.close();
  });

  it('reads a page again that is half written, and reports one that is broken, or that names log that was never written', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t AS SELECT generate_series(1, 100000) n');
    await server.sql('CHECKPOINT');
    await cluster.start();
    const path = await pathOf(cluster, 't');
    const file = join(server.directory, path);
    const whole = readFileSync(file);
    const broken = Buffer.from(whole);
    broken[8192 * 3 + 4000] = broken[8192 * 3 + 4000]! ^ 1;
    const snapshots = cluster.bases.length;
    const base = (progress: BackupProgress): Promise<Snapshot> => cluster.base(undefined, { progress });
    await expect(base(onFile(path, () => writeFileSync(file, broken)))).rejects.toMatchObject({
      code: 'PG_PAGES_CORRUPT',
      message: expect.stringContaining(`page 3 of "data/${path}"`),
    });
    // Its position says that the log will write it anew: but no log reaches so far.
    broken.writeUInt32LE(0x7fff_ffff, 8192 * 3 + 4);
    await expect(base(onFile(path, () => writeFileSync(file, broken)))).rejects.toMatchObject({ code: 'PG_PAGES_CORRUPT' });
    // A page of another place.
    whole.copy(broken, 8192 * 3, 8192 * 4, 8192 * 5);
    await expect(base(onFile(path, () => writeFileSync(file, broken)))).rejects.toMatchObject({ code: 'PG_PAGES_CORRUPT' });
    expect(await cluster.window()).toMatchObject([{ bases: cluster.bases.slice(0, snapshots).map(({ id }) => id) }]);
    // Asked for, it is kept as it is.
    await cluster.base(undefined, { keepCorruptPages: true });
    // Torn when it is read, whole when it is read again; in the window of a scanner, and elsewhere.
    const scanner = openScanner(8192 * 8);
    for (const target of [Buffer.alloc(8192 * 8), scanner.window]) {
      const found: BrokenPage[] = [];
      let reads = 0;
      const read = checkedRead(
        (bytes, length, position) => {
          const from = reads++ < 2 ? broken : whole;
          return from.copy(bytes, 0, position, position + length);
        },
        { pageBytes: 8192, firstPage: 0 },
        found,
        scanner,
      );
      expect(read(target, target.length, 0)).toBe(target.length);
      expect([whole.subarray(0, target.length).equals(target), reads, found]).toEqual([true, 3, []]);
      // In the middle of a file, with a part of a page before and after, and pages beyond that stay wrong.
      const stays = checkedRead(
        (bytes, length, position) => broken.copy(bytes, 0, position, position + length),
        { pageBytes: 8192, firstPage: 0 },
        found,
        scanner,
      );
      expect(stays(target.subarray(0, 8192 * 3 + 200), 8192 * 3 + 200, 8192 * 2 - 100)).toBe(8192 * 3 + 200);
      expect(found.map(({ page }) => page)).toEqual([3]);
    }
  });

  it('is of the server that was asked, or comes from the server itself', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) n');
    await server.sql('CREATE ROLE copier REPLICATION LOGIN; CREATE ROLE reader REPLICATION LOGIN IN ROLE pg_read_all_settings');
    const wayOf = async (wish: Partial<BaseBackupSource>): Promise<string | undefined> =>
      (await cluster.base(undefined, wish)).facts!['streamedFor'];
    const as = (user: string): Partial<BaseBackupSource> => ({ address: { ...server.address(), user } });
    expect(await wayOf(as('copier'))).toMatch(/^copier may not see where its data lies/);
    expect(await wayOf(as('reader'))).toMatch(/^reader may not begin a backup \(GRANT EXECUTE/);
    const standby = await cluster.standby('standby');
    expect(await wayOf({ address: standby.address() })).toBe('it is a standby');
    expect(await wayOf({ manifest: 'SHA256' })).toBe('the server makes the manifest with SHA-256');
    const isModern = Number((await server.sql('SHOW server_version_num'))[0]![0]) >= 150_000;
    const functions = isModern ? 'pg_backup_start, pg_backup_stop' : 'pg_start_backup, pg_stop_backup(boolean, boolean)';
    await server.sql(`GRANT EXECUTE ON FUNCTION ${functions} TO reader`);
    expect(await wayOf(as('reader'))).toBeUndefined();
    // A copy of the files, as another host or a snapshot of the disk has one: its lock file and everything are the same.
    const copy = join(cluster.scratch, 'copy');
    cpSync(server.directory, copy, { recursive: true, filter: (from) => !from.includes('.s.PGSQL') });
    const sql = await server.connect();
    const facts = await readServerFacts(sql);
    const { systemId } = (await cluster.base()).facts!;
    const found = await findLocalCluster(sql, { ...facts, dataDirectory: copy }, systemId!);
    expect(found).toEqual({ directory: copy });
    const start = mustParseLsn(
      await sql.value(`SELECT ${isModern ? 'pg_backup_start' : 'pg_start_backup'}('x', true${isModern ? '' : ', false'})`),
    );
    expect(hasBegunHere(found as LocalCluster, start)).toBe(false);
    expect(hasBegunHere({ directory: server.directory }, start)).toBe(true);
    expect(await findLocalCluster(sql, { ...facts, dataDirectory: '/nowhere' }, systemId!)).toEqual({
      reason: 'it runs elsewhere',
    });
    expect(await findLocalCluster(sql, { ...facts, dataDirectory: copy }, '1')).toMatchObject({
      reason: expect.stringContaining('another cluster'),
    });
    sql.close();
  });
});

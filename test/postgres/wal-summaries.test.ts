// Base backups of a server that summarizes its log: pages that nobody has changed are not read again, and nothing that anybody has changed
// is missed, whatever was done to it. The proof is that a backup that reads everything finds the same pages.

import { execFileSync } from 'node:child_process';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ChangedPages } from '../../agents/postgres/wal-summaries.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { unitsLeaves } from '../../src/engine/content-map.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { canSummarize, summarizingPrograms } from '../support/packaged-postgres.ts';
import { makeOwned } from '../support/postgres.ts';
import { column, ProtectedCluster, until } from '../support/protected-cluster.ts';

const SETTINGS = { summarize_wal: 'on', autovacuum: 'off', max_connections: '30' };
const RELATION = /^(?:data\/(?:global|base\/\d+)|tablespaces\/\d+\/PG_[^/]+\/\d+)\/\d+(?:_vm)?(?:\.\d+)?$/;
const TABLES = ['kept', 'updated', 'grown', 'cut', 'emptied', 'renewed', 'moved', 'frozen', 'logged', 'new_one'];

const create = (): Promise<ProtectedCluster> => ProtectedCluster.create({ settings: SETTINGS, programs: summarizingPrograms });

/** Contents of the relations' files, by path: of maps the leaves, which name each unit by its digest. */
async function pagesIn({ repository }: ProtectedCluster, snapshot: Snapshot): Promise<Map<string, string>> {
  const { readNode, parameters } = repository;
  const pages = new Map<string, string>();
  for await (const { path, sizeBytes, content } of entriesOf(snapshot.root.reference, readNode)) {
    if (!RELATION.test(path)) continue;
    const parts = [`${sizeBytes} ${content.kind}`];
    if (content.kind === 'chunks') parts.push(Buffer.from(content.references).toString('hex'));
    else if (content.kind === 'units-map')
      for await (const leaf of unitsLeaves(content.root, Math.ceil(sizeBytes / parameters.paged.unitBytes), readNode))
        parts.push(leaf.length === 0 ? '' : Buffer.from(await readNode(leaf)).toString('hex'));
    pages.set(path, parts.join(' '));
  }
  return pages;
}

async function makeTables({ server, scratch }: ProtectedCluster): Promise<void> {
  const space = makeOwned(join(scratch, 'space'));
  await server.sql(`CREATE TABLESPACE apart LOCATION '${space}'`);
  for (const table of TABLES.slice(0, -2))
    await server.sql(`CREATE TABLE ${table} AS SELECT g AS n, md5(g::text) AS text FROM generate_series(1, 30000) g`);
  await server.sql('CREATE UNLOGGED TABLE logged AS SELECT g AS n, md5(g::text) AS text FROM generate_series(1, 20000) g');
  await server.sql('CREATE INDEX ON updated (text); CREATE INDEX ON kept (text); CREATE INDEX ON updated USING hash (n)');
  await server.sql('VACUUM (ANALYZE)');
  // A large one, of more than one leaf of a map.
  await server.sql("CREATE TABLE large AS SELECT g AS n, repeat('x', 200) AS text FROM generate_series(1, 200000) g");
  await server.sql('ALTER TABLE large SET TABLESPACE apart');
  for (const name of ['one', 'other']) await server.sql(`CREATE DATABASE ${name}`);
  // Another one of each file.
  await server.sql("UPDATE pg_description SET description = 'one' || description; UPDATE pg_proc SET procost = 7", 'one');
  await server.sql('UPDATE pg_proc SET procost = 8', 'other');
  await server.sql("CREATE DATABASE copied OID 50000 TEMPLATE one STRATEGY 'file_copy'");
}

async function changeTables({ server }: ProtectedCluster): Promise<void> {
  for (const statement of [
    "UPDATE updated SET text = 'new' WHERE n % 997 = 0",
    "INSERT INTO grown SELECT g, 'new' FROM generate_series(30001, 60000) g",
    'DELETE FROM cut WHERE n > 10000',
    'VACUUM cut',
    'TRUNCATE emptied',
    'DROP TABLE renewed',
    "CREATE TABLE renewed AS SELECT g AS n, 'renewed' AS text FROM generate_series(1, 30000) g",
    'ALTER TABLE moved SET TABLESPACE apart',
    'VACUUM FREEZE frozen',
    'ALTER TABLE logged SET LOGGED',
    "CREATE TABLE new_one AS SELECT g AS n, 'new' AS text FROM generate_series(1, 30000) g",
    'UPDATE large SET n = -n WHERE n IN (1, 100000, 200000)',
    // Its files are copied without a word in the log about any page, over those of the same names.
    'DROP DATABASE copied',
    "CREATE DATABASE copied OID 50000 TEMPLATE other STRATEGY 'file_copy'",
    // Two checkpoints between, so that some has been written and some has not.
    'CHECKPOINT',
    "UPDATE updated SET text = 'newer' WHERE n % 1499 = 0",
  ])
    await server.sql(statement);
}

describe('pages that may have changed', () => {
  const changed = new ChangedPages(
    new Map([
      ['1663/5/100', { blocks: [3, 4, 9, 1030], limit: 1040 }],
      ['1664/0/200', { blocks: [], limit: 2 }],
      ['777/5/300', { blocks: [0], limit: Number.POSITIVE_INFINITY }],
      ['1663/6/0', { blocks: [], limit: 0 }],
    ]),
    8192,
    1024,
  );
  const pages = (path: string, tablespace?: string): unknown =>
    changed.rangesOf(path, tablespace)?.map(({ offset, length }) => [offset / 8192, length / 8192]);

  it('are those that the log names, and all behind where a relation was cut', () => {
    expect(pages('base/5/100')).toEqual([
      [3, 2],
      [9, 1],
    ]);
    expect(pages('base/5/100.1')).toEqual([
      [6, 1],
      [16, 1008],
    ]);
    expect(pages('base/5/100.2')).toEqual([[0, 1024]]);
    expect(pages('global/200')).toEqual([[2, 1022]]);
    expect(pages('PG_18_1/5/300', '777')).toEqual([[0, 1]]);
    expect([pages('base/5/300'), pages('PG_18_1/5/100', '777')]).toEqual([[], []]);
  });

  it('are all of another fork, of what is no relation, and of a database that was copied', () => {
    for (const path of [
      'base/5/100_vm',
      'base/5/100_fsm',
      'base/5/100_fsm.1',
      'base/5/pg_filenode.map',
      'base/6/100',
      'pg_xact/0000',
    ])
      expect(pages(path), path).toBeUndefined();
  });
});

describe.skipIf(!canSummarize())('a base backup of a server that summarizes its log', () => {
  it('reads what has changed since the one before, and holds what one that reads everything holds', async () => {
    const cluster = await create();
    const { server } = cluster;
    await makeTables(cluster);
    await cluster.start();
    const first = cluster.bases[0]!;
    await changeTables(cluster);
    const progress = new BackupProgress();
    const second = await cluster.base(undefined, { progress });
    expect([second.facts!['readSince'], second.facts!['streamedFor']]).toEqual([first.facts!['startPosition'], undefined]);
    expect(progress.bytesDone).toBe(progress.bytesScanned);
    expect(progress.bytesRead).toBeLessThan(progress.bytesScanned);
    const whole = await cluster.base(undefined, { stream: true });
    expect(whole.facts!['readSince']).toBeUndefined();
    const [kept, read] = [await pagesIn(cluster, second), await pagesIn(cluster, whole)];
    expect(kept.size).toBeGreaterThan(200);
    expect([...read].filter(([path, content]) => kept.get(path) !== content)).toEqual([]);
    expect([...kept.keys()].filter((path) => !read.has(path))).toEqual([]);
    await server.sql('INSERT INTO kept VALUES (0)');
    const little = new BackupProgress();
    await cluster.base(undefined, { progress: little });
    expect(little.bytesRead).toBeLessThan(little.bytesScanned * 0.4);
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'latest' });
    for (const table of TABLES) {
      const query = `SELECT count(*) || ' ' || coalesce(md5(string_agg(n || text, ',' ORDER BY n)), '') FROM ${table}`;
      expect(await column(restored, query), table).toEqual([(await server.sql(query))[0]![0]]);
    }
    await restored.close();
  });

  it('reads everything when the summaries are not whole, or are of another history, cluster or timeline', async () => {
    const cluster = await create();
    const { server, scratch } = cluster;
    const wayOf = async (): Promise<string | undefined> => {
      const { facts } = await cluster.base();
      return facts!['readWholeFor'] ?? (facts!['readSince'] === undefined ? undefined : 'kept');
    };
    await server.sql('CREATE TABLE t AS SELECT generate_series(1, 100000) n');
    const write = (): Promise<unknown> => server.sql('UPDATE t SET n = n + 1');
    expect([await wayOf(), await wayOf()]).toEqual([undefined, 'kept']);
    // Switched off for a while.
    await server.sql('ALTER SYSTEM SET summarize_wal = off; ');
    await server.sql('SELECT pg_reload_conf()');
    await until(async () => (await server.sql('SHOW summarize_wal'))[0]![0] === 'off');
    expect(await wayOf()).toBe('summarize_wal is off');
    await write();
    await server.sql('CHECKPOINT');
    // As if they had been kept for too short a time.
    await server.stop();
    rmSync(join(server.directory, 'pg_wal/summaries'), { recursive: true });
    makeOwned(join(server.directory, 'pg_wal/summaries'));
    await server.start();
    await server.sql('ALTER SYSTEM RESET summarize_wal');
    await server.sql('SELECT pg_reload_conf()');
    await write();
    expect(await wayOf()).toMatch(/^(?:no summary has its bound at|the server has no summaries of its log from)/);
    expect(await wayOf()).toBe('kept');
    // The disk is put back to what it was before the last backup, and as much is written again.
    await server.stop();
    execFileSync('cp', ['-a', server.directory, join(scratch, 'before')]);
    await server.start();
    await write();
    expect(await wayOf()).toBe('kept');
    await server.stop();
    rmSync(server.directory, { recursive: true });
    renameSync(join(scratch, 'before'), server.directory);
    await server.start();
    for (let n = 0; n < 3; n++) await write();
    expect(await wayOf()).toMatch(/^no summary has its bound at/);
    expect(await wayOf()).toBe('kept');
    // A promotion.
    await server.stop();
    writeFileSync(join(server.directory, 'standby.signal'), '');
    await server.start();
    await server.sql('SELECT pg_promote()');
    await write();
    expect(await wayOf()).toBe('the base backup before is of timeline 1');
    expect(await wayOf()).toBe('kept');
  });
});

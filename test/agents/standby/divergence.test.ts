// What an old primary has written behind the seal is kept, transaction by transaction and row by row, before its directory becomes a standby.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readControlData } from '../../../agents/gate/control-data.ts';
import { listDivergentRows } from '../../../agents/standby/divergent-rows.ts';
import { type Divergence, exportDivergence } from '../../../agents/standby/export-divergence.ts';
import type { LogEnd } from '../../../src/dr/writer-record.ts';
import { readClusterFacts } from '../../../src/engine/cluster-facts.ts';
import { formatLsn } from '../../../src/model/lsn.ts';
import { postgresPrograms, serverUser } from '../../support/postgres.ts';
import { ASSET, PROGRAM, ProtectedCluster } from '../../support/protected-cluster.ts';
import { NEVER } from '../../support/standby-scene.ts';

const programs = postgresPrograms();
const SEGMENT_BYTES = 16 * 1024 * 1024;

async function exportOf(
  cluster: ProtectedCluster,
  sealed: LogEnd,
): Promise<{ directory: string; divergence: Divergence } | undefined> {
  const facts = (await readClusterFacts(cluster.repository, ASSET))!;
  return exportDivergence({
    asset: ASSET,
    dataDirectory: cluster.server.directory,
    programs: cluster.programs,
    segmentBytes: SEGMENT_BYTES,
    version: 15,
    sealed,
    directory: join(cluster.scratch, 'divergence'),
    now: () => new Date(),
    listRows: (log, directory) =>
      listDivergentRows(
        {
          repository: cluster.repository,
          cluster: facts,
          programs: cluster.programs,
          program: [PROGRAM],
          helper: {},
          threads: 1,
          signal: NEVER,
          directory: join(cluster.scratch, 'sandbox'),
        },
        log,
        directory,
      ),
  });
}

const lines = (directory: string, name: string): Record<string, unknown>[] =>
  readFileSync(join(directory, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe.skipIf(programs === undefined)('the divergent log of an old primary', () => {
  it('is kept with every transaction and every row that differs, whatever of it was captured', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE account (id bigint PRIMARY KEY, owner text, cents bigint)');
    await server.sql("INSERT INTO account SELECT g, 'owner ' || g, 0 FROM generate_series(1, 20000) g");
    await server.sql('CREATE TABLE note (word text)');
    await server.sql("INSERT INTO note VALUES ('same'), ('same')");
    await server.sql('CREATE TABLE emptied AS SELECT 1 AS n');
    await server.sql('CREATE TABLE gone AS SELECT 1 AS n');
    await cluster.start();
    await server.sql("INSERT INTO note VALUES ('sealed')");
    await cluster.caughtUp();
    // Not captured from here on.
    await cluster.stop();
    const { view } = (await readClusterFacts(cluster.repository, ASSET))!;
    const sealed = { timeline: 1, lsn: formatLsn(Math.max(...view.stretches.map(({ to }) => to))) };
    await server.sql('UPDATE account SET cents = 9007199254740993 WHERE id = 7');
    await server.sql(
      "BEGIN; SAVEPOINT a; INSERT INTO account VALUES (20001, 'new', 1); RELEASE a; DELETE FROM account WHERE id = 19999; COMMIT",
    );
    await server.sql("INSERT INTO note VALUES ('same')");
    await server.sql("BEGIN; INSERT INTO note VALUES ('taken back'); ROLLBACK");
    await server.sql("CREATE TABLE made AS SELECT 'made' AS word");
    await server.sql('TRUNCATE emptied');
    await server.sql('DROP TABLE gone');
    await server.sql('SELECT pg_switch_wal()');
    await server.sql('VACUUM account');
    await server.sql("INSERT INTO note VALUES ('in the next segment')");
    await server.stop('SIGKILL');

    const { directory, divergence } = (await exportOf(cluster, sealed))!;
    expect(divergence).toMatchObject({ timeline: 1, from: sealed.lsn, aborted: 1, open: 0 });
    expect(divergence.rows).toEqual({
      kind: 'listed',
      file: 'rows.jsonl',
      tables: expect.arrayContaining([
        { database: 'postgres', table: 'public.account', inserted: 1, updated: 1, deleted: 1, notListed: null },
        { database: 'postgres', table: 'public.note', inserted: 2, updated: 0, deleted: 0, notListed: null },
        { database: 'postgres', table: 'public.made', inserted: 1, updated: 0, deleted: 0, notListed: null },
        { database: 'postgres', table: 'public.gone', inserted: 0, updated: 0, deleted: 0, notListed: 'the table was dropped' },
        expect.objectContaining({ table: 'public.emptied', notListed: expect.stringContaining('TRUNCATE') }),
      ]),
    });
    const text = readFileSync(join(directory, 'rows.jsonl'), 'utf8');
    expect(text).toContain(
      '"before":{"id":7,"owner":"owner 7","cents":0},"after":{"id":7,"owner":"owner 7","cents":9007199254740993}',
    );
    expect(text).toContain('"change":"deleted","before":{"id":19999,"owner":"owner 19999","cents":0}');
    expect(text).toContain('"after":{"word":"in the next segment"}');
    expect(text).not.toContain('taken back');
    expect(text).not.toContain('"sealed"');
    const transactions = lines(directory, 'transactions.jsonl');
    expect(transactions.filter(({ outcome }) => outcome === 'committed')).toHaveLength(divergence.committed);
    expect(divergence.committed).toBeGreaterThanOrEqual(7);
    // One transaction, though its insert was made by a child of it.
    expect(transactions.every(({ outcome, time }) => outcome === 'open' || time !== null)).toBe(true);
    expect(divergence.segments).toHaveLength(2);
    for (const name of divergence.segments)
      expect(readFileSync(join(directory, 'log', name)).equals(readFileSync(join(server.directory, 'pg_wal', name)))).toBe(true);
    // Again: what is there stays.
    expect((await exportOf(cluster, sealed))!.divergence).toEqual(divergence);
  });

  it('is nothing after a planned switch, although the shutdown checkpoint lies at its end; and a server that runs is refused', async () => {
    const cluster = await ProtectedCluster.create();
    await cluster.server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await expect(exportOf(cluster, { timeline: 1, lsn: '0/1000028' })).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
    await cluster.server.stop();
    const { checkpoint, timeline } = readControlData(cluster.programs, cluster.server.directory, serverUser());
    expect(await exportOf(cluster, { timeline, lsn: checkpoint })).toBeUndefined();
    await expect(exportOf(cluster, { timeline: 2, lsn: checkpoint })).rejects.toMatchObject({ code: 'STANDBY_REFUSED' });
  });
});

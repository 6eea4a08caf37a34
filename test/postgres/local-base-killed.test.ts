// A base backup whose files are read here, when the server or the backup itself is killed in the middle.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { Holdfast } from '../cli/holdfast.ts';
import { hasClients, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { column, ProtectedCluster, until } from '../support/protected-cluster.ts';

const programs = postgresPrograms();
/** Of the connection that holds a backup open while files are read. */
const BEGUN =
  "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_(backup_start|start_backup).*holdfast' AND pid <> pg_backend_pid()";

class Killing extends BackupProgress {
  constructor(kill: () => void) {
    super();
    let current = '';
    let isDone = false;
    Object.defineProperty(this, 'current', {
      get: () => current,
      set: (now: string) => {
        current = now;
        if (isDone || !now.startsWith('data/base/')) return;
        isDone = true;
        kill();
      },
    });
  }
}

describe.skipIf(programs === undefined)('a base backup whose files are read here leaves nothing', () => {
  it('when the server dies in the middle, and the next one is whole', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) n');
    const progress = new Killing(() => void server.stop('SIGKILL'));
    await expect(cluster.base(undefined, { progress })).rejects.toMatchObject({ code: 'PG_UNREACHABLE' });
    expect(await listSnapshots(cluster.repository, await cluster.repository.heads.read(), {})).toEqual([]);
    await server.start();
    await cluster.start();
    const restored = await cluster.restore({ kind: 'latest' });
    expect(await column(restored, 'SELECT count(*) FROM t')).toEqual(['1000']);
    await restored.close();
  });

  it('when it is killed itself: the server ends the backup, and the next one is whole', async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    await server.sql('CREATE TABLE big AS SELECT g AS n, sha512(g::text::bytea) AS filler FROM generate_series(1, 400000) g');
    const holdfast = new Holdfast(join(scratch, 'holdfast'));
    mkdirSync(holdfast.directory, { recursive: true });
    holdfast.ok(['init']);
    const sql = await server.connect();
    let killed = 0;
    // One that was too fast was a whole backup of its own.
    for (let whole = 0; killed < 2 && whole < 5; ) {
      const child = holdfast.start(['pg', 'backup', server.connectionString, '--asset', 'pg/killed', '--threads', '1']);
      const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)));
      await until(async () => (await sql.value(BEGUN)) === '1' || child.exitCode !== null);
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
      else whole++;
      await until(async () => (await sql.value(BEGUN)) === '0');
    }
    sql.close();
    expect(killed).toBe(2);
    const { snapshot, streamedFor } = holdfast.summary(['pg', 'backup', server.connectionString, '--asset', 'pg/killed']);
    expect(streamedFor).toBeUndefined();
    holdfast.ok(['verify', '--full']);
    const target = join(scratch, 'plain');
    holdfast.ok(['restore', String(snapshot), '--target', target]);
    if (hasClients(programs, 'pg_verifybackup'))
      expect(server.run('pg_verifybackup', ['-n', join(target, 'data')])).toMatch(/successfully verified/);
  });
});

// A disk that becomes full under a restore: in the base, and in the log with its spool. Nothing comes up with less, and with more room the same
// command goes on.

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { postgresPrograms, serverUser } from '../support/postgres.ts';
import { ProtectedCluster } from '../support/protected-cluster.ts';
import { mayMount, mountTmpfs, unmount } from '../support/scratch.ts';

const programs = postgresPrograms();

function disk(path: string, size: string): (size: string) => void {
  mkdirSync(path);
  mountTmpfs(path, size);
  onTestFinished(() => unmount(path));
  const user = serverUser();
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  return (larger) => void execFileSync('mount', ['-o', `remount,size=${larger}`, path]);
}

describe.skipIf(programs === undefined || !mayMount())('a full disk', () => {
  it('ends a restore in the base and in the log; neither can be taken for whole, and with more room it goes on', async () => {
    const cluster = await ProtectedCluster.create({ walSegmentMib: 4 });
    const { server } = cluster;
    await server.sql("CREATE TABLE t AS SELECT g AS n, repeat('x', 100) AS filler FROM generate_series(1, 1000) g");
    await cluster.start();
    for (let n = 1; n <= 3; n++)
      await server.sql(`INSERT INTO t SELECT ${n}000 + g, md5(g::text) || repeat('y', 900) FROM generate_series(1, 12000) g`);
    await cluster.caughtUp();
    const place = join(cluster.scratch, 'disk');
    const grow = disk(place, '10m');
    const dataDirectory = join(place, 'data');
    const restore = (): ReturnType<ProtectedCluster['restore']> => cluster.restore({ kind: 'latest' }, { dataDirectory });
    await expect(restore()).rejects.toMatchObject({ code: 'TARGET_FULL' });
    expect(existsSync(join(dataDirectory, 'global/pg_control'))).toBe(false);
    grow('44m');
    await expect(restore()).rejects.toMatchObject({
      code: 'TARGET_FULL',
      message: expect.stringMatching(/^(?!.*accepting connections).*No space|ENOSPC/i),
    });
    expect(server.run('pg_controldata', ['-D', dataDirectory])).toMatch(/TimeLineID:\s+1\n/);
    grow('400m');
    const restored = await restore();
    expect((await restored.sql.query('SELECT count(*) FROM t')).rows).toEqual([['37000']]);
    await restored.close();
  });
});

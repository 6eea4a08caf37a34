// A server that was set back by its disk (a snapshot of a virtual machine, a file system's) has the same system identifier and the same timeline as
// before, and other rows at the same positions.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { postgresPrograms } from '../support/postgres.ts';
import { LATEST, ProtectedCluster, until } from '../support/protected-cluster.ts';
import { setBack } from '../support/set-back.ts';

const programs = postgresPrograms();
const SEGMENT_MIB = [1, 16] as const;

const insert = (of: string): string => `INSERT INTO t SELECT '${of}' FROM generate_series(1, 1000)`;

/** Captured up to the end of a segment, as it is after each base backup; `kept` is the disk before that. */
async function protectedTwice(walSegmentMib: number): Promise<{ readonly cluster: ProtectedCluster; readonly kept: string }> {
  const cluster = await ProtectedCluster.create({ walSegmentMib });
  const { server } = cluster;
  await server.sql('CREATE TABLE t (of text)');
  await server.stop();
  const kept = `${cluster.scratch}/kept`;
  execFileSync('cp', ['-a', server.directory, kept]);
  await server.start();
  await server.sql(insert('a'));
  await cluster.start();
  await cluster.caughtUp();
  return { cluster, kept };
}

describe.skipIf(programs === undefined)('a server that was set back by its disk', () => {
  it.each(SEGMENT_MIB)(
    'is refused when it has passed the end of what is stored, also where that is the end of a segment of %i MiB',
    async (mib) => {
      const { cluster, kept } = await protectedTwice(mib);
      const { server } = cluster;
      await cluster.stop();
      const stored = cluster.status!.durable;
      expect(stored % (mib * 1024 * 1024)).toBe(0);
      await setBack(server, kept);
      await server.sql(insert('b'));
      // As long as the base backup was in the log that is stored.
      await cluster.base(undefined, { log: undefined });
      await server.sql(insert('b'));
      await server.sql(insert('b'));
      cluster.begin();
      let end: unknown;
      const ended = cluster.ended().catch((error: unknown) => {
        end = error;
      });
      await until(() => end !== undefined || cluster.status!.durable > stored);
      await cluster.stop();
      await ended;
      expect(end).toMatchObject({ code: 'LOG_FORKED' });
    },
  );

  it.each([false, true])('gives no base backup while the stored log is another one (sent by the server: %s)', async (stream) => {
    const { cluster, kept } = await protectedTwice(16);
    const { server } = cluster;
    await server.sql(insert('a'));
    await cluster.caughtUp();
    await cluster.stop();
    await setBack(server, kept);
    await server.sql(insert('b'));
    await expect(cluster.base(undefined, { stream })).rejects.toMatchObject({ code: 'LOG_FORKED' });
    expect((await cluster.facts()).snapshots.size).toBe(1);
  });

  it('gives no base backup that the stored log of another history is replayed over', async () => {
    const { cluster, kept } = await protectedTwice(16);
    const { server } = cluster;
    await server.sql(insert('a'));
    await cluster.caughtUp();
    await cluster.stop();
    await setBack(server, kept);
    await server.sql(insert('b'));
    // As an agent made it that was not let look at what is stored.
    const base = await cluster.base(undefined, { log: undefined });
    // At the very positions of the one before.
    expect(base.facts).toMatchObject({ startPosition: cluster.bases[0]!.facts!['startPosition'] });
    await expect(cluster.restore(LATEST)).rejects.toMatchObject({ code: 'LOG_FORKED', message: expect.stringContaining(base.id) });
    expect(existsSync(`${cluster.recoveries[0]}/global/pg_control`)).toBe(false);
  });
});

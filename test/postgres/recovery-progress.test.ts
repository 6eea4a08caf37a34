// How far a restore is, and how long it will take.

import { describe, expect, it } from 'vitest';
import { type RecoveryPhase, RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ProtectedCluster } from '../support/protected-cluster.ts';

describe('the progress of a recovery', () => {
  it('counts base and log as one way, and tells the rest by the speed of its phase', () => {
    const progress = new RecoveryProgress();
    expect(progress.remainingMs(0)).toBeUndefined();
    progress.baseBytes = 1000;
    progress.logBytesTotal = 500;
    progress.enter('base', 0);
    expect(progress.remainingMs(5_000)).toBeUndefined();
    progress.bytesDone = 500;
    expect(progress.remainingMs(5_000)).toBe(10_000);
    progress.enter('log', 10_000);
    expect([progress.allBytesDone, progress.allBytesTotal]).toEqual([1000, 1500]);
    progress.logBytesDone = 100;
    expect(progress.remainingMs(12_000)).toBe(8_000);
    // More than was planned is not more than all.
    progress.logBytesDone = 900;
    expect([progress.allBytesDone, progress.remainingMs(20_000)]).toEqual([1500, 0]);
    progress.enter('reached', 30_000);
    expect(progress.remainingMs(30_000)).toBe(0);
  });

  it.skipIf(postgresPrograms() === undefined)('never goes back, and ends at all of it', async () => {
    const cluster = await ProtectedCluster.create({ walSegmentMib: 1 });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int, filler text)');
    await cluster.start();
    for (let n = 0; n < 3; n++)
      await server.sql("INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 4000) g; SELECT pg_switch_wal()");
    await cluster.caughtUp();
    const progress = new RecoveryProgress();
    const seen: { readonly phase: RecoveryPhase; readonly done: number }[] = [];
    const timer = setInterval(() => seen.push({ phase: progress.phase, done: progress.allBytesDone }), 1);
    const restored = await cluster.restore({ kind: 'latest' }, { progress }).finally(() => clearInterval(timer));
    await restored.close();
    expect([...new Set(seen.map(({ phase }) => phase))].slice(0, 3)).toEqual(['plan', 'base', 'log']);
    expect(seen.every(({ done }, i) => i === 0 || done >= seen[i - 1]!.done)).toBe(true);
    // While it replays it is told, too.
    expect(new Set(seen.filter(({ phase }) => phase === 'log').map(({ done }) => done)).size).toBeGreaterThan(1);
    expect(progress.phase).toBe('reached');
    expect(progress.allBytesDone).toBe(progress.allBytesTotal);
    expect(progress.logBytesTotal).toBeGreaterThan(6_000_000);
  });
});

// One cluster, captured from its primary and from its standby at once: the log is stored once, and either may die. And what a failover looks
// like when nobody captured meanwhile, or when a node was demoted and does not know it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CaptureStatus } from '../../agents/postgres/capture-options.ts';
import { protectCluster } from '../../agents/postgres/protect.ts';
import { concernsOf, type ServerLook } from '../../agents/postgres/server-watch.ts';
import { isFault } from '../../src/base/faults.ts';
import { postgresPrograms, type TestServer } from '../support/postgres.ts';
import { ASSET, ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';

const programs = postgresPrograms();
/** Long enough that one who is only slow is not taken for dead. */
const SHIP_MS = 500;

class Node {
  readonly troubles: string[] = [];
  readonly codes: string[] = [];
  readonly timelines: number[] = [];
  status: CaptureStatus | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(cluster: ProtectedCluster, server: TestServer, host: string) {
    const { signal } = this.#stop;
    this.#running = protectCluster({
      address: server.address(),
      repository: cluster.repository,
      asset: ASSET,
      slot: 'holdfast',
      host,
      policy: { bytes: 64 * 1024, ms: SHIP_MS },
      now: () => new Date(),
      signal,
      patience: { flushMs: 5000, stallMs: 60_000, watchMs: 200 },
      baseEveryMs: 0,
      heartbeatMs: 0,
      makeBase: () => cluster.base(signal),
      events: {
        onStreaming: () => {},
        onProgress: (status) => {
          this.status = status;
        },
        onGap: (gap) => void cluster.gaps.push(gap),
        onTimeline: (timeline) => void this.timelines.push(timeline),
        onTablespace: () => {},
        onTrouble: (error) => {
          this.troubles.push(error instanceof Error ? error.message : String(error));
          if (isFault(error)) this.codes.push(error.code);
        },
        onBaseBegin: () => {},
        onBase: (snapshot) => void cluster.bases.push(snapshot),
      },
    });
    this.#running.catch(() => {});
    onTestFinished(() => this.stop());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

async function flushedBy(server: TestServer): Promise<number> {
  const at = 'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END';
  return Number((await server.sql(`SELECT (${at} - '0/0'::pg_lsn)::text`))[0]![0]);
}

async function storedBy(node: Node, position: number): Promise<void> {
  await until(
    () => (node.status?.durable ?? 0) >= position,
    () => `stored up to ${node.status?.durable} of ${position}: ${node.troubles.join('; ')}`,
  );
}

async function received(standby: TestServer, position: number): Promise<void> {
  await until(async () => (await flushedBy(standby)) >= position);
}

async function numbers(sql: {
  query: (text: string) => Promise<{ rows: readonly (readonly (string | null)[])[] }>;
}): Promise<string[]> {
  return (await sql.query('SELECT n FROM t ORDER BY n')).rows.map(([n]) => n!);
}

describe.skipIf(programs === undefined)('a cluster of two nodes', () => {
  it('is stored once when both are captured, and without a hole when the primary dies with its capture', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    const standby = await cluster.standby('second');
    const first = new Node(cluster, primary, 'one');
    await until(
      () => cluster.bases.length > 0,
      () => first.troubles.join('; '),
    );
    const second = new Node(cluster, standby, 'two');
    await primary.sql('INSERT INTO t VALUES (1); SELECT pg_switch_wal(); INSERT INTO t VALUES (2)');
    const before = await flushedBy(primary);
    await received(standby, before);
    await storedBy(first, before);
    await storedBy(second, before);
    const { epochs } = (await cluster.facts()).view.catalogue;
    expect(epochs.every(({ host }) => host.startsWith('one,'))).toBe(true);
    const between = await serverClock(primary);
    await primary.sql('INSERT INTO t VALUES (3)');
    await received(standby, await flushedBy(primary));
    await Promise.all([primary.stop('SIGKILL'), first.stop()]);
    await standby.sql('SELECT pg_promote()');
    cluster.server = standby;
    await standby.sql('INSERT INTO t VALUES (4)');
    await storedBy(second, await flushedBy(standby));
    expect(second.timelines).toEqual([2]);
    expect(cluster.gaps).toEqual([]);
    expect(cluster.bases).toHaveLength(1);
    const then = await cluster.restore({ kind: 'time', time: between });
    expect(await numbers(then.sql)).toEqual(['1', '2']);
    await then.close();
    const now = await cluster.restore({ kind: 'latest' });
    expect(await numbers(now.sql)).toEqual(['1', '2', '3', '4']);
    await now.close();
  });

  it('is not captured with good health from a node that was demoted and goes on writing', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    const standby = await cluster.standby('second');
    const first = new Node(cluster, primary, 'one');
    await until(
      () => cluster.bases.length > 0,
      () => first.troubles.join('; '),
    );
    await primary.sql('INSERT INTO t VALUES (1)');
    await received(standby, await flushedBy(primary));
    await standby.sql('SELECT pg_promote()');
    const second = new Node(cluster, standby, 'two');
    await standby.sql('INSERT INTO t VALUES (2)');
    await storedBy(second, await flushedBy(standby));
    await primary.sql('INSERT INTO t VALUES (3)');
    await until(
      () => first.troubles.some((text) => /the cluster has gone on with timeline 2: it was demoted/.test(text)),
      () => first.troubles.join('; '),
    );
    await until(() => first.troubles.some((text) => /behind the log that is stored/.test(text)));
    expect(first.codes).toContain('PG_NOT_READY');
    const now = await cluster.restore({ kind: 'latest' });
    expect(await numbers(now.sql)).toEqual(['1', '2']);
    await now.close();
  });
});

it('what a look at the server finds is told by kind: a slot about to be lost, log that piles up, a standby that receives nothing', () => {
  const fine = { slot: 'reserved', safeBytes: undefined, retainedBytes: 0, isStandby: false, isReceiving: false };
  const kinds = (look: Partial<ServerLook>): string[] => [...concernsOf('s', { ...fine, ...look }).keys()];
  expect(kinds({})).toEqual([]);
  expect(kinds({ slot: 'unreserved', safeBytes: 0 })).toEqual(['slot unreserved']);
  expect(kinds({ slot: 'unreserved' })).toEqual(['slot unreserved']);
  expect(kinds({ slot: 'lost' })).toEqual(['slot lost']);
  expect(kinds({ safeBytes: 100 * 1024 * 1024 })).toEqual(['slot reserved']);
  expect(kinds({ retainedBytes: 5 * 2 ** 30 })).toEqual(['retained 32']);
  expect(kinds({ retainedBytes: 9 * 2 ** 30 })).toEqual(['retained 33']);
  expect(kinds({ isStandby: true })).toEqual(['silent']);
  expect(kinds({ isStandby: true, isReceiving: true })).toEqual([]);
});

describe.skipIf(programs === undefined)('a capture of a standby', () => {
  it('says that nothing comes when the primary is gone', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    const standby = await cluster.standby('second');
    cluster.server = standby;
    cluster.begin(100);
    await until(
      () => cluster.bases.length > 0,
      () => cluster.troubles.join('; '),
    );
    expect(cluster.troubles).toEqual([]);
    await primary.stop('SIGKILL');
    await until(
      () => cluster.troubles.some((text) => /a standby that receives nothing/.test(text)),
      () => cluster.troubles.join('; '),
    );
  });
});

describe.skipIf(programs === undefined)('a failover', () => {
  it('whose log nobody captured shows the gap at once, begins a new base by itself, and takes the number of the timeline from the server', async () => {
    const cluster = await ProtectedCluster.create({ settings: { max_wal_size: '32MB', min_wal_size: '32MB' } });
    const primary = cluster.server;
    await primary.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await primary.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    const standby = await cluster.standby('second');
    standby.configure({ recovery_target_timeline: 'current' });
    await standby.stop();
    await standby.start();
    await cluster.stop();
    await primary.sql('INSERT INTO t VALUES (2)');
    const lost = await serverClock(primary);
    for (let n = 0; n < 4; n++)
      await primary.sql(
        "CREATE TABLE big AS SELECT repeat('y', 1000) FROM generate_series(1, 20000); DROP TABLE big; SELECT pg_switch_wal(); CHECKPOINT",
      );
    const position = await flushedBy(primary);
    await until(async () => (await standby.sql(`SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn >= ${position}`))[0]![0] === 't');
    await primary.stop('SIGKILL');
    // Another node has had the number 2 meanwhile.
    writeFileSync(join(standby.directory, 'pg_wal/00000002.history'), '1\t0/1000000\telsewhere\n');
    await standby.sql('CHECKPOINT');
    await standby.sql('SELECT pg_promote()');
    await standby.sql('CHECKPOINT');
    cluster.server = standby;
    const bases = cluster.bases.length;
    cluster.begin();
    await until(
      () => cluster.bases.length > bases,
      () => cluster.troubles.join('; '),
    );
    await standby.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    expect((await cluster.facts()).view.timeline).toBe(3);
    expect(cluster.gaps).toHaveLength(1);
    expect(await cluster.window()).toHaveLength(2);
    expect(await cluster.plan({ kind: 'time', time: lost })).toMatch(/^gap: .*the server had removed the log/);
    const now = await cluster.restore({ kind: 'latest' });
    expect(await numbers(now.sql)).toEqual(['1', '2', '3']);
    await now.close();
  });
});

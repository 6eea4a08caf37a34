// A ledger with a clock of its own says what must be there after a restore: after every line the server's clock is noted, and a restore to
// that time must give exactly the lines before.

import { describe, expect, it } from 'vitest';
import { postgresPrograms, type TestServer } from '../support/postgres.ts';
import { ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';
import { seededRandom } from '../support/seeded-random.ts';

const programs = postgresPrograms();

type Line = { readonly lines: number; readonly time: number };

/** Notes the clock after each line. */
class Ledger {
  readonly moments: Line[] = [];
  #lines = 0;

  async open(server: TestServer): Promise<void> {
    await server.sql('CREATE TABLE ledger (line int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), filler text)');
  }

  async write(server: TestServer, lines = 1): Promise<void> {
    for (let n = 0; n < lines; n++) {
      await server.sql(`INSERT INTO ledger VALUES (${++this.#lines}, DEFAULT, repeat('x', 2000))`);
      this.moments.push({ lines: this.#lines, time: await serverClock(server) });
    }
  }
}

async function linesIn(sql: {
  query: (text: string) => Promise<{ rows: readonly (readonly (string | null)[])[] }>;
}): Promise<number[]> {
  const { rows } = await sql.query('SELECT line FROM ledger ORDER BY line');
  return rows.map(([line]) => Number(line));
}

const upTo = (lines: number): number[] => Array.from({ length: lines }, (_, i) => i + 1);

describe.skipIf(programs === undefined)('a cluster whose log is captured', () => {
  it('comes back to random instants with exactly the lines of each, through segment switches, checkpoints, restarts and a killed server', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const ledger = new Ledger();
    await ledger.open(server);
    await cluster.start();
    await ledger.write(server, 5);
    await server.sql('SELECT pg_switch_wal()');
    await ledger.write(server, 5);
    await server.sql('CHECKPOINT');
    await server.stop();
    await server.start();
    await ledger.write(server, 5);
    await server.stop('SIGKILL');
    await server.start();
    await ledger.write(server, 5);
    await cluster.caughtUp();
    const random = seededRandom(20261121);
    const inside = ledger.moments.slice(0, -1);
    for (const { lines, time } of [inside[0]!, ...Array.from({ length: 4 }, () => inside[Math.floor(random() * inside.length)]!)]) {
      const restored = await cluster.restore({ kind: 'time', time });
      expect(await linesIn(restored.sql), `at ${time}`).toEqual(upTo(lines));
      expect(restored.achieved!.time).toBeLessThanOrEqual(time);
      expect((await restored.sql.query("SELECT pg_is_in_recovery(), current_setting('archive_mode')")).rows).toEqual([
        ['f', 'off'],
      ]);
      await restored.close();
    }
  });

  it('brings a dropped table back to the second before, pauses to look around, and finds transactions and restore points', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const ledger = new Ledger();
    await ledger.open(server);
    await cluster.start();
    await ledger.write(server, 3);
    const id = Number((await server.sql('BEGIN; INSERT INTO ledger VALUES (100); SELECT txid_current(); COMMIT'))[0]![0]);
    await server.sql('INSERT INTO ledger VALUES (101)');
    await server.sql("SELECT pg_create_restore_point('month end')");
    await server.sql('INSERT INTO ledger VALUES (102)');
    const before = await serverClock(server);
    await server.sql('DROP TABLE ledger');
    await server.sql('CREATE TABLE other (n int)');
    await cluster.caughtUp();
    for (const [target, expected] of [
      [{ kind: 'time', time: before }, [1, 2, 3, 100, 101, 102]],
      [{ kind: 'transaction', id }, [1, 2, 3, 100]],
      [{ kind: 'point', name: 'month end' }, [1, 2, 3, 100, 101]],
    ] as const) {
      const restored = await cluster.restore(target, { action: 'pause' });
      expect(await linesIn(restored.sql), target.kind).toEqual(expected);
      expect((await restored.sql.query('SELECT pg_is_in_recovery(), pg_is_wal_replay_paused()')).rows).toEqual([['t', 't']]);
      await restored.close();
    }
    const latest = await cluster.restore({ kind: 'latest' });
    expect((await latest.sql.query("SELECT to_regclass('ledger'), to_regclass('other')")).rows).toEqual([[null, 'other']]);
    await latest.close();
  });

  it('comes back to an instant of an idle database, and refuses instants outside of the window with the window', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    // Nobody has committed since the base backup.
    const [interval] = await cluster.window();
    const base = await cluster.restore({ kind: 'time', time: interval!.from.time });
    expect((await base.sql.query('SELECT count(*) FROM t')).rows).toEqual([['0']]);
    await base.close();
    expect(await cluster.plan({ kind: 'time', time: interval!.from.time - 1 })).toMatch(
      /^refused: .* before the first base backup/,
    );
    expect(await cluster.plan({ kind: 'time', time: interval!.from.time + 3_600_000_000 })).toMatch(
      /^refused: .* after the last recovery point/,
    );
    await server.sql('INSERT INTO t VALUES (1)');
    const idle = await serverClock(server);
    // Only now is it known that nothing was committed in between.
    await server.sql("SELECT pg_logical_emit_message(true, 'holdfast', 'heartbeat')");
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'time', time: idle });
    expect((await restored.sql.query('SELECT count(*) FROM t')).rows).toEqual([['1']]);
    await restored.close();
  });

  it('follows a promotion to the new timeline, and both sides of it can be restored', async () => {
    const cluster = await ProtectedCluster.create();
    const primary = cluster.server;
    const ledger = new Ledger();
    await ledger.open(primary);
    await cluster.start();
    await ledger.write(primary, 3);
    const standby = await cluster.standby('second');
    await ledger.write(primary, 2);
    await cluster.caughtUp();
    const position = (await primary.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]!;
    await until(async () => (await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${position}'`))[0]![0] === 't');
    await primary.stop('SIGKILL');
    await cluster.stop();
    await standby.sql('SELECT pg_promote()');
    cluster.server = standby;
    cluster.begin();
    await ledger.write(standby, 3);
    await cluster.caughtUp();
    expect((await cluster.facts()).view.timeline).toBe(2);
    expect(cluster.gaps).toEqual([]);
    for (const { lines, time } of [ledger.moments[1]!, ledger.moments[4]!, ledger.moments[6]!]) {
      const restored = await cluster.restore({ kind: 'time', time });
      expect(await linesIn(restored.sql)).toEqual(upTo(lines));
      await restored.close();
    }
  });

  it('names the gap when the server has removed log, makes a new base by itself, and refuses only what lies in the gap', async () => {
    const cluster = await ProtectedCluster.create({ settings: { max_wal_size: '32MB', min_wal_size: '32MB' } });
    const { server } = cluster;
    const ledger = new Ledger();
    await ledger.open(server);
    await cluster.start();
    await ledger.write(server, 3);
    await cluster.caughtUp();
    const [before] = await cluster.window();
    await cluster.stop();
    await server.sql("SELECT pg_drop_replication_slot('holdfast')");
    await ledger.write(server, 1);
    const lost = await serverClock(server);
    for (let n = 0; n < 4; n++)
      await server.sql(
        "CREATE TABLE big AS SELECT repeat('y', 1000) FROM generate_series(1, 20000); DROP TABLE big; SELECT pg_switch_wal(); CHECKPOINT",
      );
    const bases = cluster.bases.length;
    cluster.begin();
    await until(
      () => cluster.bases.length > bases,
      () => cluster.troubles.join('; '),
    );
    await ledger.write(server, 2);
    await cluster.caughtUp();
    expect(cluster.gaps).toHaveLength(1);
    const window = await cluster.window();
    expect(window).toHaveLength(2);
    expect(window[0]!.to.time).toBeGreaterThanOrEqual(before!.to.time);
    expect(await cluster.plan({ kind: 'time', time: lost })).toMatch(/^gap: .*the server had removed the log/);
    for (const { lines, time } of [ledger.moments[1]!, ledger.moments[4]!]) {
      const restored = await cluster.restore({ kind: 'time', time });
      expect(await linesIn(restored.sql)).toEqual(upTo(lines));
      await restored.close();
    }
  });
});

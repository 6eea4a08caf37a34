// What goes wrong while a log is captured: nothing is acknowledged that is not stored, nothing is lost unsaid, and protection goes on by itself.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type PreflightCheck, preflight } from '../../agents/postgres/preflight.ts';
import { skipGaps } from '../../agents/postgres/resume-point.ts';
import { Fault } from '../../src/base/faults.ts';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { makeOwned, postgresPrograms } from '../support/postgres.ts';
import { column, LATEST, ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';
import { replacedMethod } from '../support/replaced-method.ts';
import { restoreTo } from '../support/repository.ts';

const programs = postgresPrograms();
const MIB = 1024 * 1024;

/** While `isHanging`, what is put of a log is never answered, and never stored. */
function withHangs(hangs: { isHanging: boolean }): (store: ObjectStore) => ObjectStore {
  return replacedMethod('put', (put) => (key, ...rest) => {
    return hangs.isHanging && String(key).startsWith('log/') ? new Promise(() => {}) : put(key, ...rest);
  });
}

function withUnreadableHead(isUnreadable: () => boolean): (store: ObjectStore) => ObjectStore {
  return replacedMethod('read', (read) => async (key, ...rest) => {
    if (key === 'head' && isUnreadable()) throw new Fault('STORE_UNREACHABLE', 'the head is not to be had');
    return read(key, ...rest);
  });
}

describe.skipIf(programs === undefined).each([
  ['files', {}],
  // A server that logs every statement is not asked a few times a second.
  ['a sender', { log_duration: 'on' }],
])('a capture from %s', (_, through: Readonly<Record<string, string>>) => {
  it('makes another base backup for a tablespace that is created while one is being made', async () => {
    const cluster = await ProtectedCluster.create({ settings: through });
    const { server } = cluster;
    await cluster.start();
    const create = (name: string): Promise<unknown> =>
      server.sql(`CREATE TABLESPACE ${name} LOCATION '${makeOwned(join(cluster.scratch, name))}'`);
    const make = cluster.base.bind(cluster);
    let made = 0;
    cluster.base = async (...wish) => {
      const snapshot = await make(...wish);
      if (++made === 1) {
        await create('second');
        await cluster.caughtUp();
      }
      return snapshot;
    };
    await create('first');
    await until(() => cluster.bases.length === 3);
    const kept = JSON.parse(baseFactsOf(cluster.bases[2]!).tablespaces) as unknown[];
    expect(kept).toHaveLength(2);
  });

  it('whose store hangs for ever acknowledges nothing, says so, ends when it is told to, and when the server gives its slot up records the gap and makes a new base', async () => {
    const hangs = { isHanging: false };
    const cluster = await ProtectedCluster.create({
      wrap: withHangs(hangs),
      patience: { flushMs: 200, stallMs: 500, watchMs: 60_000 },
      settings: { ...through, max_wal_size: '32MB', min_wal_size: '32MB' },
    });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    hangs.isHanging = true;
    const told = cluster.troubles.length;
    await server.sql('INSERT INTO t VALUES (2)');
    await until(
      () => cluster.troubles.slice(told).some((text) => /The store has taken nothing/.test(text)),
      () => cluster.troubles.join('; '),
    );
    const positions = await server.sql(
      "SELECT (told - '0/0'::pg_lsn)::text FROM (SELECT restart_lsn AS told FROM pg_replication_slots UNION ALL SELECT flush_lsn FROM pg_stat_replication) one",
    );
    expect(positions).toHaveLength('log_duration' in through ? 2 : 1);
    for (const [position] of positions) expect(Number(position)).toBeLessThanOrEqual(cluster.status!.durable);
    expect(cluster.status!.stalledMs).toBeGreaterThan(0);
    // It ends, although nobody answers; what it has not stored is still with the server.
    await cluster.stop();
    hangs.isHanging = false;
    cluster.begin();
    await cluster.caughtUp();
    expect(cluster.gaps).toEqual([]);
    await server.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
    await server.sql('SELECT pg_reload_conf()');
    hangs.isHanging = true;
    const lost = await serverClock(server);
    await until(
      async () => {
        await server.sql(
          "CREATE TABLE big AS SELECT repeat('y', 1000) FROM generate_series(1, 20000); DROP TABLE big; SELECT pg_switch_wal()",
        );
        await server.sql('CHECKPOINT');
        return cluster.gaps.length > 0;
      },
      () => cluster.troubles.join('; '),
    );
    const bases = cluster.bases.length;
    hangs.isHanging = false;
    await until(
      () => cluster.bases.length > bases,
      () => cluster.troubles.join('; '),
    );
    await cluster.stop();
    cluster.begin();
    await server.sql('INSERT INTO t VALUES (3)');
    const third = Number((await server.sql("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text"))[0]![0]);
    await cluster.caughtUp();
    // The server may have taken its slot away once more, behind the first new base, and with it what was just written: then there is another.
    let plan: unknown;
    await until(
      async () => /^gap: .*the server had removed the log/.test(String((plan = await cluster.plan({ kind: 'time', time: lost })))),
      () => [String(plan), ...cluster.troubles.slice(-5)].join('; '),
    );
    await until(
      async () => (await cluster.window()).at(-1)!.to.position >= third,
      () => cluster.troubles.slice(-5).join('; '),
    );
    const now = await cluster.restore({ kind: 'latest' });
    expect((await now.sql.query('SELECT n FROM t ORDER BY n')).rows.flat()).toEqual(['1', '2', '3']);
    await now.close();
  });

  it('makes a base backup although its look for one failed at first', async () => {
    let failing = 0;
    const cluster = await ProtectedCluster.create({ settings: through, wrap: withUnreadableHead(() => failing-- > 0) });
    const make = cluster.base.bind(cluster);
    // Log, and no base backup yet.
    cluster.base = () => Promise.reject(new Fault('PG_NOT_READY', 'not now'));
    cluster.begin();
    await until(() => cluster.troubles.length > 0);
    await cluster.caughtUp();
    await cluster.stop();
    cluster.base = make;
    failing = 1;
    await cluster.start();
    expect(cluster.troubles).toEqual(['not now', 'the head is not to be had']);
    await cluster.stop();
  });

  it('lets no way lead over log that the server wrote with wal_level=minimal, and makes a new base', async () => {
    const cluster = await ProtectedCluster.create({ settings: through });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    await cluster.stop();
    await server.sql("SELECT pg_drop_replication_slot('holdfast')");
    const restartWith = async (settings: Readonly<Record<string, string>>): Promise<void> => {
      server.configure(settings);
      await server.stop();
      await server.start();
    };
    await restartWith({ wal_level: 'minimal', max_wal_senders: '0' });
    await server.sql('BEGIN; CREATE TABLE unlogged AS SELECT g FROM generate_series(1, 1000) g; COMMIT');
    const between = await serverClock(server);
    await server.sql('INSERT INTO t VALUES (2)');
    await restartWith({ wal_level: 'replica', max_wal_senders: '10' });
    await cluster.start();
    await until(() => cluster.bases.length === 2);
    await server.sql('INSERT INTO t VALUES (3)');
    await cluster.caughtUp();
    expect(cluster.gaps).toMatchObject([{ cause: expect.stringContaining('wal_level=minimal') }]);
    expect(await cluster.window()).toMatchObject(cluster.bases.map(({ id }) => ({ bases: [id] })));
    expect(await cluster.plan({ kind: 'time', time: between })).toMatch(/^gap: .*wal_level=minimal/);
    const { facts } = await cluster.facts();
    const before = await cluster.restore({ kind: 'position', position: facts.gaps[0]!.from - 1 });
    expect(await column(before, 'SELECT n FROM t ORDER BY n')).toEqual(['1']);
    await before.close();
    const restored = await cluster.restore(LATEST);
    expect(await column(restored, 'SELECT n FROM t ORDER BY n')).toEqual(['1', '2', '3']);
    expect(await column(restored, 'SELECT count(*) FROM unlogged')).toEqual(['1000']);
    await restored.close();
  });

  it('goes on late in a long segment without storing its begin again', async () => {
    const cluster = await ProtectedCluster.create({ walSegmentMib: 64, settings: { ...through, max_wal_size: '1GB' } });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int, filler text)');
    await cluster.start();
    await server.sql("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n");
    await cluster.caughtUp();
    await cluster.stop();
    const [before] = (await cluster.facts()).view.stretches.slice(-1);
    expect(before!.to % (64 * MIB)).toBeGreaterThan(48 * MIB);
    cluster.begin();
    await server.sql("INSERT INTO t VALUES (0, '')");
    await cluster.caughtUp();
    const after = (await cluster.facts()).view.stretches.at(-1)!;
    expect(after.from).toBe(before!.to);
    const restored = await cluster.restore({ kind: 'latest' });
    expect((await restored.sql.query('SELECT count(*), sum(n) FROM t')).rows).toEqual([['50001', '1250025000']]);
    await restored.close();
  });

  it('protects a server whose archiver stands still, and an idle one: the last recovery point moves on', async () => {
    const cluster = await ProtectedCluster.create({ settings: { ...through, archive_mode: 'on', archive_command: 'false' } });
    await cluster.start();
    await cluster.stop();
    cluster.begin(100);
    const last = async (): Promise<number> => (await cluster.window()).at(-1)!.to.time;
    const before = await last();
    await until(async () => (await last()) > before + 200_000);
    expect(await cluster.window()).toHaveLength(1);
  });
});

it('gaps are skipped one after the other: a second one begins where the first has ended', () => {
  const gap = { incarnation: '', cause: '', at: '' };
  const view = {
    recordedGaps: [
      { ...gap, timeline: 1, from: 100, to: 1000 },
      { ...gap, timeline: 2, from: 1000, to: 3000 },
    ],
  } as unknown as LogView;
  expect(skipGaps({ timeline: 1, position: 0, stored: 100 }, 2, view)).toEqual({ timeline: 2, position: 3000, stored: undefined });
  expect(skipGaps({ timeline: 1, position: 0, stored: 99 }, 2, view)).toEqual({ timeline: 1, position: 0, stored: 99 });
});

describe.skipIf(programs === undefined)('configuration outside of the data directory', () => {
  it('is kept with the base backup, and preflight says what a role lacks to read it', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const outside = makeOwned(join(cluster.scratch, 'etc'));
    const included = join(outside, 'conf.d/more.conf');
    makeOwned(join(outside, 'conf.d'));
    writeFileSync(included, "work_mem = '5MB'\n");
    const rules = 'local all all trust\nlocal replication all trust\n';
    writeFileSync(join(outside, 'rules.conf'), rules);
    server.configure({ include_dir: join(outside, 'conf.d'), hba_file: join(outside, 'rules.conf') });
    await server.stop();
    await server.start();
    const base = await cluster.base();
    const { files, missing } = JSON.parse(baseFactsOf(base).configuration!) as { files: string[]; missing: string };
    expect([files.sort(), missing]).toEqual([[included, join(outside, 'rules.conf')].sort(), '']);
    const target = join(cluster.scratch, 'back');
    expect(await restoreTo(cluster.repository, base.id, target)).toEqual([]);
    expect(readFileSync(join(target, 'configuration', included), 'utf8')).toBe("work_mem = '5MB'\n");
    expect(readFileSync(join(target, 'configuration', outside, 'rules.conf'), 'utf8')).toBe(rules);
    await server.sql('CREATE ROLE keeper LOGIN REPLICATION');
    const checkOf = async (): Promise<PreflightCheck> => {
      const address = { ...server.address(), user: 'keeper' };
      const { checks } = await preflight(address, 'holdfast', new AbortController().signal);
      return checks.find(({ name }) => name === 'configuration')!;
    };
    const lacking = await checkOf();
    expect(lacking.state).toBe('warning');
    await server.sql(lacking.remedy);
    expect(await checkOf()).toMatchObject({ state: 'ok', found: expect.stringContaining(included) });
  });
});

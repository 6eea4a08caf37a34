// What goes wrong while a server recovers: it must never come up with less than was asked for.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FETCH_LOG } from '../../agents/postgres/fetch-log.ts';
import {
  GATE_MARK,
  restoreCommandOf,
  shellWord,
  withoutGate,
  withoutRecovery,
  withRecovery,
} from '../../agents/postgres/recovery-settings.ts';
import { Fault } from '../../src/base/faults.ts';
import type { RecoveryPlan } from '../../src/engine/recovery-plan.ts';
import { segmentName } from '../../src/model/lsn.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, serverUser } from '../support/postgres.ts';
import { ProtectedCluster, serverClock, until } from '../support/protected-cluster.ts';
import { replacedMethod } from '../support/replaced-method.ts';

const programs = postgresPrograms();
const SEGMENT_BYTES = 16 * 1024 * 1024;

type Weather = { spoil: ((key: string) => Promise<Uint8Array> | undefined) | undefined };

/** Reads of log objects go through `weather`. */
function withWeather(weather: Weather): (store: ObjectStore) => ObjectStore {
  return replacedMethod('get', (get) => async (key, range, ...rest) => {
    // The index at an object's head is read alone; here it is about the content.
    const spoilt = String(key).startsWith('log/') && range === undefined ? weather.spoil?.(String(key)) : undefined;
    return spoilt ?? get(key, range, ...rest);
  });
}

describe.skipIf(programs === undefined)('a recovery', () => {
  it('fails, and never ends early, when the repository fails in the middle of the log: refusal, silence, absence, damage, other bytes', async () => {
    const weather: Weather = { spoil: undefined };
    const cluster = await ProtectedCluster.create({ wrap: withWeather(weather) });
    const { server } = cluster;
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    for (let n = 0; n < 3; n++) await server.sql(`INSERT INTO t SELECT generate_series(1, 100); SELECT pg_switch_wal()`);
    await server.sql('INSERT INTO t VALUES (0)');
    await cluster.caughtUp();
    const good = cluster.repository.store;
    let first = '';
    const spoils: Record<string, (key: string) => Promise<Uint8Array>> = {
      denied: () => Promise.reject(new Fault('STORE_DENIED', 'refused')),
      silent: () => Promise.reject(new Fault('STORE_TIMEOUT', 'silent')),
      absent: () => Promise.reject(new Fault('STORE_NOT_FOUND', 'not there')),
      damaged: async (key) => {
        weather.spoil = undefined;
        const bytes = Uint8Array.from(await good.get(key));
        bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 1;
        weather.spoil = spoils.damaged;
        return bytes;
      },
      // Sealed by us, whole, and of another place: it must not open there.
      exchanged: async () => {
        weather.spoil = undefined;
        const other = await good.get(first);
        weather.spoil = spoils.exchanged;
        return other;
      },
    };
    for (const [what, spoil] of Object.entries(spoils)) {
      const before = cluster.recoveries.length;
      let seen = 0;
      weather.spoil = (key) => {
        if (seen++ === 0) first = key;
        return key === first ? undefined : spoil(key);
      };
      await expect(cluster.restore({ kind: 'latest' }), what).rejects.toMatchObject({ code: 'PG_RECOVERY_FAILED' });
      weather.spoil = undefined;
      expect(cluster.recoveries.length, what).toBe(before + 1);
      // pg_controldata: promoted clusters are on another timeline.
      const data = cluster.recoveries.at(-1)!;
      expect(server.run('pg_controldata', ['-D', data]), what).toMatch(/TimeLineID:\s+1\n/);
    }
    // Whoever is asked says that there is no more behind the first segment: the server knows that there must be.
    weather.spoil = (key) => (key === first ? undefined : spoils.denied!(key));
    const plan = (await cluster.plan({ kind: 'latest' })) as RecoveryPlan;
    const segment = segmentName(1, Math.floor(plan.base.start / SEGMENT_BYTES), SEGMENT_BYTES);
    const real = `exec ${FETCH_LOG.map(shellWord).join(' ')} "$0" "$@"`;
    const wish = { asking: ['sh', '-c', `if [ "$2" = ${segment} ]; then ${real}; fi; exit 77`] };
    await expect(cluster.restore({ kind: 'latest' }, wish)).rejects.toMatchObject({
      code: 'PG_RECOVERY_FAILED',
      message: expect.stringMatching(/before configured recovery target was reached/),
    });
    expect(server.run('pg_controldata', ['-D', cluster.recoveries.at(-1)!])).toMatch(/TimeLineID:\s+1\n/);
    weather.spoil = undefined;
    const restored = await cluster.restore({ kind: 'latest' });
    expect((await restored.sql.query('SELECT count(*) FROM t')).rows).toEqual([['301']]);
    await restored.close();
  });

  it('ends with a base of which a part is damaged, and leaves nothing that starts', async () => {
    const cluster = await ProtectedCluster.create();
    await cluster.server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await cluster.caughtUp();
    const packs = join(cluster.scratch, 'repository/packs');
    const names = readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(packs, name)).isFile());
    // The largest holds files, and not where they belong.
    const largest = names.map((name) => join(packs, name)).sort((a, b) => statSync(b).size - statSync(a).size)[0]!;
    const bytes = readFileSync(largest);
    for (let at = 100_000; at < bytes.length - 100_000; at += 50_000) bytes[at]! ^= 1;
    rmSync(largest);
    writeFileSync(largest, bytes);
    await expect(cluster.restore({ kind: 'latest' })).rejects.toMatchObject({
      code: 'PG_RECOVERY_FAILED',
      message: expect.stringMatching(/files of the base could not be restored/),
    });
    expect(existsSync(join(cluster.recoveries.at(-1)!, 'global/pg_control'))).toBe(false);
  });

  it.each([
    ['ends with 1', 'exit 1'],
    ['ends with 2, as for a wrong option', 'exit 2'],
    ['ends with 126', 'exit 126'],
    ['is killed', 'kill -9 $$'],
    ['aborts', 'kill -6 $$'],
    ['is not there', '/nowhere/holdfast'],
  ])('fails, and never ends early, when its helper %s', async (_, command) => {
    const cluster = await ProtectedCluster.create();
    await cluster.server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await cluster.server.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    const words = ['sh', '-c', command];
    // What asks first, and the whole program, which is started when the first says that nobody listens.
    for (const wish of [{ asking: words }, { asking: ['sh', '-c', 'exit 76'], program: words }]) {
      await expect(cluster.restore({ kind: 'latest' }, wish)).rejects.toMatchObject({ code: 'PG_RECOVERY_FAILED' });
      expect(cluster.server.run('pg_controldata', ['-D', cluster.recoveries.at(-1)!])).toMatch(/TimeLineID:\s+1\n/);
    }
  });

  it('takes nothing over that production was told about recovery and archiving', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const touched = join(makeOwned(join(cluster.scratch, 'archive')), 'touched');
    await server.sql(`ALTER SYSTEM SET archive_mode = on`);
    await server.sql(`ALTER SYSTEM SET archive_command = 'touch ${touched}-%f'`);
    await server.sql(`ALTER SYSTEM SET recovery_target_name = 'nowhere'`);
    await server.sql('CREATE TABLE t (n int)');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    const restored = await cluster.restore({ kind: 'latest' });
    expect(
      (await restored.sql.query("SELECT current_setting('archive_mode'), current_setting('recovery_target_name'), count(*) FROM t"))
        .rows,
    ).toEqual([['off', '', '1']]);
    // Neither reached from outside nor reaching out: a copy of a subscriber would take what is meant for production.
    for (const [name, value] of [
      ['listen_addresses', ''],
      ['max_logical_replication_workers', '0'],
      ['unix_socket_directories', restored.sandbox],
      ['hba_file', join(restored.sandbox, 'pg_hba.conf')],
    ] as const)
      expect((await restored.sql.query(`SHOW ${name}`)).rows, name).toEqual([[value]]);
    expect(statSync(restored.sandbox).mode & 0o777).toBe(0o700);
    await restored.sql.query('SELECT pg_switch_wal()');
    const { dataDirectory } = restored;
    await restored.finish();
    expect(readFileSync(join(dataDirectory, 'postgresql.auto.conf'), 'utf8')).not.toMatch(
      /^(restore_command|recovery_target|archive_command)/m,
    );
    await restored.close();
  });
});

describe('the settings of a recovery', () => {
  const settings = {
    restoreCommand: "it's",
    stopAt: undefined,
    timeline: 3,
    action: 'pause',
    floor: { max_connections: 200 },
  } as const;

  it('come and go without a trace', () => {
    const before = "max_wal_size = '1GB'\nwork_mem = '8MB'\n";
    const during = withRecovery(before, settings);
    expect(during).toMatch(/restore_command = 'it''s'\nrecovery_target_timeline = '3'\nrecovery_target = 'immediate'/);
    expect(during).toMatch(/max_connections = 200/);
    expect(withRecovery(during, settings)).toBe(during);
    expect(withoutRecovery(during)).toBe(before);
  });

  it.skipIf(programs === undefined)('are read by a server as they are meant, whatever is in a path', () => {
    const directory = serverScratch();
    onTestFinished(() => removeScratch(directory));
    const restoreCommand = restoreCommandOf(['/it\'s "100 %"/back\\slash'], '/a plan', '/a\\b', ['x']);
    writeFileSync(join(directory, 'postgresql.conf'), withRecovery('', { ...settings, restoreCommand }));
    const words = ['-D', directory, '-C', 'restore_command'];
    const said = execFileSync(join(programs!, 'postgres'), words, { ...serverUser(), cwd: '/', encoding: 'utf8' });
    expect(said.trimEnd()).toBe(restoreCommand);
  });

  it('comment out what another recovery has left', () => {
    const text = withoutRecovery("recovery_target_time = 'x'\n  PRIMARY_CONNINFO = 'host=production'\nport = 1\n");
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual(['port = 1']);
  });

  it('leave the gate of the original out: a copy has no token to start with', () => {
    const text = `port = 1\ninclude '/run/holdfast/portal.token' ${GATE_MARK}\n`;
    expect(withoutGate(text)).toBe('port = 1\n');
  });
});

describe.skipIf(programs === undefined)('what is captured of', () => {
  it('tablespaces, also new ones, unlogged tables, databases that come and go, prepared and long transactions, raised parameters comes back', async () => {
    const cluster = await ProtectedCluster.create({ walSegmentMib: 1, settings: { max_prepared_transactions: '5' } });
    const { server } = cluster;
    const [early, late] = [makeOwned(join(cluster.scratch, 'early')), makeOwned(join(cluster.scratch, 'late'))];
    await server.sql(`CREATE TABLESPACE early LOCATION '${early}'`);
    await server.sql('CREATE TABLE in_early TABLESPACE early AS SELECT generate_series(1, 1000) n');
    await server.sql('CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS n');
    await server.sql('CREATE TABLE long (n int)');
    await server.sql('CREATE DATABASE old');
    await cluster.start();
    const long = await server.connect();
    await long.query('BEGIN; INSERT INTO long VALUES (1)');
    await server.sql("BEGIN; INSERT INTO long VALUES (2); PREPARE TRANSACTION 'p'");
    await server.sql('DROP DATABASE old');
    await server.sql('CREATE DATABASE fresh');
    await server.sql('CREATE TABLE inside AS SELECT 7 AS n', 'fresh');
    await server.sql('UPDATE in_early SET n = n + 1');
    await server.sql("COMMIT PREPARED 'p'");
    const during = await serverClock(server);
    await long.query('COMMIT');
    long.close();
    await server.sql('ALTER SYSTEM SET max_connections = 150');
    await server.stop();
    await server.start();
    await server.sql('INSERT INTO long VALUES (3)');
    await cluster.caughtUp();
    const then = await cluster.restore({ kind: 'time', time: during });
    expect((await then.sql.query('SELECT n FROM long')).rows).toEqual([['2']]);
    expect((await then.sql.query('SELECT sum(n) FROM in_early')).rows).toEqual([['501500']]);
    expect((await then.sql.query('SELECT count(*) FROM unlogged')).rows).toEqual([['0']]);
    expect((await then.sql.query("SELECT datname FROM pg_database WHERE datname IN ('old', 'fresh')")).rows).toEqual([['fresh']]);
    await then.close();
    // Replayed here, its creation would use production's own directory: nothing may be touched.
    const bases = cluster.bases.length;
    await server.sql(`CREATE TABLESPACE late LOCATION '${late}'`);
    await server.sql('CREATE TABLE in_late TABLESPACE late AS SELECT 1 AS n');
    await cluster.caughtUp();
    await until(
      () => cluster.bases.length > bases,
      () => cluster.troubles.join('; '),
    );
    await server.sql('INSERT INTO in_late VALUES (2)');
    await cluster.caughtUp();
    const between = await cluster.plan({
      kind: 'transaction',
      id: Number((await server.sql("SELECT xmin FROM pg_class WHERE relname = 'in_late'"))[0]![0]),
    });
    expect(between).toMatchObject({ base: { snapshot: cluster.bases[0]!.id } });
    await expect(cluster.restorePlan(between as RecoveryPlan)).rejects.toMatchObject({ code: 'TARGET_OCCUPIED' });
    const now = await cluster.restore({ kind: 'latest' });
    expect((await now.sql.query('SELECT n FROM in_late ORDER BY 1')).rows).toEqual([['1'], ['2']]);
    expect((await now.sql.query('SELECT n FROM long ORDER BY 1')).rows).toEqual([['1'], ['2'], ['3']]);
    expect((await now.sql.query("SELECT current_setting('max_connections')")).rows).toEqual([['150']]);
    await now.close();
  });

  it('a page that is corrupt is not backed up unnoticed: the last clean base stays', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE TABLE t AS SELECT generate_series(1, 5000) n');
    await server.sql('CHECKPOINT');
    const path = (await server.sql("SELECT pg_relation_filepath('t')"))[0]![0]!;
    await cluster.start();
    await server.stop();
    const file = join(server.directory, path);
    const bytes = readFileSync(file);
    bytes[8192 + 4000] = bytes[8192 + 4000]! ^ 0xff;
    writeFileSync(file, bytes);
    await server.start();
    await expect(cluster.base()).rejects.toMatchObject({ code: 'PG_PAGES_CORRUPT' });
    expect((await cluster.window())[0]!.bases).toEqual([cluster.bases[0]!.id]);
  });

  it('another cluster is refused under the same name, and so is a server that was set back', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await cluster.start();
    await server.sql('CREATE TABLE t (n int)');
    const old = await cluster.standby('old');
    await old.stop();
    for (let n = 0; n < 3; n++) await server.sql('INSERT INTO t VALUES (1); SELECT pg_switch_wal()');
    await cluster.caughtUp();
    await cluster.stop();
    const stranger = await (await import('../support/postgres.ts')).TestServer.create(programs!, cluster.scratch, 'stranger');
    onTestFinished(() => stranger.stop('SIGQUIT'));
    cluster.server = stranger;
    cluster.begin();
    await expect(cluster.ended()).rejects.toMatchObject({ code: 'PG_OTHER_CLUSTER' });
    await expect(cluster.base()).rejects.toMatchObject({ code: 'PG_OTHER_CLUSTER' });
    await server.stop();
    // The standby never got what was captured since.
    old.configure({ primary_conninfo: '' });
    await old.start();
    cluster.server = old;
    cluster.begin();
    await until(
      () => cluster.troubles.some((text) => /behind the log that is stored/.test(text)),
      () => cluster.troubles.join('; '),
    );
    await cluster.stop();
  });
});

// The verbs about PostgreSQL, as a person or a script uses them, against a real server.

import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { hasClients, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { serverClock, until } from '../support/protected-cluster.ts';
import { Holdfast, newHoldfast } from './holdfast.ts';

const programs = postgresPrograms();

async function world(): Promise<{ readonly holdfast: Holdfast; readonly server: TestServer; readonly scratch: string }> {
  const scratch = serverScratch();
  onTestFinished(() => removeScratch(scratch));
  const server = await TestServer.create(programs!, scratch);
  onTestFinished(() => server.stop('SIGQUIT'));
  const holdfast = new Holdfast(join(scratch, 'holdfast'));
  mkdirSync(holdfast.directory, { recursive: true });
  holdfast.ok(['init']);
  return { holdfast, server, scratch };
}

/** Runs until it is killed; `until` something was printed. */
function capture(
  holdfast: Holdfast,
  server: TestServer,
): { readonly text: () => string; readonly kill: (how: NodeJS.Signals) => Promise<number | null> } {
  const child = holdfast.start([
    'pg',
    'capture',
    server.connectionString,
    '--asset',
    'pg/cli',
    '--ship-every',
    '100',
    '--heartbeat',
    '1',
    '--json',
  ]);
  let text = '';
  child.stdout!.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  child.stderr!.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    text: () => text,
    kill: (how) => {
      child.kill(how);
      return ended;
    },
  };
}

async function caughtUp(holdfast: Holdfast, server: TestServer): Promise<void> {
  const time = await serverClock(server);
  await until(() => {
    const { latest } = holdfast.summary(['pg', 'window', '--asset', 'pg/cli']) as { readonly latest?: string };
    return latest !== undefined && latest > textOfMicros(time);
  });
}

describe.skipIf(programs === undefined)('holdfast pg', () => {
  it('captures through kills of its own, and restores to a time with the rows of that time', async () => {
    const { holdfast, server, scratch } = await world();
    await server.sql('CREATE TABLE t (n int)');
    let running = capture(holdfast, server);
    await until(() => running.text().includes('"kind":"base"'), running.text);
    const moments: string[] = [];
    for (let n = 1; n <= 4; n++) {
      await server.sql(`INSERT INTO t VALUES (${n})`);
      moments.push(textOfMicros(await serverClock(server)));
      await running.kill('SIGKILL');
      running = capture(holdfast, server);
      await until(() => running.text().includes('"kind":"streaming"'), running.text);
    }
    await caughtUp(holdfast, server);
    expect(await running.kill('SIGINT')).toBe(0);
    expect(holdfast.summary(['pg', 'window'])).toMatchObject({ asset: 'pg/cli', intervals: 1, gaps: 0 });
    const target = join(scratch, 'restored');
    const wish = ['pg', 'restore', '--time', moments[1]!, '--target', target, '--bin-dir', programs!, '--leave-running'];
    const done = holdfast.summary(wish) as unknown as {
      readonly socketDirectory: string;
      readonly port: number;
      readonly processId: number;
    };
    onTestFinished(() => removeScratch(done.socketDirectory));
    const address = { ...server.address(), host: done.socketDirectory, port: done.port };
    const sql = await PgConnection.open({ address });
    expect((await sql.query('SELECT n FROM t ORDER BY 1')).rows).toEqual([['1'], ['2']]);
    sql.close();
    process.kill(done.processId, 'SIGINT');
    const answers = async (): Promise<boolean> =>
      PgConnection.open({ address }).then(
        (one) => {
          one.close();
          return true;
        },
        () => false,
      );
    await until(async () => !(await answers()));
    // Not over what is there.
    const again = ['pg', 'restore', '--latest', '--target', target, '--bin-dir', programs!];
    expect(holdfast.fault(again)).toMatchObject({ code: 'TARGET_OCCUPIED' });
  });

  it('refuses before anything is written what cannot be restored, and says what can', async () => {
    const { holdfast, server, scratch } = await world();
    expect(holdfast.fault(['pg', 'window'])).toMatchObject({ code: 'RECOVERY_REFUSED' });
    const running = capture(holdfast, server);
    await until(() => running.text().includes('"kind":"base"'), running.text);
    await caughtUp(holdfast, server);
    await running.kill('SIGINT');
    const target = join(scratch, 'restored');
    for (const time of ['2020-01-01T00:00:00Z', '2050-01-01T00:00:00+08:00'])
      expect(holdfast.fault(['pg', 'restore', '--time', time, '--target', target])).toMatchObject({
        code: 'RECOVERY_REFUSED',
        line: { message: expect.stringMatching(/What can be restored: 20/) },
      });
    for (const args of [['--time', '2026-01-01 10:00'], ['--lsn', 'x'], ['--latest', '--xid', '5'], []])
      expect(holdfast.fault(['pg', 'restore', ...args, '--target', target])).toMatchObject({ code: 'USAGE', status: 2 });
    const other = holdfast.file('other/postgres', '#!/bin/sh\necho "postgres (PostgreSQL) 12.4"\n');
    chmodSync(other, 0o755);
    expect(holdfast.fault(['pg', 'restore', '--latest', '--target', target, '--bin-dir', dirname(other)])).toMatchObject({
      code: 'PG_NOT_READY',
    });
    expect(existsSync(target)).toBe(false);
    expect(holdfast.summary(['pg', 'restore', '--latest', '--dry-run'])).toMatchObject({ dryRun: true, timeline: 1 });
    expect(holdfast.fault(['pg', 'restore', '--xid', '99999999', '--target', target])).toMatchObject({ code: 'RECOVERY_REFUSED' });
    expect(holdfast.fault(['pg', 'window', '--timeline', '7'])).toMatchObject({ code: 'RECOVERY_REFUSED' });
    for (const [args, code] of [
      [['pg', 'restore', '--latest', '--target', other, '--bin-dir', programs!], 'TARGET_OCCUPIED'],
      [['pg', 'restore', '--latest', '--target', '/proc/nowhere', '--bin-dir', programs!], 'TARGET_FAILED'],
      [['pg', 'prove', '--latest', '--directory', target, '--bin-dir', programs!], 'TARGET_FAILED'],
      [['pg', 'prove', '--latest', '--query', 'postgres: => 1'], 'USAGE'],
      [['pg', 'heartbeat', server.connectionString, '--key-dir', '/proc/nowhere'], 'HOME_DENIED'],
      [['pg', 'heartbeat-read', server.connectionString, '--key', target], 'USAGE'],
      [['pg', 'heartbeat-read', server.connectionString, '--key', '/dev/zero'], 'USAGE'],
    ] as const)
      expect(holdfast.fault(args)).toMatchObject({ code });
  });

  it('makes base backups that store only changed pages, and that PostgreSQL finds whole', async () => {
    const { holdfast, server, scratch } = await world();
    await server.sql(
      'CREATE TABLE big AS SELECT g, md5(g::text) || md5((g + 1)::text) AS filler FROM generate_series(1, 200000) g',
    );
    // So that reading does not change every page by its hints.
    await server.sql('VACUUM (FREEZE) big');
    const backup = (...args: string[]): { readonly bytesNew: number; readonly bytesRead: number; readonly snapshot: string } =>
      holdfast.summary(['pg', 'backup', server.connectionString, '--asset', 'pg/cli', ...args]) as never;
    const first = backup();
    await server.sql('UPDATE big SET filler = filler WHERE g % 50000 = 0');
    expect(first.bytesNew).toBeGreaterThan(15_000_000);
    expect(first).not.toHaveProperty('streamedFor');
    // However the one before was read.
    for (const [n, args] of [['--sha256'], [], ['--stream']].entries()) {
      const next = backup(...args);
      expect('streamedFor' in next).toBe(args.length > 0);
      expect(next.bytesRead).toBeGreaterThan(first.bytesRead - 1_000_000);
      // Besides pages: the manifest, which is large beside so small a database, and the catalogues that have changed.
      expect(next.bytesNew).toBeLessThan(first.bytesNew / 10);
      const target = join(scratch, `plain${n}`);
      holdfast.ok(['restore', next.snapshot, '--target', target]);
      if (hasClients(programs, 'pg_verifybackup'))
        expect(server.run('pg_verifybackup', ['-n', join(target, 'data')])).toMatch(/successfully verified/);
    }
  });
});

describe('holdfast pg fetch-wal', () => {
  it('answers nothing but "I do not know" when anything at all is wrong', () => {
    const holdfast = newHoldfast();
    const file = holdfast.file(
      'plan.json',
      JSON.stringify({
        socket: holdfast.path('nobody'),
        dataDirectory: holdfast.directory,
        segmentBytes: 16 * 1024 * 1024,
        legs: [],
        location: holdfast.repository,
        asset: 'x',
        cacheDirectory: holdfast.path('cache'),
      }),
    );
    writeFileSync(holdfast.path('garbage'), '{');
    const name = '000000010000000000000001';
    for (const plan of [file, holdfast.path('garbage'), holdfast.path('missing')])
      expect(holdfast.run(['pg', 'fetch-wal', '--plan', plan, name, 'pg_wal/RECOVERYXLOG']).status, plan).toBe(255);
    expect(holdfast.run(['pg', 'fetch-wal', name, 'pg_wal/RECOVERYXLOG']).status).toBe(255);
  });
});

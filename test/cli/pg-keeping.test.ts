// What is kept of a protected cluster, and where else: copies with their log, retention, damage; as a person uses it, against a real server.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { serverClock, until } from '../support/protected-cluster.ts';
import { Holdfast } from './holdfast.ts';

const programs = postgresPrograms();
const ASSET = ['--asset', 'pg/kept'];

type World = {
  readonly holdfast: Holdfast;
  readonly server: TestServer;
  readonly scratch: string;
  readonly end: () => Promise<void>;
};

/** A server that is captured. */
async function world(): Promise<World> {
  const scratch = serverScratch();
  onTestFinished(() => removeScratch(scratch));
  const server = await TestServer.create(programs!, scratch);
  onTestFinished(() => server.stop('SIGQUIT'));
  const holdfast = new Holdfast(join(scratch, 'holdfast'));
  mkdirSync(holdfast.directory, { recursive: true });
  holdfast.ok(['init']);
  const args = ['pg', 'capture', server.connectionString, ...ASSET, '--ship-every', '100', '--heartbeat', '1', '--json'];
  const child = holdfast.start(args);
  let text = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (piece: Buffer) => (text += piece.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await until(
    () => text.includes('"kind":"base"'),
    () => text,
  );
  const end = async (): Promise<void> => {
    child.kill('SIGINT');
    await ended;
  };
  return { holdfast, server, scratch, end };
}

async function caughtUp(holdfast: Holdfast, server: TestServer): Promise<void> {
  const time = textOfMicros(await serverClock(server));
  await until(() => {
    const { latest } = holdfast.summary(['pg', 'window', ...ASSET]) as { readonly latest?: string };
    return latest !== undefined && latest > time;
  });
}

/** Fills a segment each. */
async function segments(server: TestServer, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await server.sql('INSERT INTO t SELECT generate_series(1, 10); SELECT pg_switch_wal()');
}

function logFiles(holdfast: Holdfast): string[] {
  const files = readdirSync(join(holdfast.repository, 'log'), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  return files.map(({ parentPath, name }) => join(parentPath, name)).sort();
}

describe.skipIf(programs === undefined)('a protected cluster', () => {
  it('is restored from a copy that was made while it was captured', async () => {
    const { holdfast, server, scratch, end } = await world();
    await server.sql('CREATE TABLE t (n int)');
    const place = join(scratch, 'copy');
    const secret = holdfast.secret('other', 'another passphrase');
    const elsewhere = { variables: { HOLDFAST_REPO: place, HOLDFAST_PASSPHRASE_FILE: secret } };
    holdfast.ok(['init'], elsewhere);
    const copy = ['copy', '--to', place, '--to-passphrase-file', secret];
    const times: string[] = [];
    const missing: number[] = [];
    for (let round = 1; round <= 3; round++) {
      await segments(server, 1);
      await server.sql(`INSERT INTO t VALUES (${1000 + round})`);
      times.push(textOfMicros(await serverClock(server)));
      await caughtUp(holdfast, server);
      missing.push((holdfast.summary(copy) as unknown as { readonly logBytes: number }).logBytes);
      const { latest, intervals, gaps } = holdfast.summary(['pg', 'window', ...ASSET], elsewhere) as Record<string, unknown>;
      expect([intervals, gaps]).toEqual([1, 0]);
      expect(String(latest) > times.at(-1)!).toBe(true);
    }
    // Each brings what came since.
    expect(Math.max(...missing)).toBeLessThan(64 * 1024 * 1024);
    await end();
    const target = join(scratch, 'restored');
    const wish = ['pg', 'restore', ...ASSET, '--time', times[1]!, '--target', target, '--bin-dir', programs!, '--leave-running'];
    const restored = holdfast.summary(wish, elsewhere) as unknown as { socketDirectory: string; port: number; processId: number };
    onTestFinished(() => removeScratch(restored.socketDirectory));
    const sql = await PgConnection.open({ address: { ...server.address(), host: restored.socketDirectory, port: restored.port } });
    expect((await sql.query('SELECT n FROM t WHERE n > 1000 ORDER BY 1')).rows).toEqual([['1001'], ['1002']]);
    sql.close();
    process.kill(restored.processId, 'SIGQUIT');
  });

  it('keeps the bases that a window needs, whatever rules say, and its log goes with a prune', async () => {
    const { holdfast, server, end } = await world();
    await server.sql('CREATE TABLE t (n int)');
    await segments(server, 2);
    const second = holdfast.summary(['pg', 'backup', server.connectionString, ...ASSET]) as unknown as {
      readonly snapshot: string;
    };
    await segments(server, 2);
    await caughtUp(holdfast, server);
    await end();
    const before = logFiles(holdfast).length;
    const plan = holdfast.lines(['forget', '--keep-window', '1h', '--dry-run']);
    expect(plan.filter(({ kind }) => kind === 'kept')).toMatchObject([
      { reasons: expect.anything() },
      { reasons: expect.anything() },
    ]);
    expect(holdfast.fault(['forget', second.snapshot])).toMatchObject({ code: 'RETENTION_DROPS_ALL' });
    // The newest base, and no more: it can be restored.
    expect(holdfast.lines(['forget', '--keep-last', '1'])).toMatchObject([
      { kind: 'kept', id: second.snapshot, reasons: ['the newest', 'the newest base that can be restored'] },
      { kind: 'forgotten' },
      { kind: 'summary' },
    ]);
    expect(logFiles(holdfast)).toHaveLength(before);
    const dry = holdfast.summary(['prune', '--dry-run']) as unknown as { readonly logObjectsDeleted: number };
    expect(dry.logObjectsDeleted).toBeGreaterThan(0);
    expect(holdfast.summary(['prune'])).toMatchObject({ logObjectsDeleted: dry.logObjectsDeleted });
    expect(logFiles(holdfast)).toHaveLength(before - dry.logObjectsDeleted);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', logDamaged: 0 });
    expect(holdfast.summary(['pg', 'window'])).toMatchObject({ intervals: 1, gaps: 0 });
    expect(holdfast.summary(['pg', 'restore', '--latest', '--dry-run'])).toMatchObject({ base: second.snapshot });
  });

  it('is restored while its base is forgotten and pruned, which then go', async () => {
    const { holdfast, server, scratch, end } = await world();
    await server.sql('CREATE TABLE t (n int)');
    await segments(server, 2);
    const wanted = textOfMicros(await serverClock(server));
    await segments(server, 1);
    holdfast.ok(['pg', 'backup', server.connectionString, ...ASSET]);
    await segments(server, 1);
    await caughtUp(holdfast, server);
    await end();
    const target = join(scratch, 'restored');
    const place = ['--target', target, '--bin-dir', programs!, '--download-limit', '4m'];
    const restore = holdfast.start(['pg', 'restore', ...ASSET, '--time', wanted, ...place]);
    onTestFinished(() => void restore.kill('SIGKILL'));
    const ended = new Promise((resolve) => restore.once('close', resolve));
    await until(() => existsSync(join(target, 'holdfast-restore.json')) || restore.exitCode !== null);
    // In the midst of its base: it goes on when everything is over.
    restore.kill('SIGSTOP');
    expect(holdfast.lines(['forget', '--keep-last', '1'])).toMatchObject([
      { kind: 'kept' },
      { kind: 'forgotten' },
      { kind: 'summary' },
    ]);
    holdfast.ok(['prune']);
    restore.kill('SIGCONT');
    expect(await ended).toBe(0);
    const { logObjectsDeleted } = holdfast.summary(['prune']) as unknown as { readonly logObjectsDeleted: number };
    expect(logObjectsDeleted).toBeGreaterThan(0);
  });

  it('shows what damage of its log costs, and refuses to restore over it', async () => {
    const { holdfast, server, end } = await world();
    await server.sql('CREATE TABLE t (n int)');
    await segments(server, 2);
    const lost = textOfMicros(await serverClock(server));
    await segments(server, 1);
    await caughtUp(holdfast, server);
    await end();
    const path = logFiles(holdfast).findLast((file) => !file.includes('.'))!;
    const bytes = readFileSync(path);
    bytes[bytes.length - 60]! ^= 4;
    rmSync(path);
    writeFileSync(path, bytes);
    expect(holdfast.summary(['scrub'], { status: 4 })).toMatchObject({ damaged: 1 });
    const damage = holdfast.lines(['verify', '--full'], { status: 4 }).filter(({ kind }) => kind === 'damage');
    expect(damage).toMatchObject([
      { thing: 'log', message: expect.stringMatching(/log of pg\/kept.*has lost what came after 20/) },
    ]);
    expect(holdfast.summary(['pg', 'window'])).toMatchObject({ intervals: 1, gaps: 1 });
    expect(holdfast.fault(['pg', 'restore', '--time', lost, '--dry-run'])).toMatchObject({ code: 'RECOVERY_REFUSED' });
    expect(holdfast.summary(['repair'], { status: 4 })).toMatchObject({ outcome: 'lost', logsMended: 0 });
  });
});

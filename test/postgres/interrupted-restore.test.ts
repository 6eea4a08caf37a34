// Restores that are killed or interrupted: at no moment is there a directory in which a server starts as if it were whole, and what is there
// is not fetched again.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EXIT } from '../../src/base/faults.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { Holdfast } from '../cli/holdfast.ts';
import { postgresPrograms, removeScratch, serverUser } from '../support/postgres.ts';
import {
  ASSET,
  column,
  LATEST,
  type ProtectedCluster,
  protectedWithData,
  serverClock,
  until,
} from '../support/protected-cluster.ts';
import { PASSPHRASE } from '../support/repository.ts';

const programs = postgresPrograms();

/** What a server says that is started in it by hand. */
function startByHand(cluster: ProtectedCluster, directory: string): { readonly status: number | null; readonly text: string } {
  const settings = ['-c', 'listen_addresses=', '-c', `unix_socket_directories=${cluster.scratch}`, '-c', 'logging_collector=off'];
  const { status, stderr } = spawnSync(join(cluster.programs, 'postgres'), ['-D', directory, ...settings], {
    ...serverUser(),
    cwd: '/',
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, text: stderr };
}

describe.skipIf(programs === undefined)('a restore that is interrupted', () => {
  it('by SIGINT or SIGKILL, at each of its stages, leaves nothing that starts as if it were whole; the same command goes on', async () => {
    const cluster = await protectedWithData(300_000);
    const { server } = cluster;
    for (let n = 1; n <= 3; n++) await server.sql(`INSERT INTO t VALUES (${n}); SELECT pg_switch_wal()`);
    const wanted = await serverClock(server);
    await server.sql('INSERT INTO t VALUES (4)');
    await cluster.caughtUp();
    await cluster.stop();
    await server.stop();
    const holdfast = new Holdfast(join(cluster.scratch, 'holdfast'));
    mkdirSync(holdfast.directory, { recursive: true });
    holdfast.secret('passphrase', PASSPHRASE.toString());
    const data = server.directory;
    const plan = await cluster.plan({ kind: 'time', time: wanted });
    if (typeof plan === 'string') throw new Error(plan);
    const lsn = formatLsn(plan.stopAt!.position);
    const repository = ['--repo', join(cluster.scratch, 'repository'), '--asset', ASSET];
    const args = ['pg', 'restore', ...repository, '--lsn', lsn, '--target', data, '--delta', '--bin-dir', cluster.programs];
    const control = join(data, 'global/pg_control');
    const mark = join(data, 'holdfast-restore.json');
    const stage = (): string =>
      existsSync(mark) ? (JSON.parse(readFileSync(mark, 'utf8')) as { readonly stage: string }).stage : '';
    rmSync(join(data, 'base'), { recursive: true });
    for (const [when, how] of [
      ['base', 'SIGINT'],
      ['base', 'SIGKILL'],
      ['log', 'SIGKILL'],
    ] as const) {
      // Slow enough to be met in the midst of it.
      const child = holdfast.start([...args, ...(when === 'base' ? ['--download-limit', '4m'] : [])]);
      const ended = new Promise((resolve) => child.once('close', resolve));
      await until(
        () => stage() === when || child.exitCode !== null,
        () => `never came to "${when}"`,
      );
      child.kill(how);
      expect(await ended).toBe(how === 'SIGINT' ? EXIT.interrupted : null);
      expect(stage()).toBe(when);
      if (when === 'base') {
        expect(existsSync(control)).toBe(false);
        expect(startByHand(cluster, data)).toMatchObject({ status: 2, text: expect.stringMatching(/pg_control|database system/) });
      }
    }
    holdfast.ok(args);
    expect(stage()).toBe('');
    await server.start();
    expect((await server.sql('SELECT n FROM t ORDER BY 1')).flat()).toEqual(['1', '2', '3']);
    expect((await server.sql('SELECT count(*) FROM big')).flat()).toEqual(['300000']);
  });

  it('in order, while it replays, goes on without the base being read again; a server started by hand meanwhile does not skip the rest', async () => {
    const cluster = await protectedWithData(1000);
    const { server } = cluster;
    for (let n = 1; n <= 4; n++) await server.sql(`INSERT INTO t VALUES (${n}); SELECT pg_switch_wal()`);
    await server.sql('INSERT INTO t VALUES (5)');
    await cluster.caughtUp();
    const dataDirectory = join(cluster.scratch, 'again');
    const stop = new AbortController();
    const interrupted = cluster.restore(LATEST, {
      dataDirectory,
      signal: stop.signal,
      onStep: (step) => {
        if (step === 'log') stop.abort(new Error('interrupted'));
      },
    });
    await expect(interrupted).rejects.toThrow('interrupted');
    // What it would have been told by the helper is gone with the sandbox: it stops, instead of coming up with less.
    expect(startByHand(cluster, dataDirectory)).toMatchObject({ status: 1, text: expect.stringMatching(/FATAL/) });
    expect(server.run('pg_controldata', ['-D', dataDirectory])).toMatch(/TimeLineID:\s+1\n/);
    const restored = await cluster.restore(LATEST, { dataDirectory });
    expect(restored.progress.bytesFetched).toBe(0);
    expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['1', '2', '3', '4', '5']);
    await restored.close();
  });

  it('goes on to another place, when that is asked for, from the base again', async () => {
    const cluster = await protectedWithData(1000);
    const { server } = cluster;
    await server.sql('INSERT INTO t VALUES (1)');
    const early = await serverClock(server);
    await server.sql('INSERT INTO t VALUES (2)');
    await cluster.caughtUp();
    const dataDirectory = join(cluster.scratch, 'again');
    const stop = new AbortController();
    const onStep = (step: string): void => {
      if (step === 'reached') stop.abort(new Error('interrupted'));
    };
    const late = await cluster.restore(LATEST, { dataDirectory, signal: stop.signal, onStep });
    // As if it had died before it was handed over.
    await late.server.stop();
    late.sql.close();
    onTestFinished(() => removeScratch(late.sandbox));
    const restored = await cluster.restore({ kind: 'time', time: early }, { dataDirectory });
    expect(restored.progress.bytesKept).toBeGreaterThan(0);
    expect(await column(restored, 'SELECT n FROM t ORDER BY 1')).toEqual(['1']);
    expect(statSync(dataDirectory).mode & 0o777).toBe(0o700);
    await restored.close();
  });

  it('is not joined by another that begins at the same time', async () => {
    const cluster = await protectedWithData(10);
    await cluster.caughtUp();
    const dataDirectory = join(cluster.scratch, 'twice');
    const both = await Promise.allSettled([cluster.restore(LATEST, { dataDirectory }), cluster.restore(LATEST, { dataDirectory })]);
    const [refused] = both.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused?.reason).toMatchObject({ code: 'TARGET_OCCUPIED', message: expect.stringContaining('Another restore') });
    const [restored] = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(await column(restored!, 'SELECT count(*) FROM t')).toHaveLength(1);
    await restored!.close();
  });
});

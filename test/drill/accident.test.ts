import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DrillScene, ended } from '../support/drill.ts';
import { makeOwned, postgresPrograms, serverUser } from '../support/postgres.ts';
import { ASSET, until } from '../support/protected-cluster.ts';
import { mayMount, mountTmpfs, unmount } from '../support/scratch.ts';

describe.skipIf(postgresPrograms() === undefined)('a drill beside production', () => {
  // What was measured: a clone that is promoted with archiving on, and a standby that follows its timeline out of the archive.
  it('promotes its clones without production, its log, its archive or its standby ever seeing it, two at once', async () => {
    const scene = await DrillScene.create();
    const { server } = scene.cluster;
    const archive = makeOwned(join(scene.directory, 'archive'));
    server.configure({ archive_mode: 'on', archive_command: `cp %p ${archive}/%f`, archive_timeout: '1s' });
    await scene.cluster.stop();
    await server.stop();
    await server.start();
    scene.cluster.begin();
    await scene.cluster.base();
    const standby = await scene.cluster.standby('standby');
    standby.configure({ restore_command: `cp ${archive}/%f %p`, recovery_target_timeline: 'latest', primary_conninfo: '' });
    await standby.stop();
    await standby.start();
    await server.sql('CREATE ROLE eye LOGIN');
    await scene.cluster.caughtUp();
    await until(async () => (await standby.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'eye'"))[0]![0] === '1');
    const eyeOf = ({ socketDirectory, port }: typeof server): string =>
      `host=${socketDirectory} port=${port} user=eye dbname=postgres`;
    const looks = ['--production', `${ASSET}=${eyeOf(server)}`, '--standby', `${ASSET}=${eyeOf(standby)}`];
    const plan = scene.plan();
    const drills = await Promise.all([1, 2].map(() => ended(scene.begin(plan, looks))));
    for (const { status, lines } of drills) expect({ status, last: lines.at(-1) }).toMatchObject({ status: 0 });
    const rooms = scene
      .drills()
      .map((drill) => scene.measured('fact', drill).find(({ value }) => value.name === 'room')!.value.value);
    expect(new Set(rooms).size).toBe(2);
    expect(readdirSync(archive).filter((name) => !name.startsWith('00000001'))).toEqual([]);
    await server.sql('INSERT INTO orders SELECT g FROM generate_series(1001, 1100) g');
    await scene.cluster.caughtUp();
    const { view } = await scene.cluster.facts();
    expect(view.stretches.map(({ timeline }) => timeline).filter((timeline) => timeline !== 1)).toEqual([]);
    await until(async () => (await standby.sql('SELECT count(*) FROM orders'))[0]![0] === '1100');
    expect(await standby.sql("SELECT timeline_id, to_regclass('holdfast.drill_write') FROM pg_control_checkpoint()")).toEqual([
      ['1', null],
    ]);
    expect(scene.left()).toEqual([]);
  });

  it('needs no root: a room can be made by whoever may make a namespace of users', async () => {
    const user = serverUser();
    if (user === undefined) return;
    const scene = await DrillScene.create();
    // The test's own file among the server's: nobody but root could give it back to root.
    chownSync(join(scene.cluster.server.directory, 'server.log'), user.uid, user.gid);
    await scene.cluster.base();
    await scene.cluster.caughtUp();
    const own = makeOwned(join(scene.directory, 'own'));
    cpSync(join(scene.directory, 'repository'), join(own, 'repository'), { recursive: true });
    for (const name of ['evidence', 'passphrase', 'keys']) chownSync(join(scene.directory, name), user.uid, user.gid);
    execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, own]);
    // Somebody else's disk, in a place where this user may not go.
    const disk = join(scene.directory, 'private', 'disk');
    mkdirSync(disk, { recursive: true });
    chmodSync(join(disk, '..'), 0o700);
    if (mayMount()) {
      mountTmpfs(disk, '1m');
      onTestFinished(() => unmount(disk));
    }
    const args = ['--repo', join(own, 'repository'), '--cache-dir', join(own, 'cache'), '--key-dir', join(own, 'key')];
    const { status, lines, stderr } = await ended(scene.beginWith(scene.plan(), args, user));
    expect({ status, stderr, lines }).toMatchObject({ status: 0 });
    expect(lines.at(-1)).toMatchObject({ outcome: 'succeeded', isDestroyed: true });
    expect(existsSync(join(scene.drills()[0]!, 'pack.json'))).toBe(true);
    expect(scene.left()).toEqual([]);
  });
});

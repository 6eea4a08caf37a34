import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Probe, placesOfProduction, probe, socketProbes } from '../../agents/drill/negative-probes.ts';
import { withoutGrowth } from '../../agents/drill/repository-fingerprint.ts';
import { programPlaces, Room } from '../../agents/drill/room.ts';
import { installedWith } from '../../agents/postgres/server-programs.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { DrillScene, ended, step } from '../support/drill.ts';
import { makeOwned, postgresPrograms, serverUser } from '../support/postgres.ts';
import { ASSET, PROGRAM, until } from '../support/protected-cluster.ts';

/** A socket of a service of this host, in the directory. */
async function listening(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chmodSync(path, 0o777);
  onTestFinished(() => void server.close());
  return path;
}

/** A copy of a server below another root; answers where its programs are. Debian's finds its parts by where it lies. */
function movedInstallation(programs: string, root: string): string {
  const parts = programs.startsWith('/usr/lib/postgresql/')
    ? [programs, ...installedWith(programs).slice(1)]
    : [programs, ...installedWith(programs)];
  const top = programs.startsWith('/usr/') ? '/usr' : dirname(programs);
  const options = { recursive: true, verbatimSymlinks: true, filter: (path: string) => basename(path) !== 'bitcode' };
  for (const part of parts) cpSync(part, join(root, relative(top, part)), options);
  return join(root, relative(top, programs));
}

describe('the room of a drill', () => {
  it('covers the sockets that are there, and a probe finds one that comes to be later', async () => {
    // Where rooms of other tests, which are made at the same time, see nothing.
    const scratch = mkdtempSync('/tmp/holdfast-room-');
    onTestFinished(() => rmSync(scratch, { recursive: true, force: true }));
    const [work, shown] = [join(scratch, 'work'), join(scratch, 'shown')];
    for (const path of [scratch, work, shown]) mkdirSync(path, { recursive: true });
    for (const path of [scratch, work, shown]) chmodSync(path, 0o755);
    const secret = join(shown, 'secret');
    mkdirSync(secret);
    for (const path of [join(secret, 'key'), join(shown, 'passphrase')]) writeFileSync(path, 'a secret', { mode: 0o644 });
    const before = await listening(shown, 'before.sock');
    const places = [...programPlaces([]), shown];
    const covered = [...placesOfProduction(work).filter((path) => path === before), secret, join(shown, 'passphrase')];
    const room = await Room.open({ work, shown: places, covered });
    onTestFinished(() => room.close());
    const owner = serverUser();
    const ownSockets = (): Probe[] => socketProbes(work).filter(({ of }) => of.startsWith(scratch));
    expect(await probe(room, ownSockets(), owner)).toMatchObject([{ of: before, isReached: false }]);
    const words = ['/bin/sh', '-c', `cat ${shown}/passphrase ${secret}/key; touch ${secret}/x || touch ${shown}/x || echo nothing`];
    const { text } = await room.run({ words, environment: {}, ...(owner === undefined ? {} : { owner }) });
    expect(text).toContain('nothing');
    expect(text).not.toContain('a secret');
    const later = await listening(shown, 'later.sock');
    const found = new Map((await probe(room, ownSockets(), owner)).map(({ of, isReached }) => [of, isReached]));
    expect(found).toEqual(
      new Map([
        [before, false],
        [later, true],
      ]),
    );
  });
});

/** Both as a package of one directory has them, and as Debian lays them out. */
describe.skipIf(postgresPrograms() === undefined)('a server that was installed where a room covers everything', () => {
  it('has its libraries and templates in the room', async () => {
    const scratch = mkdtempSync('/tmp/holdfast-room-');
    onTestFinished(() => rmSync(scratch, { recursive: true, force: true }));
    const programs = movedInstallation(postgresPrograms()!, join(scratch, 'usr'));
    const owner = serverUser();
    const work = makeOwned(join(scratch, 'work'));
    for (const path of [scratch, join(scratch, 'usr')]) chmodSync(path, 0o755);
    const room = await Room.open({ work, shown: programPlaces([programs]), covered: [] });
    onTestFinished(() => room.close());
    const words = [join(programs, 'initdb'), '-D', join(work, 'data'), '-U', 'postgres', '-A', 'trust', '-N', '--locale=C'];
    expect(await room.run({ words, environment: {}, ...(owner === undefined ? {} : { owner }) })).toMatchObject({ status: 0 });
    expect(existsSync(join(work, 'data/global/pg_control'))).toBe(true);
  });

  it('is looked for beside its programs when it has no pg_config', () => {
    expect(installedWith('/opt/server/bin')).toEqual(['/opt/server/lib', '/opt/server/share']);
  });
});

describe.skipIf(postgresPrograms() === undefined)('a drill that could reach production', () => {
  it('is void when an address of production is reached, before anything is cloned', async () => {
    const scene = await DrillScene.create();
    const reached = await scene.run(scene.plan((plan) => void plan.drill.probes.push('127.0.0.1:1')));
    expect(reached.status).toBe(4);
    expect(reached.lines.at(-1)).toMatchObject({ outcome: 'void', isDestroyed: true });
    expect(scene.claim('isolation')).toMatchObject({ isVoid: true, reached: 2 });
    expect(scene.measured('heartbeat')).toEqual([]);
    expect(scene.left()).toEqual([]);
  });

  it('is void when production changed meanwhile, and when the standby stood still', async () => {
    const scene = await DrillScene.create();
    const standby = await scene.cluster.standby('standby');
    await scene.cluster.server.sql('CREATE ROLE eye LOGIN');
    await until(async () => (await standby.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'eye'"))[0]![0] === '1');
    const eye = `host=${standby.socketDirectory} port=${standby.port} user=eye dbname=postgres`;
    await standby.sql('SELECT pg_wal_replay_pause()');
    expect(await scene.run(scene.plan(), ['--standby', `${ASSET}=${eye}`])).toMatchObject({ status: 4 });
    expect(scene.claim('isolation')).toMatchObject({ isVoid: true, stopped: 1, changed: 0 });
    const waits = scene.plan((plan) => void (plan.smokeTests = [step('waits', 'sleep 3')]));
    const drill = ended(scene.begin(waits, ['--production', `${ASSET}=${eye}`]));
    await until(() => scene.drills().length === 2 && scene.actions(scene.drills()[1]!).includes('write-test'));
    await standby.sql('SELECT pg_wal_replay_resume()');
    await standby.sql('SELECT pg_promote()');
    expect(await drill).toMatchObject({ status: 4 });
    expect(scene.claim('isolation')).toMatchObject({ isVoid: true, changed: 1 });
    // A role that could change it has no place in a drill: nothing is begun.
    const root = `host=${standby.socketDirectory} port=${standby.port} user=postgres dbname=postgres`;
    const refused = await scene.run(waits, ['--production', `${ASSET}=${root}`]);
    expect(refused.lines.at(-1)).toMatchObject({ kind: 'error', code: 'DRILL_NOT_ISOLATED' });
    expect(scene.drills()).toHaveLength(2);
    // One that nobody can look at says so.
    const away = await scene.run(waits, ['--standby', `${ASSET}=host=/nowhere user=eye dbname=postgres`]);
    expect(away).toMatchObject({ status: 4 });
    expect(away.lines.at(-1)!.failed).toContain('production: The server at eye@/nowhere');
  });
});

describe.skipIf(postgresPrograms() === undefined)('a room that cannot be made', () => {
  it('is a fault with a name, before anything is begun', async () => {
    const scene = await DrillScene.create();
    const bare = ['--bounding-set=-sys_admin,-net_admin', '--', PROGRAM];
    const args = ['drill', 'run', scene.plan(), '--repo', join(scene.directory, 'repository'), '--json'];
    const place = ['--passphrase-file', join(scene.directory, 'passphrase'), '--cache-dir', join(scene.directory, 'drill-cache')];
    const own = ['--evidence-dir', scene.evidence, '--directory', scene.clones, '--key-dir', join(scene.directory, 'k')];
    const child: ChildProcess = spawn('setpriv', [...bare, ...args, ...place, ...own], { stdio: ['ignore', 'pipe', 'pipe'] });
    if (process.getuid?.() === 0) expect((await ended(child)).lines.at(-1)).toMatchObject({ code: 'DRILL_NOT_ISOLATED' });
    expect([...scene.drills(), ...readdirSync(scene.clones)]).toEqual([]);
  });
});

describe('a fingerprint of a repository', () => {
  it('lets it grow, and nothing else', () => {
    const past = { sequence: 5, ends: { 'a/1': 100 } };
    expect(withoutGrowth(past, { sequence: 9, ends: { 'a/1': 300 } })).toEqual(past);
    expect(withoutGrowth(past, { sequence: 4, ends: { 'a/1': 100 } })).not.toEqual(past);
    expect(withoutGrowth(past, { sequence: 5, ends: { 'a/1': 99 } })).not.toEqual(past);
    expect(withoutGrowth(past, { sequence: 5, ends: {} })).not.toEqual(past);
    expect(withoutGrowth(past, { sequence: 5, ends: { 'a/1': 100, 'a/2': 200 } })).not.toEqual(past);
  });
});

/** What a plan may try. */
describe.skipIf(postgresPrograms() === undefined)('a hostile step', () => {
  it('is nobody, sees no production, keeps nothing, and ends with its limit', async () => {
    const scene = await DrillScene.create();
    const { server, programs } = scene.cluster;
    const mark = join(scene.directory, 'mark');
    const user = serverUser();
    const tries = [
      `echo uid=$(id -u) caps=$(grep CapEff /proc/self/status | cut -f2)`,
      `touch ${mark} ${server.directory}/mark ${CHECKOUT}/mark /var/lib/mark && echo WROTE`,
      `${programs}/psql -h ${server.socketDirectory} -p ${server.port} -U postgres -c 'DROP TABLE orders' && echo DROPPED`,
      `kill -9 ${process.pid} ${server.pid} && echo KILLED`,
      'unshare -r -n true && echo ESCALATED; nsenter -t 1 -n true && echo ENTERED; mount -t tmpfs x /mnt && echo MOUNTED',
      'env | grep -iE "passphrase|AWS|secret" && echo SECRET; ls /run | grep -v mount; true',
    ];
    const plan = scene.plan((one) => {
      one.smokeTests = [
        step('tries', tries.join('; ')),
        step('late', '(trap "" TERM INT; sleep 3600) & sleep 3600', { limit: '1s' }),
      ];
    });
    const { status } = await scene.run(plan);
    expect(status).toBe(1);
    const [tried, late] = scene.measured('smoke');
    const text = String(tried!.value.text);
    expect(text).toContain(`uid=${user?.uid ?? process.getuid!()} caps=0000000000000000`);
    expect(text).not.toMatch(/WROTE|DROPPED|KILLED|ENTERED|MOUNTED|SECRET/);
    expect(late!.value.status).toBeNull();
    expect(existsSync(mark)).toBe(false);
    expect((await server.sql('SELECT count(*) FROM orders'))[0]![0]).toBe('1000');
    expect(scene.claim('outcome')).toMatchObject({ outcome: 'failed' });
    expect(scene.left()).toEqual([]);
  });
});

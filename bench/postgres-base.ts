// Base backups of PostgreSQL beside pgBackRest and pg_basebackup, in alternation. Each round begins with empty repositories: the first backup,
// one after the database was written to, and the restore of that. Prints the table of README.md.
//
//   bin/node bench/postgres-base.ts [--scale 50] [--seconds 60] [--rounds 3] [--work DIRECTORY]
//
// CPU seconds are those of the command and of the server together: who lets the server read the files lets it work. They do not depend on
// who else uses the machine; wall time does. Each is the median of the rounds.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../test/support/postgres.ts';
import { type Command, measure } from './measure.ts';
import { findPgBackRest } from './peers.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const PROCESSES = String(Math.min(2, cpus().length));
const TICKS_PER_SECOND = 100;
const MB = 1e6;

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: '/dev/shm/holdfast-bench' },
  },
});
const rounds = Number(values.rounds);
const programs = postgresPrograms();
if (programs === undefined) throw new Error('PostgreSQL is needed');
mkdirSync(values.work, { recursive: true });
const pgBackRest = findPgBackRest(values.work, console.log);
const scratch = serverScratch();
const account = join(scratch, 'account');
mkdirSync(account);

type Sample = { readonly cpu: number; readonly wall: number; readonly stored: number };
type Contender = 'holdfast' | 'pgBackRest' | 'pg_basebackup';
const samples = new Map<string, Sample[]>();

/** Of the server and all of its processes, those that have ended as well. */
function serverSeconds(postmaster: number): number {
  const fields = (pid: string): number[] => {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
  };
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const all = fields(pid);
      if (Number(pid) === postmaster) ticks += all[11]! + all[12]! + all[13]! + all[14]!;
      else if (all[1] === postmaster) ticks += all[11]! + all[12]!;
    } catch {
      // It has ended.
    }
  }
  return ticks / TICKS_PER_SECOND;
}

function bytesIn(directory: string): number {
  let sum = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    sum += entry.isDirectory() ? bytesIn(path) : entry.isFile() ? statSync(path).size : 0;
  }
  return sum;
}

const asServer = (...argv: readonly string[]): readonly string[] => {
  const user = serverUser();
  return user === undefined ? argv : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--', ...argv];
};

class World {
  readonly server: TestServer;
  readonly environment = {
    HOLDFAST_REPO: join(scratch, 'holdfast'),
    HOLDFAST_CACHE_DIR: join(scratch, 'cache'),
    HOLDFAST_PASSPHRASE_FILE: join(scratch, 'passphrase'),
  };

  constructor(server: TestServer) {
    this.server = server;
    writeFileSync(this.environment.HOLDFAST_PASSPHRASE_FILE, 'bench\n');
    writeFileSync(
      join(scratch, 'pgbackrest.conf'),
      [
        '[global]',
        ...['repo1-path=repo', 'log-path=log', 'spool-path=spool', 'lock-path=lock'].map((line) =>
          line.replace('=', `=${scratch}/rest/`),
        ),
        ...(pgBackRest === '/usr/bin/pgbackrest' ? [] : [`cmd=${pgBackRest}`, 'repo1-block=y']),
        'repo1-bundle=y',
        'compress-type=zst',
        'compress-level=1',
        `process-max=${PROCESSES}`,
        'archive-check=n',
        'start-fast=y',
        'log-level-console=warn',
        '[main]',
        `pg1-path=${server.directory}`,
        `pg1-socket-path=${server.socketDirectory}`,
        `pg1-port=${server.port}`,
        'pg1-user=postgres\n',
      ].join('\n'),
    );
  }

  get connection(): string[] {
    return ['-h', this.server.socketDirectory, '-p', String(this.server.port), '-U', 'postgres'];
  }

  holdfast(...args: string[]): Command {
    return { argv: [join(CHECKOUT, 'bin/holdfast'), ...args], env: this.environment };
  }

  rest(...args: string[]): Command {
    return { argv: asServer(pgBackRest!, `--config=${scratch}/pgbackrest.conf`, '--stanza=main', ...args), cwd: '/' };
  }

  forget(): void {
    for (const name of ['holdfast', 'cache', 'rest', 'plain']) rmSync(join(scratch, name), { recursive: true, force: true });
    for (const name of ['', '/repo', '/log', '/spool', '/lock']) makeOwned(join(scratch, `rest${name}`));
    this.run(this.holdfast('init'));
    if (pgBackRest !== undefined) this.run(this.rest('--no-online', 'stanza-create'));
  }

  run({ argv, env, cwd }: Command): void {
    execFileSync(argv[0]!, argv.slice(1), {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
      ...(cwd === undefined ? {} : { cwd }),
    });
  }

  /** Memory that nobody has used for a while is given to a virtual machine page by page, when it is touched: whoever comes first would pay for
   *  it. So as much as a copy of the cluster takes is touched before each turn. */
  warm(): void {
    const copy = join(scratch, 'warm');
    execFileSync('cp', ['-r', join(this.server.directory, 'base'), copy]);
    rmSync(copy, { recursive: true });
  }

  /** `where`: what grows by what is stored. */
  async time(what: string, who: Contender, command: Command, where: string | undefined): Promise<void> {
    this.warm();
    const size = (): number => (where === undefined ? 0 : bytesIn(join(scratch, where)));
    const [bytes, seconds] = [size(), serverSeconds(this.server.pid)];
    const { userSeconds, systemSeconds, wallSeconds } = await measure(command, account);
    const cpu = userSeconds + systemSeconds + serverSeconds(this.server.pid) - seconds;
    const key = `${what}\t${who}`;
    samples.set(key, [...(samples.get(key) ?? []), { cpu, wall: wallSeconds, stored: size() - bytes }]);
    console.log(`${what}, ${who}: ${cpu.toFixed(2)} CPU s, ${wallSeconds.toFixed(2)} s, ${((size() - bytes) / MB).toFixed(1)} MB`);
  }

  /** One after the other; who begins changes from round to round. */
  async turn(round: number, turns: readonly (() => Promise<void>)[]): Promise<void> {
    for (let n = 0; n < turns.length; n++) await turns[(n + round) % turns.length]!();
  }
}

function table(): string {
  const lines = ['| operation | | CPU s | wall s | stored MB |', '| --- | --- | --- | --- | --- |'];
  for (const [key, all] of samples) {
    const median = (of: (sample: Sample) => number): number => all.map(of).sort((a, b) => a - b)[Math.floor(all.length / 2)]!;
    const [what, who] = key.split('\t');
    const stored = median(({ stored: bytes }) => bytes);
    lines.push(
      `| ${what} | ${who} | ${median(({ cpu }) => cpu).toFixed(2)} | ${median(({ wall }) => wall).toFixed(2)} | ${stored === 0 ? '' : (stored / MB).toFixed(1)} |`,
    );
  }
  return lines.join('\n');
}

const server = await TestServer.create(programs, scratch, 'production', {
  settings: { shared_buffers: '256MB', max_wal_size: '512MB', checkpoint_timeout: '1h' },
});
try {
  const world = new World(server);
  server.run('pgbench', [...world.connection, '-i', '-q', '-s', values.scale, 'postgres']);
  await server.sql('VACUUM FREEZE');
  await server.sql('CHECKPOINT');
  const own = (): Promise<void> =>
    backup(
      'holdfast',
      world.holdfast('pg', 'backup', server.connectionString, '--asset', 'bench', '--threads', PROCESSES),
      'holdfast',
    );
  const rest = (kind: string) => (): Promise<void> => backup('pgBackRest', world.rest(`--type=${kind}`, 'backup'), 'rest/repo');
  let what = 'base backup';
  const backup = (who: Contender, command: Command, where: string): Promise<void> => world.time(what, who, command, where);
  const plain = (): Promise<void> => {
    const target = makeOwned(join(scratch, 'plain'));
    const argv = [
      join(programs, 'pg_basebackup'),
      ...world.connection,
      '-D',
      target,
      '-Ft',
      '-X',
      'none',
      '--checkpoint=fast',
      '--compress=client-zstd:1',
    ];
    return backup('pg_basebackup', { argv: asServer(...argv), cwd: '/' }, 'plain');
  };
  const target = join(scratch, 'restored');
  const restored = async (who: Contender, command: Command): Promise<void> => {
    await world.time('restore of the second', who, command, undefined);
    removeScratch(target);
  };
  const theirs = (): Promise<void> => {
    makeOwned(target);
    execFileSync('chmod', ['700', target]);
    return restored('pgBackRest', world.rest(`--pg1-path=${target}`, '--archive-mode=off', '--type=none', 'restore'));
  };
  for (let round = 0; round < rounds; round++) {
    world.forget();
    makeOwned(join(scratch, 'plain'));
    what = 'base backup';
    await world.turn(round, [own, plain, ...(pgBackRest === undefined ? [] : [rest('full')])]);
    server.run('pgbench', [...world.connection, '-c', '4', '-j', '1', '-T', values.seconds, 'postgres']);
    await server.sql('CHECKPOINT');
    what = `second, after ${values.seconds} s of pgbench`;
    await world.turn(round, [own, ...(pgBackRest === undefined ? [] : [rest('incr')])]);
    await world.turn(round, [
      () => restored('holdfast', world.holdfast('restore', 'latest', '--target', target, '--threads', PROCESSES)),
      ...(pgBackRest === undefined ? [] : [theirs]),
    ]);
  }
  const version = (await server.sql('SHOW server_version'))[0]![0];
  const peer = pgBackRest === undefined ? 'no pgBackRest' : execFileSync(pgBackRest, ['version'], { encoding: 'utf8' }).trim();
  console.log(
    `\nPostgreSQL ${version}, ${peer}, pgbench scale ${values.scale}, ${PROCESSES} processes, medians of ${rounds} rounds\n`,
  );
  console.log(table());
} finally {
  await server.stop('SIGQUIT');
  removeScratch(scratch);
}

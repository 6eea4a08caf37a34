// PostgreSQL beside its peers, in one run on one machine: base backup, what a second one stores, restore, what capture costs the server, and
// how much is lost when server and capture die. Run: bin/node bench/postgres.ts [--scale N] [--seconds N] [--trials N]
//
// pgBackRest and pg_basebackup are used when they are installed. Everything lies in memory, so disks do not count.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../test/support/postgres.ts';

const HOLDFAST = join(import.meta.dirname, '../bin/holdfast');
const PROCESSES = Math.min(2, cpus().length);

type Figure = {
  readonly what: string;
  readonly holdfast: number;
  readonly peers: Readonly<Record<string, number>>;
  readonly unit: string;
};

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '15' },
    trials: { type: 'string', default: '5' },
  },
});
const [scale, seconds, trials] = [values.scale, values.seconds, values.trials].map(Number) as [number, number, number];
const programs = postgresPrograms();
if (programs === undefined) throw new Error('PostgreSQL is needed');
const scratch = serverScratch();
const figures: Figure[] = [];
const hasPgBackRest = spawnSync('pgbackrest', ['version']).status === 0;

const environment = {
  ...process.env,
  HOLDFAST_REPO: join(scratch, 'holdfast'),
  HOLDFAST_CACHE_DIR: join(scratch, 'cache'),
  HOLDFAST_PASSPHRASE_FILE: join(scratch, 'passphrase'),
};
writeFileSync(environment.HOLDFAST_PASSPHRASE_FILE, 'bench\n');

function holdfast(...args: string[]): Record<string, unknown> {
  const text = execFileSync(HOLDFAST, [...args, '--json'], { env: environment, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function bytesIn(directory: string): number {
  let sum = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    sum += entry.isDirectory() ? bytesIn(path) : entry.isFile() ? statSync(path).size : 0;
  }
  return sum;
}

function report(what: string, unit: string, own: number, peers: Record<string, number>): void {
  figures.push({ what, holdfast: own, peers, unit });
  const others = Object.entries(peers).map(([name, value]) => `${name} ${value.toFixed(2)} (${(value / own).toFixed(2)}x)`);
  console.log(`${what.padEnd(44)} holdfast ${own.toFixed(2)} ${unit}   ${others.join('   ')}`);
}

function asServer(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    ...serverUser(),
    cwd: '/',
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

const connection = (server: TestServer): string[] => ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];

/** Transactions a second. */
function pgbench(server: TestServer, during: number): number {
  const text = server.run('pgbench', [...connection(server), '-c', '4', '-j', '1', '-T', String(during), 'postgres']);
  return Number(/tps = ([\d.]+)/.exec(text)![1]);
}

async function pgbenchAsync(server: TestServer, during: number): Promise<number> {
  const child = spawn(join(programs!, 'pgbench'), [...connection(server), '-c', '4', '-j', '1', '-T', String(during), 'postgres'], {
    ...serverUser(),
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  return Number(/tps = ([\d.]+)/.exec(text)?.[1] ?? 0);
}

const server = await TestServer.create(programs, scratch, 'production', {
  settings: { shared_buffers: '256MB', max_wal_size: '4GB', checkpoint_timeout: '1h', max_prepared_transactions: '2' },
});
let capture: ReturnType<typeof spawn> | undefined;
try {
  console.log(
    `PostgreSQL ${(await server.sql('SHOW server_version'))[0]![0]}, pgbench scale ${scale}, ${PROCESSES} processes, everything in memory`,
  );
  server.run('pgbench', [...connection(server), '-i', '-q', '-s', String(scale), 'postgres']);
  await server.sql('VACUUM FREEZE');
  await server.sql('CHECKPOINT');
  holdfast('init');

  const pgbackrest = join(scratch, 'pgbackrest');
  const configuration = join(scratch, 'pgbackrest.conf');
  if (hasPgBackRest) {
    for (const name of ['', '/repo', '/log', '/spool', '/lock']) makeOwned(pgbackrest + name);
    const lines = [
      `repo1-path=${pgbackrest}/repo`,
      `log-path=${pgbackrest}/log`,
      `spool-path=${pgbackrest}/spool`,
      `lock-path=${pgbackrest}/lock`,
      'compress-type=zst',
      'compress-level=1',
      `process-max=${PROCESSES}`,
      'archive-check=n',
      'start-fast=y',
      'repo1-bundle=y',
      'log-level-console=warn',
    ];
    writeFileSync(
      configuration,
      `[global]\n${lines.join('\n')}\n\n[main]\npg1-path=${server.directory}\npg1-socket-path=${server.socketDirectory}\npg1-port=${server.port}\npg1-user=postgres\n`,
    );
    asServer('pgbackrest', [`--config=${configuration}`, '--stanza=main', '--no-online', 'stanza-create']);
  }
  const backRest = (...args: string[]): string => asServer('pgbackrest', [`--config=${configuration}`, '--stanza=main', ...args]);

  const peers: Record<string, number> = {};
  let own = 0;
  const first = await timed(() => {
    own = holdfast('pg', 'backup', server.connectionString, '--asset', 'bench', '--threads', String(PROCESSES))[
      'bytesStored'
    ] as number;
  });
  const plain = makeOwned(join(scratch, 'plain'));
  peers['pg_basebackup'] = await timed(() =>
    server.run('pg_basebackup', [...connection(server), '-D', plain, '-Ft', '-X', 'none', '--checkpoint=fast']),
  );
  if (hasPgBackRest) peers['pgBackRest'] = await timed(() => backRest('--type=full', 'backup'));
  report('base backup', 's', first, peers);
  const stored: Record<string, number> = { pg_basebackup: bytesIn(plain) / 1e6 };
  if (hasPgBackRest) stored['pgBackRest'] = bytesIn(`${pgbackrest}/repo`) / 1e6;
  report('stored by it', 'MB', own / 1e6, stored);
  removeScratch(plain);

  const without = pgbench(server, seconds);
  await server.sql('CHECKPOINT');
  const before = hasPgBackRest ? bytesIn(`${pgbackrest}/repo`) : 0;
  const second = await timed(() => {
    own = holdfast('pg', 'backup', server.connectionString, '--asset', 'bench', '--threads', String(PROCESSES))[
      'bytesStored'
    ] as number;
  });
  const again = hasPgBackRest ? { pgBackRest: await timed(() => backRest('--type=incr', 'backup')) } : {};
  report(`second base backup, after ${seconds} s of pgbench`, 's', second, again);
  report('stored by it', 'MB', own / 1e6, hasPgBackRest ? { pgBackRest: (bytesIn(`${pgbackrest}/repo`) - before) / 1e6 } : {});

  // Of the base alone: by the same means for all.
  const restored = join(scratch, 'restored');
  const restore = await timed(() => holdfast('restore', 'latest', '--target', restored, '--threads', String(PROCESSES)));
  removeScratch(restored);
  const theirs: Record<string, number> = {};
  if (hasPgBackRest) {
    const target = makeOwned(join(scratch, 'theirs'));
    execFileSync('chmod', ['700', target]);
    theirs['pgBackRest'] = await timed(() => backRest(`--pg1-path=${target}`, '--archive-mode=off', '--type=none', 'restore'));
    removeScratch(target);
  }
  report('restore of the base', 's', restore, theirs);

  capture = spawn(HOLDFAST, ['pg', 'capture', server.connectionString, '--asset', 'bench', '--json'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  capture.stdout!.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-100_000);
  });
  while (!said.includes('"kind":"base"')) await sleep(50);
  const withCapture = await pgbenchAsync(server, seconds);
  report('pgbench beside capture', 'tps', withCapture, { 'without capture': without });
  const flushed = (): string =>
    execFileSync('psql', [...connection(server), '-d', 'postgres', '-qAtc', "SELECT pg_current_wal_flush_lsn() - '0/0'"], {
      encoding: 'utf8',
    }).trim();
  const at = Number(flushed());
  const lag = await timed(async () => {
    const position = (text: string): number => {
      const [high, low] = text.split('/').map((part) => Number.parseInt(part, 16)) as [number, number];
      return high * 2 ** 32 + low;
    };
    for (;;) {
      const last = [...said.matchAll(/"durable":"([0-9A-F]+\/[0-9A-F]+)"/g)].at(-1)?.[1];
      if (last !== undefined && position(last) >= at) return;
      await sleep(20);
    }
  });
  report('capture behind at the end of pgbench', 's', lag, {});

  // The host dies under load: the newest transaction that was acknowledged against the newest that can be restored.
  const losses: number[] = [];
  await server.sql('CREATE TABLE ledger (n int, at timestamptz)');
  for (let trial = 0; trial < trials; trial++) {
    const load = pgbenchAsync(server, 60);
    const sql = await server.connect();
    const until = performance.now() + 1500 + Math.random() * 1500;
    let acknowledged = 0;
    while (performance.now() < until)
      acknowledged = Number(
        (await sql.query('INSERT INTO ledger VALUES (1, clock_timestamp()) RETURNING (extract(epoch FROM at) * 1000)::bigint'))
          .rows[0]![0],
      );
    capture.kill('SIGKILL');
    await server.stop('SIGKILL');
    sql.close();
    await load;
    const { latest } = holdfast('pg', 'window', '--asset', 'bench') as { readonly latest: string };
    losses.push(Math.max(0, (acknowledged - Date.parse(latest)) / 1000));
    await server.start();
    said = '';
    capture = spawn(HOLDFAST, ['pg', 'capture', server.connectionString, '--asset', 'bench', '--json'], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    capture.stdout!.on('data', (piece: Buffer) => {
      said = (said + piece.toString()).slice(-100_000);
    });
    while (!said.includes('"kind":"captured"')) await sleep(50);
  }
  losses.sort((a, b) => a - b);
  report(`lost when the host dies under load, worst of ${trials}`, 's', losses.at(-1) ?? 0, {});
  report('lost when the host dies under load, median', 's', losses[Math.floor(losses.length / 2)] ?? 0, {});

  await sleep(1500);
  const target = join(scratch, 'back');
  const back = holdfast('pg', 'restore', '--latest', '--asset', 'bench', '--target', target) as {
    readonly logBytes: number;
    readonly logMs: number;
    readonly durationMs: number;
  };
  report('recovery to the latest instant', 's', back.durationMs / 1000, {});
  report('log replayed in it', 'MB/s', back.logBytes / 1e6 / (back.logMs / 1000), {});
  const results = join(import.meta.dirname, 'results');
  if (existsSync(results)) {
    mkdirSync(results, { recursive: true });
    writeFileSync(
      join(results, `postgres-${new Date().toISOString().replaceAll(':', '-')}.json`),
      `${JSON.stringify({ scale, seconds, processes: PROCESSES, figures }, undefined, 1)}\n`,
    );
  }
} finally {
  capture?.kill('SIGKILL');
  await server.stop('SIGQUIT');
  removeScratch(scratch);
}

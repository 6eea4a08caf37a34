// How fast a captured log is replayed: beside the limit, which is the same server replaying the same log from the files in production's own
// pg_wal, each taken with one `cp`. Run: bin/node bench/postgres-replay.ts [--scale N] [--seconds N]. What capture costs: postgres-capture.ts;
// base backups: postgres-base.ts; what is lost with a host: postgres-rpo.ts. Everything lies in memory, so disks do not count.

import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../test/support/postgres.ts';
import { scratchRepository } from './scratch-repository.ts';

const HOLDFAST = join(import.meta.dirname, '../bin/holdfast');

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
  },
});
const [scale, seconds] = [values.scale, values.seconds].map(Number) as [number, number];
const programs = postgresPrograms();
if (programs === undefined) throw new Error('PostgreSQL is needed');
const scratch = serverScratch();
const figures: Figure[] = [];

const environment = scratchRepository(scratch);

function holdfast(...args: string[]): Record<string, unknown> {
  const text = execFileSync(HOLDFAST, [...args, '--json'], { env: environment, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function report(what: string, unit: string, own: number, peers: Record<string, number>): void {
  figures.push({ what, holdfast: own, peers, unit });
  const others = Object.entries(peers).map(([name, value]) => `${name} ${value.toFixed(2)} (${(value / own).toFixed(2)}x)`);
  console.log(`${what.padEnd(44)} holdfast ${own.toFixed(2)} ${unit}   ${others.join('   ')}`);
}

const connection = (server: TestServer): string[] => ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];

/** Transactions a second. */
async function pgbench(server: TestServer, during: number): Promise<number> {
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

function position(lsn: string): number {
  const [high, low] = lsn.split('/').map((part) => Number.parseInt(part, 16)) as [number, number];
  return high * 2 ** 32 + low;
}

const copyOfBase = join(scratch, 'limit');

/** MB of log a second with nothing between the server and the files, from its start to its promotion. */
async function replayLimit(server: TestServer, until: string): Promise<number> {
  // A record behind the place at which the copy is to stop; the switch writes it out, which the server does later otherwise.
  await server.sql("SELECT pg_create_restore_point('behind'), pg_switch_wal()");
  const copy = new TestServer(programs!, copyOfBase, makeOwned(join(scratch, 'limit-socket')));
  copy.configure({
    restore_command: `cp ${server.directory}/pg_wal/%f %p`,
    recovery_target_lsn: until,
    recovery_target_action: 'promote',
  });
  const label = readFileSync(join(copyOfBase, 'backup_label'), 'latin1');
  const from = position(/^START WAL LOCATION: (\S+)/m.exec(label)![1]!);
  const [signal, user] = [join(copyOfBase, 'recovery.signal'), serverUser()];
  writeFileSync(signal, '');
  if (user !== undefined) chownSync(signal, user.uid, user.gid);
  try {
    const seconds = await timed(async () => {
      await copy.start();
      while ((await copy.sql('SELECT pg_is_in_recovery()'))[0]![0] === 't') await sleep(25);
    });
    return (position(until) - from) / 1e6 / seconds;
  } finally {
    await copy.stop('SIGQUIT');
  }
}

const server = await TestServer.create(programs, scratch, 'production', {
  settings: {
    shared_buffers: '256MB',
    max_wal_size: '4GB',
    wal_keep_size: '16GB',
    checkpoint_timeout: '1h',
    max_prepared_transactions: '2',
  },
});
let capture: ReturnType<typeof spawn> | undefined;
try {
  console.log(`PostgreSQL ${(await server.sql('SHOW server_version'))[0]![0]}, pgbench scale ${scale}, everything in memory`);
  server.run('pgbench', [...connection(server), '-i', '-q', '-s', String(scale), 'postgres']);
  await server.sql('VACUUM FREEZE');
  await server.sql('CHECKPOINT');
  holdfast('init');

  capture = spawn(HOLDFAST, ['pg', 'capture', server.connectionString, '--asset', 'bench', '--json'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  capture.stdout!.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-100_000);
  });
  while (!said.includes('"kind":"base"')) await sleep(50);
  server.run('pg_basebackup', [...connection(server), '-D', copyOfBase, '-X', 'none', '--checkpoint=fast', '--no-manifest']);
  await pgbench(server, seconds);
  const end = (await server.sql('SELECT pg_current_wal_flush_lsn()'))[0]![0]!;
  const at = position(end);
  const lag = await timed(async () => {
    for (;;) {
      const last = [...said.matchAll(/"durable":"([0-9A-F]+\/[0-9A-F]+)"/g)].at(-1)?.[1];
      if (last !== undefined && position(last) >= at) return;
      await sleep(20);
    }
  });
  report('capture behind at the end of pgbench', 's', lag, {});

  await sleep(1500);
  const target = join(scratch, 'back');
  const back = holdfast('pg', 'restore', '--latest', '--asset', 'bench', '--target', target) as {
    readonly logBytes: number;
    readonly logMs: number;
    readonly durationMs: number;
  };
  report('recovery to the latest instant', 's', back.durationMs / 1000, {});
  capture.kill('SIGKILL');
  const limit = await replayLimit(server, end);
  report('log replayed in it', 'MB/s', back.logBytes / 1e6 / (back.logMs / 1000), { 'taken with cp': limit });
  const results = join(import.meta.dirname, 'results');
  if (existsSync(results)) {
    mkdirSync(results, { recursive: true });
    writeFileSync(
      join(results, `postgres-${new Date().toISOString().replaceAll(':', '-')}.json`),
      `${JSON.stringify({ scale, seconds, figures }, undefined, 1)}\n`,
    );
  }
} finally {
  capture?.kill('SIGKILL');
  await server.stop('SIGQUIT');
  removeScratch(scratch);
}

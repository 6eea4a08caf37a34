// How much is lost when the host of a database dies under load: server and capture are killed at once, the store survives. Of each trial, the
// newest transaction that was acknowledged against the newest that can be restored.
//
//   bin/node bench/postgres-rpo.ts [--trials 50] [--scale 10] [--clients 4] [--limit 2]
//
// Prints each trial, then one line of JSON; 50 trials take five minutes. Exits with 1 when the 99th percentile is above the limit (seconds): wall time, so
// only a quiet machine tells. After the last trial the database is restored to the latest instant: of a
// ledger that is numbered without gaps it must hold a first part, up to that instant.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PgConnection } from '../agents/postgres/connection.ts';
import { postgresPrograms, removeScratch, serverScratch, serverUser, TestServer } from '../test/support/postgres.ts';
import { scratchRepository } from './scratch-repository.ts';

const HOLDFAST = join(import.meta.dirname, '../bin/holdfast');
const LOAD_MS = 1500;
const POLL_MS = 20;

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '50' },
    scale: { type: 'string', default: '10' },
    clients: { type: 'string', default: '4' },
    limit: { type: 'string', default: '2' },
  },
});
const programs = postgresPrograms();
if (programs === undefined) throw new Error('PostgreSQL is needed');
const scratch = serverScratch();
const environment = scratchRepository(scratch);

function holdfast(...args: string[]): Record<string, unknown> {
  const text = execFileSync(HOLDFAST, [...args, '--json'], {
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

type Capture = { readonly process: ChildProcess; readonly said: () => string; readonly ended: Promise<void> };

/** `word`: of the record that says that it has begun. */
async function startCapture(server: TestServer, word: string): Promise<Capture> {
  const process = spawn(HOLDFAST, ['pg', 'capture', server.connectionString, '--asset', 'bench', '--json'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  process.stdout!.on('data', (piece: Buffer) => {
    text = (text + piece.toString()).slice(-100_000);
  });
  const ended = new Promise<void>((resolve) => process.once('exit', () => resolve()));
  while (!text.includes(`"kind":"${word}"`)) {
    if (process.exitCode !== null) throw new Error(`Capture ended: ${text}`);
    await sleep(POLL_MS);
  }
  return { process, said: () => text, ended };
}

function startLoad(server: TestServer): Promise<void> {
  const args = [
    '-h',
    server.socketDirectory,
    '-p',
    String(server.port),
    '-U',
    'postgres',
    '-c',
    values.clients,
    '-T',
    '600',
    'postgres',
  ];
  const child = spawn(join(programs!, 'pgbench'), args, { ...serverUser(), cwd: '/', stdio: 'ignore' });
  return new Promise((resolve) => child.once('close', () => resolve()));
}

let numbered = 0;

/** Answers the loss in seconds. */
async function trial(server: TestServer, capture: Capture): Promise<number> {
  const load = startLoad(server);
  const sql = await server.connect();
  const until = performance.now() + LOAD_MS * (1 + Math.random());
  let acknowledged = 0;
  while (performance.now() < until) {
    const insert = `INSERT INTO ledger VALUES (${numbered + 1}, clock_timestamp()) RETURNING (extract(epoch FROM at) * 1000)::bigint`;
    acknowledged = Number(await sql.value(insert));
    numbered++;
  }
  const dead = server.stop('SIGKILL');
  capture.process.kill('SIGKILL');
  await Promise.all([dead, capture.ended, load]);
  sql.close();
  const { latest } = holdfast('pg', 'window', '--asset', 'bench') as { readonly latest: string };
  return Math.max(0, (acknowledged - Date.parse(latest)) / 1000);
}

/** Answers how many rows of the ledger came back. */
async function restoreLedger(): Promise<number> {
  const target = join(scratch, 'restored');
  const done = holdfast('pg', 'restore', '--latest', '--asset', 'bench', '--target', target, '--leave-running') as unknown as {
    readonly socketDirectory: string;
    readonly port: number;
    readonly processId: number;
  };
  try {
    const address = { host: done.socketDirectory, port: done.port, user: 'postgres', password: undefined, database: 'postgres' };
    const sql = await PgConnection.open({ address: { ...address, tls: 'disable' } });
    const [count, last] = (await sql.query('SELECT count(*), coalesce(max(n), 0) FROM ledger')).rows[0]!;
    sql.close();
    if (count !== last || Number(last) > numbered)
      throw new Error(`The restored ledger has ${count} rows and ends with ${last}; ${numbered} were written`);
    return Number(count);
  } finally {
    process.kill(done.processId, 'SIGKILL');
    removeScratch(done.socketDirectory);
  }
}

const server = await TestServer.create(programs, scratch, 'production', {
  settings: { shared_buffers: '128MB', max_wal_size: '1GB' },
});
let capture: Capture | undefined;
try {
  server.run('pgbench', [
    '-h',
    server.socketDirectory,
    '-p',
    String(server.port),
    '-U',
    'postgres',
    '-i',
    '-q',
    '-s',
    values.scale,
    'postgres',
  ]);
  await server.sql('CREATE TABLE ledger (n int, at timestamptz)');
  holdfast('init');
  capture = await startCapture(server, 'base');
  const losses: number[] = [];
  const trials = Number(values.trials);
  for (let n = 0; n < trials; n++) {
    const loss = await trial(server, capture);
    losses.push(loss);
    console.log(`trial ${n + 1} of ${trials}: ${loss.toFixed(2)} s lost; load ${loadavg()[0]!.toFixed(1)}`);
    if (n === trials - 1) break;
    await server.start();
    capture = await startCapture(server, 'captured');
  }
  const restored = await restoreLedger();
  losses.sort((a, b) => a - b);
  const at = (share: number): number => losses[Math.min(losses.length - 1, Math.ceil(share * losses.length) - 1)]!;
  const result = { trials, medianSeconds: at(0.5), p99Seconds: at(0.99), worstSeconds: at(1), written: numbered, restored };
  console.log(JSON.stringify(result));
  if (result.p99Seconds > Number(values.limit)) process.exitCode = 1;
} finally {
  capture?.process.kill('SIGKILL');
  await server.stop('SIGKILL');
  removeScratch(scratch);
}

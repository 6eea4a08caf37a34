// A drill from its call to the signed pack: a cluster filled by pgbench, a client that goes on writing, capture and heartbeats as in earnest.
// Run: bin/node bench/dr/drill.ts [--scale N] [--work DIRECTORY]
//
// Scale 140 is about 2 GiB. The goal: at most 3 minutes. Everything lies below the work directory: five times the size of the cluster.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import type { PackBody } from '../../src/evidence/pack.ts';
import { makeOwned, postgresPrograms, removeScratch, TestServer } from '../../test/support/postgres.ts';

const HOLDFAST = join(import.meta.dirname, '../../bin/holdfast');
const ASSET = 'pg/bench';
const WAIT_MS = 600_000;

const { values } = parseArgs({
  options: { scale: { type: 'string', default: '140' }, work: { type: 'string', default: tmpdir() } },
});
const found = postgresPrograms();
if (found === undefined) throw new Error('PostgreSQL is needed');
const programs: string = found;
const scratch = makeOwned(mkdtempSync(join(values.work, 'hf-')));
const environment = {
  PATH: process.env.PATH!,
  HOME: scratch,
  HOLDFAST_REPO: join(scratch, 'repository'),
  HOLDFAST_CACHE_DIR: join(scratch, 'cache'),
  HOLDFAST_PASSPHRASE_FILE: join(scratch, 'passphrase'),
};
writeFileSync(environment.HOLDFAST_PASSPHRASE_FILE, 'bench\n');
const running: ChildProcess[] = [];

function inBackground(...args: string[]): void {
  running.push(spawn(HOLDFAST, args, { env: environment, stdio: 'ignore' }));
}

function holdfast(...args: string[]): Record<string, unknown> {
  const text = execFileSync(HOLDFAST, [...args, '--json'], { env: environment, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>;
}

async function windowIsThere(): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    try {
      const text = execFileSync(HOLDFAST, ['pg', 'window', '--asset', ASSET, '--json'], {
        env: environment,
        encoding: 'utf8',
        stdio: 'pipe',
      });
      if (text.includes('"kind":"interval"')) return;
    } catch {
      // There is no log yet.
    }
    if (Date.now() > deadline) throw new Error('There is no base backup');
    await sleep(1000);
  }
}

const server = await TestServer.create(programs, scratch, 'production', {
  settings: { shared_buffers: '256MB', max_wal_size: '4GB', checkpoint_timeout: '1h' },
});
try {
  const where = ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];
  server.run('pgbench', ['-i', '-q', '-s', values.scale, ...where, 'postgres']);
  await server.sql('CHECKPOINT');
  const [[bytes]] = (await server.sql('SELECT sum(pg_database_size(oid))::text FROM pg_database')) as [[string]];
  holdfast('init');
  const keys = join(scratch, 'keys');
  inBackground('pg', 'capture', server.connectionString, '--asset', ASSET, '--base-every', '0');
  inBackground('pg', 'heartbeat', server.connectionString, '--asset', ASSET, '--key-dir', keys);
  await windowIsThere();
  server.run('pgbench', ['-c', '2', '-T', '10', ...where, 'postgres']);
  await sleep(3000);
  const plan = {
    name: 'bench',
    version: 1,
    sites: { source: 'a', target: 'b', witness: 'c' },
    objectives: { rpo: '1m', rto: '3m' },
    approvals: { planned: 1, unplanned: 2, breakGlass: 2 },
    lease: { ttl: '10s', margin: '2s', onLeaseLoss: 'stop' },
    fencing: { proofs: ['demotion', 'expiry'], limit: '1m' },
    groups: [{ name: 'database', members: [{ asset: ASSET, kind: 'postgres', replayLimit: '30m', startLimit: '30m' }] }],
    smokeTests: [{ name: 'reads', command: [`${programs}/psql`, '-c', 'SELECT count(*) FROM pgbench_branches'], limit: '1m' }],
    drill: { limit: '1h', probes: ['192.0.2.1:5432'] },
  };
  const file = join(scratch, 'plan.yaml');
  writeFileSync(file, stringify(plan));
  const clones = join(scratch, 'c');
  mkdirSync(clones);
  const places = ['--evidence-dir', join(scratch, 'evidence'), '--key-dir', join(scratch, 'evidence-key'), '--directory', clones];
  const began = performance.now();
  const summary = holdfast('drill', 'run', file, ...places, '--heartbeat-key', join(keys, 'heartbeat-key.pub'));
  const seconds = (performance.now() - began) / 1000;
  const { body } = JSON.parse(readFileSync(String(summary.pack), 'utf8')) as { readonly body: PackBody };
  console.log(`${(Number(bytes) / 2 ** 30).toFixed(2)} GiB, ${cpus().length} processors, load ${loadavg()[0]!.toFixed(1)}`);
  console.log(`outcome ${summary.outcome}, RPO ${summary.rpoMs} ms, RTO ${summary.rtoMs} ms`);
  for (const { kind, value } of body.measurements) {
    if (kind !== 'action') continue;
    const ms = Date.parse(String(value.endedAt)) - Date.parse(String(value.startedAt));
    console.log(`  ${String(value.action).padEnd(32)}${(ms / 1000).toFixed(1).padStart(8)} s`);
  }
  console.log(`from call to signed pack: ${seconds.toFixed(1)} s (goal: 180)`);
} finally {
  for (const child of running) child.kill('SIGINT');
  await server.stop('SIGQUIT');
  removeScratch(scratch);
}

// How far the other site is behind while pgbench writes: two sites and a witness as in test/e2e/site-rounds.test.ts, with a long and thin cable
// between the sites.
//
//   bin/node bench/dr/replica-lag.ts [--seconds 150] [--short] [--delay 20] [--mbits 100] [--scale 10] [--clients 2] [--rate TPS]
//
// Every 200 ms four lags are noted: how old the oldest log is that A's server had flushed and that was not stored in A's own repository
// ("captured"), not received from B's repository by B's server, and not replayed there. By A's own positions, so it is the work that would be lost
// then, a sample's length too much at the most. "told": how far B's daemon says that its copy is behind A's repository. The goal: a p99 of at
// most 5 s. Also how much came over the line for each byte of log.
// Needs root, iproute2, /dev/net/tun, etcd, PostgreSQL with pgbench and Ceph RGW; three minutes.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { parseLsn } from '../../src/model/lsn.ts';
import { startS3 } from '../../test/support/ceph.ts';
import { PlaceStores } from '../../test/support/place-stores.ts';
import { postgresPrograms, TEST_PORT } from '../../test/support/postgres.ts';
import { needNamespaces, ThreePlaces } from '../../test/support/three-places.ts';
import { type SiteName, TwoSites, until } from '../../test/support/two-sites.ts';
import { layLongCable } from './long-cable.ts';

const EVERY_MS = 200;
const GOAL_MS = 5_000;
const LEASE = { ttl: '10s', margin: '2s' };
const LAGS = ['captured', 'received', 'replayed', 'told'] as const;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '150' },
    short: { type: 'boolean', default: false },
    delay: { type: 'string', default: '20' },
    mbits: { type: 'string', default: '100' },
    scale: { type: 'string', default: '10' },
    clients: { type: 'string', default: '2' },
    rate: { type: 'string' },
  },
});
const seconds = values.short ? 20 : Number(values.seconds);

type Flushed = { readonly atMs: number; readonly position: number };
type Sample = Record<(typeof LAGS)[number], number | null>;

/** For how long the oldest log behind that place has been there at A. `flushed`: in order. */
function ageOfMissing(flushed: readonly Flushed[], position: number, nowMs: number): number {
  const first = flushed.findIndex((one) => one.position > position);
  // It was written after the sample before.
  return first < 0 ? 0 : nowMs - flushed[Math.max(0, first - 1)]!.atMs;
}

async function lsnsOf(sql: PgConnection, ...functions: readonly string[]): Promise<readonly number[]> {
  const { rows } = await sql.query(`SELECT ${functions.map((name) => `coalesce(${name}(), '0/0')::text`).join()}`);
  return rows[0]!.map((text) => parseLsn(text!)!);
}

async function positionOf(sites: TwoSites, site: SiteName, name: string): Promise<number> {
  const sql = await PgConnection.open({ address: sites.address(site) });
  try {
    return (await lsnsOf(sql, name))[0]!;
  } finally {
    sql.close();
  }
}

/** What the other site has received over the line. */
function crossed(places: ThreePlaces): number {
  const text = execFileSync('ip', ['-n', places.namespaceOf('b'), '-s', '-j', 'link', 'show', 'to-a'], { encoding: 'utf8' });
  return (JSON.parse(text) as readonly [{ readonly stats64: { readonly rx: { readonly bytes: number } } }])[0].stats64.rx.bytes;
}

async function sampled(sites: TwoSites): Promise<{ readonly samples: readonly Sample[]; readonly bytes: number }> {
  const [a, b] = await Promise.all((['a', 'b'] as const).map((site) => PgConnection.open({ address: sites.address(site) })));
  const flushed: Flushed[] = [];
  const samples: Sample[] = [];
  try {
    const begunMs = performance.now();
    for (let n = 1; performance.now() < begunMs + seconds * 1_000; n++) {
      const atMs = performance.now();
      flushed.push({ atMs, position: (await lsnsOf(a!, 'pg_current_wal_flush_lsn'))[0]! });
      const [[received, replayed], source, status] = await Promise.all([
        lsnsOf(b!, 'pg_last_wal_receive_lsn', 'pg_last_wal_replay_lsn') as Promise<[number, number]>,
        sites.status('a'),
        sites.status('b'),
      ]);
      const nowMs = performance.now();
      const age = (position: number): number => ageOfMissing(flushed, position, nowMs);
      samples.push({
        captured: age(parseLsn(source.capture?.durable ?? '0/0')!),
        received: age(Math.max(received, replayed)),
        replayed: age(replayed),
        told: status.replica?.lagMs ?? null,
      });
      await sleep(Math.max(0, begunMs + n * EVERY_MS - performance.now()));
    }
  } finally {
    a!.close();
    b!.close();
  }
  return { samples, bytes: flushed.at(-1)!.position - flushed[0]!.position };
}

function tell(samples: readonly Sample[], bytes: number): void {
  const mibs = (bytes / 2 ** 20 / seconds).toFixed(1);
  console.log(
    `${cpus().length} processors, load ${loadavg()[0]!.toFixed(1)}; ${mibs} MiB of log a second, ${samples.length} samples`,
  );
  console.log(`${'lag, s'.padEnd(12)}${['p50', 'p90', 'p99', 'max'].map((name) => name.padStart(8)).join('')}`);
  for (const name of LAGS) {
    const sorted = samples.map((one) => one[name] ?? Number.POSITIVE_INFINITY).sort((one, other) => one - other);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
    const cells = [at(0.5), at(0.9), at(0.99), sorted.at(-1)!].map((ms) => (ms / 1_000).toFixed(2).padStart(8));
    console.log(`${name.padEnd(12)}${cells.join('')}`);
    if (at(0.99) > GOAL_MS) process.exitCode = 1;
  }
}

function pgbench(programs: string, site: SiteName, sites: TwoSites, words: readonly string[]): ChildProcess {
  const where = ['-h', sites.socket(site), '-p', String(TEST_PORT), '-U', 'postgres', 'postgres'];
  return spawn(join(programs, 'pgbench'), [...words, ...where], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status !== 0) throw new Error(`pgbench ended with ${status}`);
  return text;
}

const programs = postgresPrograms();
const s3 = programs !== undefined && needNamespaces() ? await startS3() : undefined;
if (programs === undefined || s3 === undefined) throw new Error('Something that it needs is missing');
const places = await ThreePlaces.create();
let takeAway: (() => void) | undefined;
let stores: PlaceStores | undefined;
let sites: TwoSites | undefined;
try {
  takeAway = await layLongCable(places, 'a', 'b', { delayMs: Number(values.delay), mbits: Number(values.mbits) });
  const opened = (stores = await PlaceStores.open(places, s3));
  sites = await TwoSites.create({
    programs,
    lease: LEASE,
    etcd: () => places.etcd,
    network: { listen: '0.0.0.0:7410', url: (of) => `http://${places.address(of)}:7410` },
    // Each is a service of its own: where the kernel gives every session the same share, both would have to share that of pgbench and this.
    within: (site) => ['setsid', ...places.within(site)],
    location: (of) => opened.location(of),
    variables: opened.variables,
  });
  await sites.run();
  await ended(pgbench(programs, 'a', sites, ['-i', '-q', '-s', values.scale]));
  const filled = await positionOf(sites, 'a', 'pg_current_wal_flush_lsn');
  await until('B has what it was filled with', async () => (await positionOf(sites!, 'b', 'pg_last_wal_replay_lsn')) >= filled);
  const load = ['-n', '-c', values.clients, '-T', String(seconds + 10), ...(values.rate === undefined ? [] : ['-R', values.rate])];
  const writing = ended(pgbench(programs, 'a', sites, load));
  const before = crossed(places);
  const { samples, bytes } = await sampled(sites);
  const share = (crossed(places) - before) / bytes;
  console.log(`${values.delay} ms each way, ${values.mbits} Mbit/s; ${share.toFixed(2)} bytes over the line for each byte of log`);
  tell(samples, bytes);
  console.log(/tps = .*/.exec(await writing)?.[0] ?? '');
} finally {
  await sites?.end();
  stores?.close();
  takeAway?.();
  await places.end();
}

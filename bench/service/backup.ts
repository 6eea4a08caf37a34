// A backup through the service beside the same backup offline, as whole programs: `holdfast backup` from its start to its exit, and a run of
// `holdfast serve` and its agent from the request to its end; first backups of a tree and of an image into fresh repositories in one bucket
// of a real Ceph RGW, in turns, medians of the rounds. Server, service and agent share the machine.
//
//   bin/node bench/service/backup.ts [scale divisor, default 4] [rounds, default 5]
//
// What share of the bytes passes the service is taken from an agent that counts them (test/support/data-path.ts).

import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Asset } from '../../src/model/asset.ts';
import type { Run } from '../../src/model/run.ts';
import { openStore } from '../../src/store/open.ts';
import { startS3, type TestS3 } from '../../test/support/ceph.ts';
import { TestService } from '../../test/support/data-path.ts';
import { IMAGE_NAME, writeImage } from '../data/image.ts';
import { writeTree } from '../data/tree.ts';
import { median } from '../report.ts';
import { cpuSeconds, processesOf } from './cpu-seconds.ts';
import { ServiceProcess } from './service-process.ts';

const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');
const SCALE = Number(process.argv[2] ?? 4);
const ROUNDS = Number(process.argv[3] ?? 5);
const THREADS = 2;

type Kind = 'files' | 'volume';

/** Seconds; of CPU, those of our processes and those of the store's. */
type Measured = { readonly wall: number; readonly cpu: number; readonly store: number };

/** Something is known already, as in life: every chunk is asked for. */
function writeBefore(directory: string): string {
  const before = join(directory, 'before');
  mkdirSync(before, { recursive: true });
  writeFileSync(join(before, 'file'), randomBytes(100_000));
  return before;
}

/** The server of the bench keeps everything in memory. */
async function removeAll(s3: TestS3, location: string): Promise<void> {
  const store = await openStore(location, { credentials: s3.credentials, region: s3.region });
  for await (const page of store.list('')) for (const { key } of page) await store.delete(key);
  await store.close();
}

function cpuOf(s3: TestS3, pid: number | 'self'): { readonly ours: number; readonly store: number } {
  const { own, children } = cpuSeconds(pid);
  const store = processesOf(s3.directory).reduce((sum, one) => sum + cpuSeconds(one).own, 0);
  return { ours: pid === 'self' ? children : own + children, store };
}

/** Of a whole process. */
async function offline(s3: TestS3, directory: string, path: string): Promise<Measured> {
  const home = mkdtempSync(join(directory, 'offline-'));
  const location = `s3+${s3.endpoint}/${s3.bucket}/offline-${randomBytes(6).toString('hex')}`;
  const env = { ...process.env, HOME: home, HOLDFAST_REPO: location, HOLDFAST_PASSPHRASE: 'bench' };
  const run = (...args: string[]): void => void execFileSync(PROGRAM, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  run('init', '--quiet');
  run('backup', '--quiet', writeBefore(home));
  const before = cpuOf(s3, 'self');
  const startMs = performance.now();
  run('backup', '--quiet', '--threads', String(THREADS), path);
  const wall = (performance.now() - startMs) / 1000;
  const after = cpuOf(s3, 'self');
  rmSync(home, { recursive: true, force: true });
  await removeAll(s3, location);
  return { wall, cpu: after.ours - before.ours, store: after.store - before.store };
}

/** From the request to the end of the run. */
async function through(s3: TestS3, directory: string, path: string, kind: Kind): Promise<Measured> {
  const home = mkdtempSync(join(directory, 'service-'));
  const store = `s3+${s3.endpoint}/${s3.bucket}/service-${randomBytes(6).toString('hex')}`;
  const service = new ServiceProcess(join(home, 'home'), ['--store', store]);
  await service.start();
  try {
    const client = new Client(service);
    await client.prepare();
    await client.backUp(await client.asset('before', 'files', writeBefore(home)));
    const asset = await client.asset('bench', kind, path);
    const before = cpuOf(s3, service.pid);
    const wall = await client.backUp(asset);
    const after = cpuOf(s3, service.pid);
    return { wall, cpu: after.ours - before.ours, store: after.store - before.store };
  } finally {
    await service.stop();
    rmSync(home, { recursive: true, force: true });
    await removeAll(s3, store);
  }
}

class Client {
  readonly #service: ServiceProcess;
  #base = '';
  #agentId = '';

  constructor(service: ServiceProcess) {
    this.#service = service;
  }

  async prepare(): Promise<void> {
    const tenants = await this.#call<{ items: { id: string }[] }>('GET', '/v1/tenants');
    this.#base = `/v1/tenants/${tenants.items[0]!.id}`;
    while (this.#agentId === '') {
      const { items } = await this.#call<{ items: { id: string }[] }>('GET', `${this.#base}/agents`);
      this.#agentId = items[0]?.id ?? '';
    }
  }

  async asset(name: string, kind: Kind, path: string): Promise<string> {
    const source = kind === 'files' ? { kind, paths: [path] } : { kind, path };
    return (await this.#call<Asset>('POST', `${this.#base}/assets`, { name, agentId: this.#agentId, source })).id;
  }

  async backUp(assetId: string): Promise<number> {
    const { id } = await this.#call<Run>('POST', `${this.#base}/runs`, { kind: 'backup', assetId });
    for (;;) {
      const run = await this.#call<Run>('GET', `${this.#base}/runs/${id}`);
      if (run.state === 'succeeded') return (Date.parse(run.endedAt!) - Date.parse(run.createdAt)) / 1000;
      if (run.state !== 'queued' && run.state !== 'running')
        throw new Error(`The run ended as ${run.state}: ${run.fault?.message}`);
      await new Promise((later) => setTimeout(later, 200));
    }
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#service.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#service.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': randomUUID() }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }
}

/** Of the bytes of a first backup, which part passes the service. */
async function shareOf(s3: TestS3, directory: string, path: string, kind: Kind): Promise<number> {
  const home = mkdtempSync(join(directory, 'share-'));
  const service = await TestService.start({ directory: home, s3, prefix: `service-${randomBytes(6).toString('hex')}` });
  try {
    const agent = await service.agent();
    await agent.backUp(await agent.asset(writeBefore(home)));
    const before = agent.traffic;
    await agent.backUp(await agent.asset(path, kind), { threads: THREADS });
    const control = agent.traffic.control - before.control;
    return control / (control + agent.traffic.store - before.store);
  } finally {
    await service.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

const s3 = await startS3();
if (s3 === undefined) throw new Error('A bucket is needed');
process.env['AWS_ACCESS_KEY_ID'] = s3.credentials.accessKeyId;
process.env['AWS_SECRET_ACCESS_KEY'] = s3.credentials.secretAccessKey;
process.env['AWS_REGION'] = s3.region;
const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-bench-service-'));
try {
  for (const kind of ['files', 'volume'] as const) {
    const root = join(directory, kind);
    mkdirSync(root);
    if (kind === 'files') writeTree(root, SCALE);
    else writeImage(root, SCALE);
    const path = kind === 'files' ? root : join(root, IMAGE_NAME);
    const share = await shareOf(s3, directory, path, kind);
    const rounds: { readonly offline: Measured; readonly through: Measured }[] = [];
    // The first round warms caches up and is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      const before = round % 2 === 1 ? undefined : await offline(s3, directory, path);
      const service = await through(s3, directory, path, kind);
      const measured = { offline: before ?? (await offline(s3, directory, path)), through: service };
      if (round > 0) rounds.push(measured);
    }
    const told = (which: 'offline' | 'through'): string => {
      const of = (pick: (one: Measured) => number): string => median(rounds.map((round) => pick(round[which]))).toFixed(2);
      return `${of((m) => m.wall)} s (CPU ${of((m) => m.cpu)}, store ${of((m) => m.store)})`;
    };
    const speed = 100 * median(rounds.map((round) => round.offline.wall / round.through.wall));
    console.log(
      `${kind}: offline ${told('offline')}, through the service ${told('through')}; speed ${speed.toFixed(0)} % of offline; ${(100 * share).toFixed(2)} % of bytes pass the service`,
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

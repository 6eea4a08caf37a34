// Starts the daemons of a small Ceph cluster in a directory, keeps them while its owner lives, and stops them: rgw first, because
// an rgw whose OSD is gone hangs. Run by ceph.ts as `node ceph-keeper.ts <directory> <pid of the owner>`.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { TestS3 } from './ceph.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const MEMSTORE_BYTES = 2 * 1024 ** 3;
const STOP_TIMEOUT_MS = 5_000;
const PAUPER_BYTES = 1024 ** 2;
const GATEWAY_ATTEMPTS_MAX = 4;
const GATEWAY_TIMEOUT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 2_000;

function configuration(directory: string, id: string, monPort: number, rgwPort: number): string {
  return `[global]
fsid = ${id}
mon_host = v2:${HOST}:${monPort}
auth_allow_insecure_global_id_reclaim = false
keyring = ${directory}/keyring
ms_bind_msgr1 = false
ms_bind_ipv6 = false
public_addr = ${HOST}
cluster_addr = ${HOST}
run_dir = ${directory}/run
log_file = ${directory}/log/$name.log
admin_socket = ${directory}/run/$name.asok
pid_file = ${directory}/run/$name.pid
crash_dir = ${directory}/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
[mon.a]
mon_data = ${directory}/mon
mon_data_avail_crit = 1
[osd.0]
osd_data = ${directory}/osd
osd_objectstore = memstore
memstore_device_bytes = ${MEMSTORE_BYTES}
osd_memory_target = 939524096
osd_op_num_shards = 2
[client.rgw.a]
rgw_data = ${directory}/rgw
rgw_frontends = beast endpoint=${HOST}:${rgwPort} tcp_nodelay=1
rgw_thread_pool_size = 32
rgw_enable_apis = s3, admin
rgw_dns_name = localhost
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 1
rgw_gc_processor_max_time = 1
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function until(what: string, condition: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await sleep(30);
  }
}

type Users = Pick<TestS3, 'credentials' | 'stranger'> & { readonly pauper: TestS3['credentials'] };

class Cluster {
  readonly #directory: string;
  readonly #daemons: ChildProcess[] = [];
  #rgwPort = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<TestS3> {
    const at = (...parts: string[]) => join(this.#directory, ...parts);
    for (const name of ['mon', 'osd', 'run', 'log', 'rgw', 'crash']) mkdirSync(at(name));
    const id = randomUUID();
    const monPort = await freePort();
    writeFileSync(at('ceph.conf'), configuration(this.#directory, id, monPort, this.#rgwPort));
    await this.#keyring();
    await run('monmaptool', ['--create', '--addv', 'a', `[v2:${HOST}:${monPort}]`, '--fsid', id, at('monmap')]);
    await this.#run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', at('monmap'), '--keyring', at('keyring'));
    this.#spawn('ceph-mon', '-i', 'a');
    const osdId = randomUUID();
    await this.#run('ceph', 'osd', 'new', osdId);
    await this.#run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osdId);
    this.#spawn('ceph-osd', '-i', '0');
    await until('the OSD is up', async () => (await this.#run('ceph', 'osd', 'stat')).includes('1 up'));
    const users = await this.#users();
    await this.#startGateway(id, monPort);
    return this.#buckets(users);
  }

  /** A port that was free may be somebody's when it is wanted: tests at once open many. The server ends then, after half a minute. */
  async #startGateway(id: string, monPort: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#rgwPort = await freePort();
      writeFileSync(join(this.#directory, 'ceph.conf'), configuration(this.#directory, id, monPort, this.#rgwPort));
      const gateway = this.#spawn('radosgw', '-n', 'client.rgw.a');
      const answers = async (): Promise<boolean> => {
        const answer = await fetch(this.#endpoint(), { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
        return (await answer.text()).includes('ListAllMyBuckets');
      };
      try {
        await until('the S3 port answers', answers, GATEWAY_TIMEOUT_MS);
        return;
      } catch (error) {
        gateway.kill('SIGKILL');
        if (attempt === GATEWAY_ATTEMPTS_MAX) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.reverse()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) continue;
      const gone = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      const timer = setTimeout(() => daemon.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await gone;
      clearTimeout(timer);
    }
  }

  #endpoint(): string {
    return `http://${HOST}:${this.#rgwPort}`;
  }

  async #keyring(): Promise<void> {
    const keyring = join(this.#directory, 'keyring');
    const add = (name: string, ...caps: string[]) =>
      run('ceph-authtool', [...(name === 'client.admin' ? ['-C'] : []), keyring, '--gen-key', '-n', name, ...caps]);
    await add('client.admin', '--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *');
    await add('mon.', '--cap', 'mon', 'allow *');
    await add('osd.0', '--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *');
    await add('client.rgw.a', '--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx');
  }

  async #users(): Promise<Users> {
    const create = async (uid: string) => {
      const keys = { accessKeyId: `AK${uid.toUpperCase()}`, secretAccessKey: randomBytes(20).toString('hex') };
      await this.#admin(
        'user',
        'create',
        `--uid=${uid}`,
        `--display-name=${uid}`,
        `--access-key=${keys.accessKeyId}`,
        `--secret-key=${keys.secretAccessKey}`,
      );
      return keys;
    };
    const users = { credentials: await create('holdfast'), stranger: await create('stranger'), pauper: await create('pauper') };
    await this.#admin('quota', 'set', '--quota-scope=bucket', '--uid=pauper', `--max-size=${PAUPER_BYTES}`);
    await this.#admin('quota', 'enable', '--quota-scope=bucket', '--uid=pauper');
    return users;
  }

  async #buckets(users: Users): Promise<TestS3> {
    const { S3Client, CreateBucketCommand } = await import('@aws-sdk/client-s3');
    const endpoint = this.#endpoint();
    const create = async (credentials: TestS3['credentials'], bucket: string, lock: boolean) => {
      const client = new S3Client({ endpoint, region: 'default', forcePathStyle: true, credentials });
      await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: lock }));
      client.destroy();
      return bucket;
    };
    return {
      endpoint,
      host: HOST,
      port: this.#rgwPort,
      region: 'default',
      credentials: users.credentials,
      stranger: users.stranger,
      pauper: { ...users.pauper, bucket: await create(users.pauper, 'pauper', false) },
      bucket: await create(users.credentials, 'holdfast', false),
      lockBucket: await create(users.credentials, 'holdfast-lock', true),
      directory: this.#directory,
    };
  }

  async #run(program: string, ...args: string[]): Promise<string> {
    const { stdout } = await run(program, ['-c', join(this.#directory, 'ceph.conf'), ...args], { cwd: this.#directory });
    return stdout;
  }

  #admin(...args: string[]): Promise<string> {
    return this.#run('radosgw-admin', '-n', 'client.rgw.a', ...args);
  }

  #spawn(program: string, ...args: string[]): ChildProcess {
    const log = openSync(join(this.#directory, 'log', `${program}.out`), 'a');
    const all = ['-c', join(this.#directory, 'ceph.conf'), ...args, '-f'];
    const daemon = spawn(program, all, { cwd: this.#directory, stdio: ['ignore', log, log] });
    this.#daemons.push(daemon);
    return daemon;
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function write(directory: string, name: string, text: string): void {
  writeFileSync(join(directory, `${name}.new`), text, { mode: 0o600 });
  renameSync(join(directory, `${name}.new`), join(directory, name));
}

async function main(directory: string, owner: number): Promise<void> {
  const cluster = new Cluster(directory);
  let asked = false;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => (asked = true));
  try {
    write(directory, 'ready.json', JSON.stringify(await cluster.start()));
    while (!asked && lives(owner) && !existsSync(join(directory, 'stop'))) await sleep(250);
  } catch (error) {
    write(directory, 'failed', String((error as { stderr?: string }).stderr || (error as Error).stack));
    while (!asked && lives(owner)) await sleep(250);
  } finally {
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main(process.argv[2], Number(process.argv[3]));

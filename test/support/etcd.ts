// A real etcd cluster for tests, from Debian's etcd-server: as many processes as members, on ports of the loopback. It ends with this process.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_TIMEOUT_MS = 60_000;

/** False, after a printed line, where etcd is not installed; in CI that is an error. */
export function needEtcd(): boolean {
  if (spawnSync('etcd', ['--version'], { stdio: 'ignore' }).status === 0) return true;
  const line = 'etcd is not installed: apt-get install -y --no-install-recommends etcd-server';
  if (process.env.CI === 'true') throw new Error(line);
  console.log(`SKIPPED, tests against a real quorum: ${line}`);
  return false;
}

type Member = { readonly name: string; readonly client: string; readonly peer: string; child: ChildProcess | undefined };

export class TestEtcd {
  readonly #directory: string;
  readonly #members: readonly Member[];

  private constructor(directory: string, members: readonly Member[]) {
    this.#directory = directory;
    this.#members = members;
  }

  static async start(count = 3): Promise<TestEtcd> {
    const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-etcd-'));
    const ports = await freePorts(count * 2);
    const members = Array.from({ length: count }, (_, i) => ({
      name: `m${i}`,
      client: `http://127.0.0.1:${ports[2 * i]}`,
      peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
      child: undefined,
    }));
    const cluster = new TestEtcd(directory, members);
    try {
      for (let i = 0; i < count; i++) cluster.startMember(i);
      await cluster.ready();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get endpoints(): readonly string[] {
    return this.#members.map(({ client }) => client);
  }

  startMember(i: number): void {
    const { name, client, peer } = this.#members[i]!;
    const log = openSync(join(this.#directory, `${name}.log`), 'a');
    const words = {
      name,
      'data-dir': join(this.#directory, name),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': this.#members.map((member) => `${member.name}=${member.peer}`).join(','),
      'initial-cluster-token': this.#directory,
      'heartbeat-interval': '50',
      'election-timeout': '500',
      'snapshot-count': '10000',
    };
    const args = Object.entries(words).map(([option, value]) => `--${option}=${value}`);
    // It dies with this process, whatever way that goes.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...args], { stdio: ['ignore', log, log], cwd: '/' });
    closeSync(log);
    this.#members[i]!.child = child;
  }

  /** Until a majority answers a linearizable read. */
  async ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      for (const { client } of this.#members) if (await answers(client)) return;
      if (Date.now() > deadline) throw new Error(`etcd does not answer: ${this.#log().slice(-2_000)}`);
      await sleep(50);
    }
  }

  async kill(i: number): Promise<void> {
    const { child } = this.#members[i]!;
    this.#members[i]!.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await ended;
  }

  pause(i: number): void {
    this.#members[i]!.child?.kill('SIGSTOP');
  }

  resume(i: number): void {
    this.#members[i]!.child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((_, i) => this.kill(i)));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #log(): string {
    return this.#members.map(({ name }) => readFileSync(join(this.#directory, `${name}.log`), 'utf8').slice(-1_000)).join('\n');
  }
}

async function answers(client: string): Promise<boolean> {
  try {
    const body = JSON.stringify({ key: Buffer.from('x').toString('base64') });
    return (await fetch(`${client}/v3/kv/range`, { method: 'POST', body, signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

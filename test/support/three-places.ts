// Three hosts on one machine: network namespaces a, b and w (the witness), a cable between any two that can be pulled, and one from each to the
// test, which is not part of the experiment. An etcd runs at the witness.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { needEtcd } from './etcd.ts';

export type Place = 'a' | 'b' | 'w';
const PLACES: readonly Place[] = ['a', 'b', 'w'];
const ETCD_PORT = 2379;
const START_TIMEOUT_MS = 30_000;

/** False, after a printed line, where namespaces cannot be made (in CI that is an error). */
export function needNamespaces(): boolean {
  const name = `hf-try-${process.pid}`;
  const isMade = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'add', name]).status === 0;
  if (isMade) {
    execFileSync('ip', ['netns', 'delete', name]);
    return needEtcd();
  }
  const line = 'network namespaces cannot be made: run as root, with iproute2 installed';
  if (process.env['CI'] === 'true') throw new Error(line);
  console.log(`SKIPPED, tests with three hosts: ${line}`);
  return false;
}

export class ThreePlaces {
  /** Of the names of this machine's namespaces and cables: several tests may run at once. */
  readonly #mark = `hf${(process.pid % 46_656).toString(36)}`;
  readonly #subnet = 16 + (process.pid % 200);
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-places-'));
  #etcd: ChildProcess | undefined;

  static async create(): Promise<ThreePlaces> {
    const places = new ThreePlaces();
    try {
      places.#build();
      await places.#startEtcd();
    } catch (error) {
      await places.end();
      throw error;
    }
    return places;
  }

  namespaceOf(place: Place): string {
    return `${this.#mark}-${place}`;
  }

  /** Words before a command. */
  within(place: Place): readonly string[] {
    return ['ip', 'netns', 'exec', this.namespaceOf(place)];
  }

  /** Where one place is reached from another, or from the test. */
  address(of: Place, from: Place | 'test'): string {
    const cable = from === 'test' ? PLACES.indexOf(of) + 3 : cableOf(of, from);
    return `10.${this.#subnet}.${cable}.${PLACES.indexOf(of) + 1}`;
  }

  etcdFrom(from: Place | 'test'): string {
    return `http://${this.address('w', from)}:${ETCD_PORT}`;
  }

  /** Both ways, at once. */
  pull(one: Place, other: Place): void {
    this.#ip(one, ['link', 'set', `to-${other}`, 'down']);
  }

  plugIn(one: Place, other: Place): void {
    this.#ip(one, ['link', 'set', `to-${other}`, 'up']);
  }

  /** What one sends to the other is lost; the other way it arrives. */
  mute(from: Place, to: Place): void {
    this.#ip(from, ['route', 'add', 'blackhole', `${this.address(to, from)}/32`]);
  }

  unmute(from: Place, to: Place): void {
    this.#ip(from, ['route', 'delete', 'blackhole', `${this.address(to, from)}/32`]);
  }

  async end(): Promise<void> {
    const etcd = this.#etcd;
    if (etcd !== undefined && etcd.exitCode === null) {
      const ended = new Promise((resolve) => etcd.once('exit', resolve));
      etcd.kill('SIGKILL');
      await ended;
    }
    for (const place of PLACES) spawnSync('ip', ['netns', 'delete', this.namespaceOf(place)]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #build(): void {
    for (const place of PLACES) {
      execFileSync('ip', ['netns', 'add', this.namespaceOf(place)]);
      this.#ip(place, ['link', 'set', 'lo', 'up']);
      const [here, there] = [`${this.#mark}-t${place}`, `${this.#mark}-p${place}`];
      execFileSync('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there]);
      execFileSync('ip', ['link', 'set', there, 'netns', this.namespaceOf(place)]);
      this.#ip(place, ['link', 'set', there, 'name', 'to-test']);
      const subnet = this.address(place, 'test').replace(/\d+$/, '');
      execFileSync('ip', ['address', 'add', `${subnet}100/24`, 'dev', here]);
      execFileSync('ip', ['link', 'set', here, 'up']);
      this.#up(place, 'to-test', this.address(place, 'test'));
    }
    for (const [one, other] of [
      ['a', 'b'],
      ['a', 'w'],
      ['b', 'w'],
    ] as const) {
      const [here, there] = [`${this.#mark}-${one}${other}`, `${this.#mark}-${other}${one}`];
      execFileSync('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there]);
      for (const [place, cable, far] of [
        [one, here, other],
        [other, there, one],
      ] as const) {
        execFileSync('ip', ['link', 'set', cable, 'netns', this.namespaceOf(place)]);
        this.#ip(place, ['link', 'set', cable, 'name', `to-${far}`]);
        this.#up(place, `to-${far}`, this.address(place, far));
      }
    }
  }

  #up(place: Place, cable: string, address: string): void {
    this.#ip(place, ['address', 'add', `${address}/24`, 'dev', cable]);
    this.#ip(place, ['link', 'set', cable, 'up']);
  }

  #ip(place: Place, words: readonly string[]): void {
    execFileSync('ip', ['-n', this.namespaceOf(place), ...words], { stdio: 'pipe' });
  }

  async #startEtcd(): Promise<void> {
    const client = `http://0.0.0.0:${ETCD_PORT}`;
    const words = {
      name: 'witness',
      'data-dir': join(this.#directory, 'etcd'),
      'listen-client-urls': client,
      'advertise-client-urls': this.etcdFrom('test'),
      'listen-peer-urls': 'http://127.0.0.1:2380',
      'initial-advertise-peer-urls': 'http://127.0.0.1:2380',
      'initial-cluster': 'witness=http://127.0.0.1:2380',
    };
    const args = Object.entries(words).map(([option, value]) => `--${option}=${value}`);
    const [program, ...before] = ['setpriv', '--pdeathsig', 'KILL', ...this.within('w'), 'etcd'];
    this.#etcd = spawn(program!, [...before, ...args], { stdio: 'ignore', cwd: '/' });
    const body = JSON.stringify({ key: Buffer.from('x').toString('base64') });
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; await sleep(50)) {
      const ask = { method: 'POST', body, signal: AbortSignal.timeout(1_000) };
      const answer = await fetch(`${this.etcdFrom('test')}/v3/kv/range`, ask).catch(() => undefined);
      if (answer?.ok === true) return;
      if (Date.now() > deadline) throw new Error('etcd does not answer at the witness');
    }
  }
}

function cableOf(one: Place, other: Place): number {
  const pair = [one, other].sort().join('');
  return ['ab', 'aw', 'bw'].indexOf(pair);
}

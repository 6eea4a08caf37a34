// Three hosts on one machine: network namespaces a, b and w (the witness), a cable between any two of them, and one from each to the test, which
// is no part of the experiment. Each has one address, whatever cable leads there, and a member of one etcd cluster.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { needEtcd } from './etcd.ts';

export type Place = 'a' | 'b' | 'w';
const PLACES: readonly Place[] = ['a', 'b', 'w'];
const CABLES: readonly (readonly [Place, Place])[] = [
  ['a', 'b'],
  ['a', 'w'],
  ['b', 'w'],
];
const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
const START_TIMEOUT_MS = 30_000;
/** Of a network card that nobody has: what is sent there is lost without a word. */
const NOBODY = '02:00:00:00:00:01';

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
  readonly directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-places-'));
  readonly #etcd = new Map<Place, ChildProcess>();
  readonly #muted = new Set<string>();

  static async create(): Promise<ThreePlaces> {
    const places = new ThreePlaces();
    try {
      places.#build();
      for (const place of PLACES) places.startEtcd(place);
      await places.answering();
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

  address(of: Place): string {
    return `10.${this.#subnet}.9.${PLACES.indexOf(of) + 1}`;
  }

  get etcd(): readonly string[] {
    return PLACES.map((place) => `http://${this.address(place)}:${CLIENT_PORT}`);
  }

  /** Both ways, and both cards know it. */
  pull(one: Place, other: Place): void {
    this.#ip(one, ['link', 'set', `to-${other}`, 'down']);
  }

  /** What one sends to the other is lost; the other way it arrives. */
  mute(from: Place, to: Place): void {
    this.#muted.add(`${from}${to}`);
    this.#ip(from, ['neighbour', 'replace', this.address(to), 'lladdr', NOBODY, 'nud', 'permanent', 'dev', `to-${to}`]);
  }

  /** Every cable is plugged in, and leads somewhere. */
  heal(): void {
    for (const pair of this.#muted) {
      const [from, to] = [...pair] as [Place, Place];
      spawnSync('ip', ['-n', this.namespaceOf(from), 'neighbour', 'delete', this.address(to), 'dev', `to-${to}`]);
    }
    this.#muted.clear();
    for (const [one, other] of CABLES) {
      this.#ip(one, ['link', 'set', `to-${other}`, 'up']);
      this.#ip(other, ['link', 'set', `to-${one}`, 'up']);
      this.#lead(one, other);
      this.#lead(other, one);
    }
  }

  startEtcd(place: Place): void {
    const peer = (of: Place): string => `http://${this.address(of)}:${PEER_PORT}`;
    const client = `http://${this.address(place)}:${CLIENT_PORT}`;
    const words = {
      name: place,
      'data-dir': join(this.directory, place),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer(place),
      'initial-advertise-peer-urls': peer(place),
      'initial-cluster': PLACES.map((one) => `${one}=${peer(one)}`).join(','),
      'initial-cluster-token': this.directory,
      'heartbeat-interval': '100',
      'election-timeout': '1000',
    };
    const args = Object.entries(words).map(([option, value]) => `--${option}=${value}`);
    const [program, ...before] = ['setpriv', '--pdeathsig', 'KILL', ...this.within(place), 'etcd'];
    this.#etcd.set(place, spawn(program!, [...before, ...args], { stdio: 'ignore', cwd: '/' }));
  }

  async killEtcd(place: Place): Promise<void> {
    const etcd = this.#etcd.get(place);
    if (etcd === undefined || etcd.exitCode !== null || etcd.signalCode !== null) return;
    const ended = new Promise((resolve) => etcd.once('exit', resolve));
    etcd.kill('SIGKILL');
    await ended;
  }

  /** It stands still, and knows nothing of it when it goes on. */
  pauseEtcd(place: Place): void {
    this.#etcd.get(place)?.kill('SIGSTOP');
  }

  resumeEtcd(place: Place): void {
    this.#etcd.get(place)?.kill('SIGCONT');
  }

  async end(): Promise<void> {
    for (const place of PLACES) await this.killEtcd(place);
    for (const place of PLACES) spawnSync('ip', ['netns', 'delete', this.namespaceOf(place)]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #build(): void {
    for (const place of PLACES) {
      execFileSync('ip', ['netns', 'add', this.namespaceOf(place)]);
      this.#ip(place, ['link', 'set', 'lo', 'up']);
      this.#ip(place, ['address', 'add', `${this.address(place)}/32`, 'dev', 'lo']);
      const [here, there] = [`${this.#mark}-t${place}`, `${this.#mark}-p${place}`];
      execFileSync('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there]);
      execFileSync('ip', ['link', 'set', there, 'netns', this.namespaceOf(place)]);
      const subnet = `10.${this.#subnet}.${PLACES.indexOf(place) + 3}`;
      execFileSync('ip', ['address', 'add', `${subnet}.100/24`, 'dev', here]);
      execFileSync('ip', ['link', 'set', here, 'up']);
      execFileSync('ip', ['route', 'add', `${this.address(place)}/32`, 'dev', here]);
      this.#ip(place, ['link', 'set', there, 'name', 'to-test']);
      this.#ip(place, ['address', 'add', `${subnet}.1/24`, 'dev', 'to-test']);
      this.#ip(place, ['link', 'set', 'to-test', 'up']);
    }
    for (const [one, other] of CABLES) {
      const [here, there] = [`${this.#mark}-${one}${other}`, `${this.#mark}-${other}${one}`];
      execFileSync('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there]);
      for (const [place, cable, far] of [
        [one, here, other],
        [other, there, one],
      ] as const) {
        execFileSync('ip', ['link', 'set', cable, 'netns', this.namespaceOf(place)]);
        this.#ip(place, ['link', 'set', cable, 'name', `to-${far}`]);
        this.#ip(place, ['link', 'set', `to-${far}`, 'up']);
      }
    }
    this.heal();
  }

  /** A card that went down has forgotten where it leads. */
  #lead(from: Place, to: Place): void {
    const way = [`${this.address(to)}/32`, 'dev', `to-${to}`, 'scope', 'link', 'src', this.address(from)];
    this.#ip(from, ['route', 'replace', ...way]);
  }

  #ip(place: Place, words: readonly string[]): void {
    execFileSync('ip', ['-n', this.namespaceOf(place), ...words], { stdio: 'pipe' });
  }

  /** Until every member answers for the majority. */
  async answering(): Promise<void> {
    const body = JSON.stringify({ key: Buffer.from('x').toString('base64') });
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; await sleep(50)) {
      const answers = this.etcd.map(async (url) => {
        const ask = { method: 'POST', body, signal: AbortSignal.timeout(1_000) };
        return (await fetch(`${url}/v3/kv/range`, ask).catch(() => undefined))?.ok === true;
      });
      if ((await Promise.all(answers)).every(Boolean)) return;
      if (Date.now() > deadline) throw new Error('etcd does not answer at all three places');
    }
  }
}

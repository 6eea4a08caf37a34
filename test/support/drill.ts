// A scene for drills: a protected production that somebody writes into, a plan for it, and the real command in a process of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { DrillRecord } from '../../agents/drill/drill-record.ts';
import type { Pack } from '../../src/evidence/pack.ts';
import { type VerifiedEvidence, verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { parseVerifyKey } from '../../src/trust/audit-key.ts';
import { type Line, linesOf } from '../cli/holdfast.ts';
import { type Loose, portalPlan } from './portal-plan.ts';
import { makeOwned } from './postgres.ts';
import { ASSET, PROGRAM, ProtectedCluster, until } from './protected-cluster.ts';
import { PASSPHRASE } from './repository.ts';

const shell = (name: string, script: string, more: object = {}): object => ({
  name,
  command: ['/bin/sh', '-c', script],
  limit: '30s',
  ...more,
});
export const step = shell;

export type DrillEnd = { readonly status: number | null; readonly lines: readonly Line[]; readonly stderr: string };

export class DrillScene {
  readonly cluster: ProtectedCluster;
  readonly directory: string;
  readonly evidence: string;
  readonly clones: string;
  readonly keys: string;
  readonly #beats: ChildProcess[] = [];
  #seen: string[] = [];

  private constructor(cluster: ProtectedCluster) {
    this.cluster = cluster;
    this.directory = cluster.scratch;
    this.evidence = join(cluster.scratch, 'evidence');
    this.clones = makeOwned(join(cluster.scratch, 'c'));
    this.keys = join(cluster.scratch, 'keys');
    mkdirSync(this.evidence);
    writeFileSync(join(cluster.scratch, 'passphrase'), PASSPHRASE);
  }

  /** With a table of 1000 orders, a heartbeat every second, and a base backup. */
  static async create(): Promise<DrillScene> {
    const scene = new DrillScene(await ProtectedCluster.create());
    await scene.#fill(scene.cluster);
    return scene;
  }

  /** Another production with the same in it, in a repository of its own. */
  async another(asset: string): Promise<ProtectedCluster> {
    const cluster = await ProtectedCluster.create({ asset });
    await this.#fill(cluster);
    return cluster;
  }

  async #fill(cluster: ProtectedCluster): Promise<void> {
    const { server, asset } = cluster;
    await server.sql('CREATE TABLE orders AS SELECT g AS n FROM generate_series(1, 1000) g; CREATE INDEX ON orders (n)');
    const beats = this.spawn(['pg', 'heartbeat', server.connectionString, '--asset', asset, '--key-dir', this.keys]);
    this.#beats.push(beats);
    await cluster.start();
    await until(async () => (await server.sql("SELECT to_regclass('holdfast.heartbeat') IS NOT NULL"))[0]![0] === 't');
    await until(async () => (await server.sql('SELECT count(*) FROM holdfast.heartbeat'))[0]![0] === '1');
    await cluster.caughtUp();
  }

  /** Into the repository of the first production. */
  async backUp(asset: string, path: string, type = 'files'): Promise<void> {
    const { directory } = this;
    const own = ['--repo', join(directory, 'repository'), '--passphrase-file', join(directory, 'passphrase')];
    const { status, stderr } = await ended(this.spawn(['backup', path, '--asset', asset, '--type', type, '--json', ...own]));
    if (status !== 0) throw new Error(stderr);
  }

  /** From its answer on nobody but the test writes. */
  async stopWriters(clusters: readonly ProtectedCluster[]): Promise<void> {
    const ended = this.#beats.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#beats) child.kill('SIGKILL');
    await Promise.all(ended);
    for (const { server } of clusters) {
      await server.sql('ALTER SYSTEM SET autovacuum = off');
      await server.sql('SELECT pg_reload_conf()');
      // The capture's session only reads.
      await until(
        async () =>
          (
            await server.sql(
              "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'autovacuum worker') AND pid <> pg_backend_pid() AND query NOT LIKE '%pg_current_wal_flush_lsn%'",
            )
          )[0]![0] === '0',
      );
    }
  }

  /** A file with a plan of one database; `change` says what is different in it. */
  plan(change: (plan: Loose) => void = () => {}): string {
    const psql = `${this.cluster.programs}/psql`;
    const plan = portalPlan(shell('orders', `test "$(${psql} -Atc 'SELECT count(*) FROM orders')" = 1000`));
    change(plan);
    const file = join(this.directory, `plan-${readdirSync(this.directory).length}.yaml`);
    writeFileSync(file, stringify(plan));
    return file;
  }

  /** Of a site with an embedded registry. */
  siteConfig(registry: string): string {
    const { directory, cluster } = this;
    const database = {
      asset: ASSET,
      incarnation: 'portal-1',
      dataDirectory: cluster.server.directory,
      programs: cluster.programs,
      connection: cluster.server.connectionString,
      repository: { location: join(directory, 'repository'), passphraseFile: join(directory, 'passphrase') },
    };
    const state = join(directory, 'state');
    const places = { listen: '127.0.0.1:7410', state, runtime: join(directory, 'runtime'), registry: { embedded: registry } };
    const file = join(directory, `site-${readdirSync(directory).length}.yaml`);
    writeFileSync(file, stringify({ site: 'site-b', ...places, peers: [], databases: [database] }));
    return file;
  }

  spawn(args: readonly string[], user?: { readonly uid: number; readonly gid: number }): ChildProcess {
    const variables = { PATH: process.env.PATH!, HOME: this.directory, NODE_COMPILE_CACHE: '/tmp/holdfast-test-code' };
    const child = spawn(PROGRAM, args, { cwd: '/', env: variables, stdio: ['ignore', 'pipe', 'pipe'], ...user });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  begin(plan: string, more: readonly string[] = []): ChildProcess {
    const { directory } = this;
    const own = ['--repo', join(directory, 'repository'), '--cache-dir', join(directory, 'drill-cache')];
    return this.beginWith(plan, [...own, '--key-dir', join(directory, 'evidence-key'), ...more]);
  }

  /** As another user: with a repository, a cache and a key that are its own. */
  beginWith(plan: string, own: readonly string[], user?: { readonly uid: number; readonly gid: number }): ChildProcess {
    const { directory, evidence, clones, keys } = this;
    const place = ['--passphrase-file', join(directory, 'passphrase'), '--evidence-dir', evidence, '--directory', clones];
    const more = ['--heartbeat-key', join(keys, 'heartbeat-key.pub'), '--bin-dir', this.cluster.programs];
    return this.spawn(['drill', 'run', plan, ...own, ...place, ...more, '--threads', '1', '--json'], user);
  }

  /** To its end. */
  async run(plan: string, more: readonly string[] = []): Promise<DrillEnd> {
    return ended(this.begin(plan, more));
  }

  /** Directories of drills, in the order in which they were seen: the names of two that began within one second are in none. */
  drills(): string[] {
    const there = readdirSync(this.evidence).sort();
    this.#seen = [...this.#seen.filter((name) => there.includes(name)), ...there.filter((name) => !this.#seen.includes(name))];
    return this.#seen.map((name) => join(this.evidence, name));
  }

  record(drill = this.drills().at(-1)!): DrillRecord {
    return JSON.parse(readFileSync(join(drill, 'record.json'), 'utf8')) as DrillRecord;
  }

  /** What the offline verifier says of it; nothing may be wrong with it. */
  pack(drill = this.drills().at(-1)!): Pack {
    const verified = this.verified(drill);
    if (verified.problems.length > 0) throw new Error(JSON.stringify(verified.problems));
    return verified.pack!;
  }

  verified(drill = this.drills().at(-1)!): VerifiedEvidence {
    const key = parseVerifyKey(readFileSync(join(this.directory, 'evidence-key', 'evidence-key.pub'), 'utf8'))!;
    const attachment = (name: string): Uint8Array => readFileSync(join(drill, name));
    return verifyEvidence({ text: readFileSync(join(drill, 'pack.json')), trusted: [key], attachment });
  }

  measured(kind: string, drill?: string): { readonly of: string; readonly value: Readonly<Record<string, unknown>> }[] {
    return this.pack(drill).body.measurements.filter((one) => one.kind === kind);
  }

  claim(id: string, drill?: string): Readonly<Record<string, unknown>> {
    return this.pack(drill).body.claims.claims.find((one) => one.id === id)!.value;
  }

  /** The action of a drill that runs, or has run. */
  async reaches(action: string): Promise<void> {
    await until(
      () => this.drills().some((drill) => this.actions(drill).includes(action)),
      () => `no drill has come to ${action}`,
    );
  }

  actions(drill: string): string[] {
    const file = join(drill, 'measurements.jsonl');
    return (
      (existsSync(file) ? readFileSync(file, 'utf8') : '')
        .split('\n')
        // What is behind the last end of a line is a line that is being written: a reader may see its beginning alone.
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { kind: string; of: string })
        .flatMap(({ kind, of }) => (kind === 'action' ? [of] : []))
    );
  }

  /** Watchers that are children of processes of this scene. */
  watchers(): number[] {
    return readdirSync('/proc').flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))![1];
        const isOurs = readFileSync(`/proc/${parent}/cmdline`, 'utf8').includes(this.evidence);
        return command.includes('drill-watcher') && isOurs ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  /** What is left of drills: directories, and processes that know them: servers, steps, restores. */
  left(): string[] {
    // Other scenes may drill at the same time.
    const ours = [`${this.clones}/`, ...this.drills().map((drill) => `HOLDFAST_DRILL=${basename(drill)}`)];
    const processes = readdirSync('/proc').flatMap((name) => {
      try {
        const known = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${name}/${file}`, 'utf8').replaceAll('\0', ' '));
        return known.some((text) => ours.some((mark) => text.includes(mark))) ? [`${name} ${known[0]}`] : [];
      } catch {
        return [];
      }
    });
    return [...readdirSync(this.clones), ...processes];
  }
}

export async function ended(child: ChildProcess): Promise<DrillEnd> {
  let [stdout, stderr] = ['', ''];
  child.stdout!.on('data', (piece: Buffer) => {
    stdout += piece.toString();
  });
  child.stderr!.on('data', (piece: Buffer) => {
    stderr += piece.toString();
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, lines: linesOf(stdout), stderr };
}

// Real PostgreSQL servers for tests: a cluster in a scratch directory, reached by its socket only, run as a user that is not root (the
// server refuses root). Without vitest: child processes and benchmarks use it too.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PgConnection } from '../../agents/postgres/connection.ts';
import type { ServerAddress } from '../../agents/postgres/connection-string.ts';
import { isRunning } from '../../src/base/process-identity.ts';

const START_TIMEOUT_MS = 60_000;
const NOTICE_MS = 10_000;
export const TEST_PORT = 5433;

/** The newest PostgreSQL's programs here, or those in HOLDFAST_TEST_POSTGRES, to run the same tests against another version; undefined,
 *  after a printed line, where there is none (in CI that is an error). */
export function postgresPrograms(): string | undefined {
  if (process.env.HOLDFAST_TEST_POSTGRES !== undefined) return process.env.HOLDFAST_TEST_POSTGRES;
  const installed = installedPrograms();
  if (installed !== undefined) return installed;
  const line = 'PostgreSQL is not installed: apt-get install -y postgresql';
  if (process.env.CI === 'true') throw new Error(line);
  console.log(`SKIPPED, tests against a real PostgreSQL: ${line}`);
  return undefined;
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Version of these programs. */
export function majorOf(programs: string): number {
  return Number(/ (\d+)/.exec(execFileSync(join(programs, 'postgres'), ['--version'], { encoding: 'utf8' }))?.[1]);
}

function installedPrograms(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).filter((name) => existsSync(join(root, name, 'bin/initdb'))) : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? undefined : join(root, newest, 'bin');
}

/** Whether that version has brought these programs along; where not that is printed. A package of a server alone has none of its clients, and those of
 *  another version do not do. */
export function hasClients(programs: string | undefined, ...names: readonly string[]): boolean {
  if (programs === undefined) return false;
  const missing = names.filter((name) => !existsSync(join(programs, name)));
  if (missing.length === 0) return true;
  const line = `${programs} has no ${missing.join(', ')}`;
  if (process.env.CI === 'true' && process.env.HOLDFAST_TEST_POSTGRES === undefined) throw new Error(line);
  console.log(`SKIPPED, what is looked at with programs of PostgreSQL itself: ${line}`);
  return false;
}

/** Who runs the servers: this user, or "postgres" when this is root. */
export function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith('postgres:'));
  const [, , uid, gid] = (line ?? '').split(':');
  if (gid === undefined) throw new Error('There is no user "postgres" to run a server as');
  return { uid: Number(uid), gid: Number(gid) };
}

/** A directory that the server's user owns, in memory when there is such a place. */
export function serverScratch(): string {
  const path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-pg-'));
  const user = serverUser();
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  chmodSync(path, 0o755);
  return path;
}

export type NewServer = {
  readonly walSegmentMib?: number;
  readonly checksums?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** Of its process, beside our own. */
  readonly environment?: Readonly<Record<string, string>>;
};

export class TestServer {
  readonly directory: string;
  readonly socketDirectory: string;
  readonly port: number;
  readonly #programs: string;
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(programs: string, directory: string, socketDirectory: string, port: number = TEST_PORT, environment = {}) {
    this.#programs = programs;
    this.#environment = environment;
    this.directory = directory;
    this.socketDirectory = socketDirectory;
    this.port = port;
  }

  /** initdb, and a start. */
  static async create(programs: string, scratch: string, name = 'production', options: NewServer = {}): Promise<TestServer> {
    const { walSegmentMib = 16, checksums = true, settings = {}, environment = {} } = options;
    const directory = join(scratch, name);
    const socketDirectory = join(scratch, `${name}-socket`);
    makeOwned(socketDirectory);
    const args = [
      '-D',
      directory,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-N',
      '--locale=C',
      '-E',
      'UTF8',
      `--wal-segsize=${walSegmentMib}`,
    ];
    execFileSync(join(programs, 'initdb'), [...args, ...(checksums ? ['-k'] : [])], { ...serverUser(), stdio: 'pipe', cwd: '/' });
    const server = new TestServer(programs, directory, socketDirectory, TEST_PORT, environment);
    // Shared memory in its own directory: what a killed server leaves goes with that.
    const own = {
      listen_addresses: '',
      fsync: 'off',
      shared_buffers: '32MB',
      max_wal_size: '256MB',
      dynamic_shared_memory_type: 'mmap',
    };
    server.configure({ ...own, ...settings });
    await server.start();
    return server;
  }

  configure(settings: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(settings))
      appendFileSync(join(this.directory, 'postgresql.conf'), `${name} = '${value}'\n`);
  }

  async start(): Promise<void> {
    const log = openSync(join(this.directory, 'server.log'), 'a');
    const args = ['-D', this.directory, '-k', this.socketDirectory, '-p', String(this.port)];
    const env = { ...process.env, ...this.#environment };
    this.#child = spawn(join(this.#programs, 'postgres'), args, { ...serverUser(), stdio: ['ignore', log, log], cwd: '/', env });
    closeSync(log);
    await this.ready();
  }

  /** Until it answers. */
  async ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      if (this.#child?.exitCode !== null && this.#child !== undefined)
        throw new Error(`The server ended: ${this.log().slice(-2000)}`);
      try {
        (await this.connect()).close();
        return;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`The server does not answer: ${this.log().slice(-2000)}`, { cause: error });
        await sleep(20);
      }
    }
  }

  /** "fast" unless it is to wait for its sessions (SIGTERM), or to die at once. */
  async stop(how: 'SIGINT' | 'SIGTERM' | 'SIGQUIT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const own = childrenOf(child.pid!);
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(how);
    await ended;
    // Those of a server that died notice it by themselves; until then no other may begin there.
    const deadline = Date.now() + NOTICE_MS;
    while (own.some(isRunning) && Date.now() < deadline) await sleep(5);
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  address(database = 'postgres'): ServerAddress {
    return { host: this.socketDirectory, port: this.port, user: 'postgres', password: undefined, database, tls: 'disable' };
  }

  get connectionString(): string {
    return `host=${this.socketDirectory} port=${this.port} user=postgres`;
  }

  connect(database?: string): Promise<PgConnection> {
    return PgConnection.open({ address: this.address(database) });
  }

  /** Rows of the last statement that has any. */
  async sql(text: string, database?: string): Promise<readonly (readonly (string | null)[])[]> {
    const connection = await this.connect(database);
    try {
      return (await connection.query(text)).rows;
    } finally {
      connection.close();
    }
  }

  log(): string {
    try {
      return readFileSync(join(this.directory, 'server.log'), 'utf8');
    } catch {
      return '';
    }
  }

  /** A data directory that follows this server, not started. */
  async copyAsStandby(directory: string): Promise<void> {
    const from = ['-h', this.socketDirectory, '-p', String(this.port), '-U', 'postgres'];
    if (existsSync(join(this.#programs, 'pg_basebackup'))) {
      this.run('pg_basebackup', ['-D', directory, '-X', 'stream', '-R', '--checkpoint=fast', ...from]);
      return;
    }
    // Clients of another version do not make one.
    const sql = await this.connect();
    const isModern = sql.version >= 15;
    await sql.query(isModern ? "SELECT pg_backup_start('copy', true)" : "SELECT pg_start_backup('copy', true, false)");
    execFileSync('cp', ['-a', this.directory, directory]);
    const label = await sql.value(`SELECT labelfile FROM ${isModern ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)'}`);
    sql.close();
    for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(directory, name), { force: true });
    // A slot that came along would hold the log for nobody.
    const slots = join(directory, 'pg_replslot');
    for (const name of readdirSync(slots)) rmSync(join(slots, name), { recursive: true });
    const user = serverUser();
    for (const [name, text] of [
      ['backup_label', label!],
      ['standby.signal', ''],
    ] as const) {
      writeFileSync(join(directory, name), text);
      if (user !== undefined) chownSync(join(directory, name), user.uid, user.gid);
    }
    appendFileSync(join(directory, 'postgresql.auto.conf'), `primary_conninfo = '${this.connectionString}'\n`);
  }

  /** pg_ctl and its like, as the server's user. Clients that this version has not brought along are those of the installed one. */
  run(program: string, args: readonly string[]): string {
    const own = join(this.#programs, program);
    const { status, stdout, stderr } = spawnSync(existsSync(own) ? own : join(installedPrograms() ?? '', program), args, {
      ...serverUser(),
      cwd: '/',
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stdout}${stderr}`);
    return stdout;
  }
}

export function makeOwned(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  const user = serverUser();
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  return path;
}

/** With what killed servers in it have left in the kernel. */
export function removeScratch(path: string): void {
  for (const directory of existsSync(path) ? [path, ...readdirSync(path).map((name) => join(path, name))] : [])
    removeSegment(directory);
  rmSync(path, { recursive: true, force: true });
}

/** A server that ends in order removes its segment, and its file. */
function removeSegment(dataDirectory: string): void {
  try {
    const lines = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
    const [, id] = lines[6]!.trim().split(/ +/);
    if (id !== undefined && !isRunning(Number(lines[0]))) spawnSync('ipcrm', ['-m', id]);
  } catch {
    // No data directory, or none of a server that was killed.
  }
}

// The database: the data directory of a real PostgreSQL, filled by pgbench and stopped. Second state: the same after so many
// transactions that about a tenth of its 8 KiB pages differ (heap, index, and the log that goes with them).

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const FULL_SCALE = 100;
const SHORT_SCALE = 10;
/** Per unit of pgbench's scale; gives the tenth. */
const TRANSACTIONS_PER_SCALE = 50;

const SETTINGS: Record<string, string> = {
  listen_addresses: "''",
  fsync: 'off',
  autovacuum: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  min_wal_size: '32MB',
  max_wal_size: '512MB',
  checkpoint_timeout: '1h',
  shared_buffers: '256MB',
  dynamic_shared_memory_type: 'mmap',
};

type User = { readonly uid: number; readonly gid: number; readonly prefix: readonly string[] };

/** PostgreSQL refuses to run as root: then it runs as the user that Debian's package creates. */
function serverUser(): User {
  const uid = process.getuid!();
  if (uid !== 0) return { uid, gid: process.getgid!(), prefix: [] };
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'));
  if (line === undefined)
    throw new Error('There is no user "postgres": install postgresql-15 (Debian), or run as another user than root.');
  const fields = line.split(':');
  return { uid: Number(fields[2]), gid: Number(fields[3]), prefix: ['runuser', '-u', 'postgres', '--'] };
}

function programs(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).filter((v) => existsSync(join(root, v, 'bin/initdb'))) : [];
  if (versions.length === 0) throw new Error(`No PostgreSQL server below ${root}: install postgresql-15 (Debian).`);
  return join(root, versions.sort((a, b) => Number(a) - Number(b)).at(-1)!, 'bin');
}

class Server {
  readonly #data: string;
  readonly #socket: string;
  readonly #user = serverUser();
  readonly #programs = programs();

  constructor(data: string) {
    this.#data = data;
    this.#socket = `${data}.socket`;
    mkdirSync(this.#socket, { recursive: true });
    chownSync(this.#socket, this.#user.uid, this.#user.gid);
  }

  run(program: string, ...args: string[]): void {
    const argv = [...this.#user.prefix, join(this.#programs, program), ...args];
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      PGHOST: this.#socket,
      PGUSER: 'postgres',
      PGDATABASE: 'postgres',
    };
    execFileSync(argv[0]!, argv.slice(1), { env, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
  }

  create(): void {
    mkdirSync(this.#data, { recursive: true });
    chownSync(this.#data, this.#user.uid, this.#user.gid);
    chmodSync(this.#data, 0o700);
    this.run('initdb', '-D', this.#data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync');
  }

  /** Runs `work` between start and a clean stop. */
  while(work: () => void): void {
    const settings = Object.entries({ ...SETTINGS, unix_socket_directories: this.#socket }).map(
      ([name, value]) => `-c ${name}=${value}`,
    );
    this.run('pg_ctl', '-D', this.#data, '-w', '-l', '/dev/null', '-o', settings.join(' '), 'start');
    try {
      work();
    } finally {
      this.run('pg_ctl', '-D', this.#data, '-w', '-m', 'fast', 'stop');
      rmSync(this.#socket, { recursive: true, force: true });
    }
  }
}

export function writeDatabase(root: string, scale: number): void {
  const server = new Server(root);
  server.create();
  server.while(() => server.run('pgbench', '-i', '-q', '-s', String(scale > 1 ? SHORT_SCALE : FULL_SCALE)));
}

export function changeDatabase(root: string, scale: number): void {
  const transactions = TRANSACTIONS_PER_SCALE * (scale > 1 ? SHORT_SCALE : FULL_SCALE);
  const server = new Server(root);
  server.while(() => server.run('pgbench', '-n', '-c', '1', '-t', String(transactions), '--random-seed=2'));
}

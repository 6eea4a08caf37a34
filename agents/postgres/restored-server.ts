// A server on a restored data directory, shut off from the world: its own socket in a private directory, its own rules of access, no port,
// nothing archived. So production cannot be touched, and only whoever may enter the directory can look.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import { PgConnection, ServerError } from './connection.ts';
import type { ServerAddress } from './connection-string.ts';
import type { FileOwner } from './log-server.ts';
import { SANDBOX_NAME } from './running-servers.ts';
import { type ServerProcess, type StartServer, startAsChild } from './server-process.ts';

const POLL_MS_MIN = 25;
const POLL_MS_MAX = 1_000;
/** Of the time waited so far: a long recovery is not asked forty times a second. */
const POLL_SHARE = 0.02;
const STOP_TIMEOUT_MS = 120_000;

export type SandboxOptions = {
  /** Directory of the server's programs. */
  readonly programs: string;
  readonly dataDirectory: string;
  /** Private; holds the socket, the log and the rules of access. */
  readonly directory: string;
  readonly owner: FileOwner | undefined;
  readonly role: string;
  readonly database: string;
  /** Major. */
  readonly version: number;
  /** More settings, for the command line. */
  readonly settings: Readonly<Record<string, string>>;
  /** Absent: as a child of this process. */
  readonly start?: StartServer;
};

export const SANDBOX_PORT = 5432;
const EVERYWHERE = { role: 'postgres', database: 'template1' };
const VERSION_WITHOUT_STATISTICS_FILES = 15;
const VERSION_WITH_EVENT_TRIGGERS_OFF = 17;
/** What it tells whoever asks too early: us. */
const NOT_YET = /FATAL: +the database system is /;
/** The role that initdb made has this number, whatever its name. */
const SUPERUSER = 'SELECT rolname FROM pg_roles WHERE oid = 10';

export class RestoredServer {
  readonly #options: SandboxOptions;
  readonly #process: ServerProcess;
  /** Who is let in: whom the backup was made by, while the catalogue still knows them at this place of the log. */
  #person: { readonly role: string; readonly database: string };
  #superuser: string | undefined;

  private constructor(options: SandboxOptions, process: ServerProcess) {
    this.#options = options;
    this.#process = process;
    this.#person = { role: options.role, database: options.database };
  }

  static start(options: SandboxOptions): RestoredServer {
    const { programs, dataDirectory, directory, owner, settings, version, start = startAsChild } = options;
    const own: Record<string, string> = {
      // Its configuration is production's, and may name production's own directory and files.
      data_directory: dataDirectory,
      external_pid_file: '',
      ...(version < VERSION_WITHOUT_STATISTICS_FILES ? { stats_temp_directory: 'pg_stat_tmp' } : {}),
      listen_addresses: '',
      unix_socket_directories: directory,
      port: String(SANDBOX_PORT),
      hba_file: join(directory, 'pg_hba.conf'),
      logging_collector: 'off',
      log_destination: 'stderr',
      lc_messages: 'C',
      ssl: 'off',
      cluster_name: SANDBOX_NAME,
      // The copy believes that it is production: it must not take what is meant for that, nor do its work a second time.
      archive_mode: 'off',
      max_logical_replication_workers: '0',
      'cron.launch_active_jobs': 'off',
      ...(version >= VERSION_WITH_EVENT_TRIGGERS_OFF ? { event_triggers: 'off' } : {}),
      ...settings,
    };
    const words = Object.entries(own).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const place = { owner, log: join(directory, 'server.log') };
    return new RestoredServer(options, start(join(programs, 'postgres'), ['-D', dataDirectory, ...words], place));
  }

  get address(): ServerAddress {
    const { role, database } = this.#person;
    const port = Number(this.#options.settings.port ?? SANDBOX_PORT);
    return { host: this.#options.directory, port, user: role, password: undefined, database, tls: 'disable' };
  }

  /** Of a database in it, as the superuser. */
  async addressOf(database: string): Promise<ServerAddress> {
    if (this.#superuser === undefined) {
      const sql = await PgConnection.open({ address: this.address });
      try {
        this.#superuser = (await sql.value(SUPERUSER)) ?? this.#options.role;
      } finally {
        sql.close();
      }
    }
    return { ...this.address, user: this.#superuser, database };
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Asks until it answers `done`. PG_RECOVERY_FAILED when the server ends before. */
  async until<T>(
    ask: (sql: PgConnection) => Promise<T | undefined>,
    signal: AbortSignal,
    onLook: () => void = () => {},
  ): Promise<T> {
    const began = performance.now();
    for (;;) {
      signal.throwIfAborted();
      if (this.#process.hasEnded()) throw this.failed('The restored server ended before it reached the wanted place');
      const answer = await this.#tryAsk(ask);
      if (answer !== undefined) return answer;
      onLook();
      const pause = Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, (performance.now() - began) * POLL_SHARE));
      await Promise.race([sleep(pause, undefined, { signal }).catch(() => {}), this.#process.ended]);
    }
  }

  failed(what: string): Fault {
    const why = this.log()
      .split('\n')
      .filter((line) => /FATAL|PANIC|ERROR/.test(line) && !NOT_YET.test(line))
      .slice(-3)
      .map((line) => line.replace(/^.*?(FATAL|PANIC|ERROR):\s*/, '$1: '))
      .join('; ');
    const log = join(this.#options.directory, 'server.log');
    return new Fault('PG_RECOVERY_FAILED', `${why === '' ? what : `${what}: ${why}`} (its log is ${log})`);
  }

  log(): string {
    try {
      return readFileSync(join(this.#options.directory, 'server.log'), 'utf8');
    } catch {
      return '';
    }
  }

  /** 'in-order': with a checkpoint. 'now': nobody wants to start it again. */
  async stop(how: 'in-order' | 'now' = 'in-order'): Promise<void> {
    if (this.#process.hasEnded()) return;
    this.#process.kill(how === 'now' ? 'SIGQUIT' : 'SIGINT');
    const timer = setTimeout(() => this.#process.kill('SIGQUIT'), STOP_TIMEOUT_MS);
    await this.#process.ended;
    clearTimeout(timer);
  }

  /** Leaves it running when this process ends. */
  leave(): void {
    this.#process.unref();
  }

  async #tryAsk<T>(ask: (sql: PgConnection) => Promise<T | undefined>): Promise<T | undefined> {
    let sql: PgConnection | undefined;
    try {
      sql = await PgConnection.open({ address: this.address });
      return await ask(sql);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (sql === undefined && this.#isForgotten(error)) return undefined;
      // It starts, or does not take connections yet; or the question met the very moment of the promotion.
      if (error.code === 'PG_UNREACHABLE' || (sql !== undefined && error.code === 'PG_REFUSED')) return undefined;
      throw error;
    } finally {
      sql?.close();
    }
  }

  /** The role or the database of the backup is not there any more, or lets nobody in: others do. Answers whether there is one to try. */
  #isForgotten({ code, cause }: Fault): boolean {
    if (!(cause instanceof ServerError)) return false;
    const { role, database } = this.#person;
    if (code === 'PG_REFUSED' && database !== EVERYWHERE.database) this.#person = { role, database: EVERYWHERE.database };
    else if (cause.sqlState === '28000' && role !== EVERYWHERE.role) this.#person = { role: EVERYWHERE.role, database };
    else return false;
    return true;
  }
}

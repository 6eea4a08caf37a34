// A window of a cluster's life, made up from a seed, and what its ledger held at each moment of it. Every change of the ledger is one transaction,
// one after the other; beside it the server's own time of its commit is noted. So at a time T the ledger held what the changes up to T had
// made of it, and nothing that a lost primary had alone: that is the whole oracle, and it shares no code with what it judges.

import type { PgConnection } from '../../agents/postgres/connection.ts';
import type { TestServer } from './postgres.ts';
import { type ProtectedCluster, serverClock, until } from './protected-cluster.ts';

/** Unix microseconds; a positive line came, a negative one went. */
type Change = { readonly time: number; readonly lines: readonly number[] };

const IDLE_MICROS = 400_000;

export class LedgerHistory {
  readonly changes: Change[] = [];
  readonly told: string[] = [];
  readonly #cluster: ProtectedCluster;
  readonly #random: () => number;
  #lines = 0;
  #standbys = 0;
  #long: { readonly sql: PgConnection; readonly line: number } | undefined;
  #prepared: { readonly name: string; readonly line: number } | undefined;

  constructor(cluster: ProtectedCluster, random: () => number) {
    this.#cluster = cluster;
    this.#random = random;
  }

  static async open(cluster: ProtectedCluster, random: () => number): Promise<LedgerHistory> {
    await cluster.server.sql("CREATE TABLE ledger (line int PRIMARY KEY, filler text DEFAULT repeat('x', 3000))");
    return new LedgerHistory(cluster, random);
  }

  /** What the ledger held at a time, in order. */
  at(time: number): number[] {
    const held = new Set<number>();
    for (const change of this.changes) {
      if (change.time > time) break;
      for (const line of change.lines) {
        if (line > 0) held.add(line);
        else held.delete(-line);
      }
    }
    return [...held].sort((a, b) => a - b);
  }

  /** Something happens. */
  async step(): Promise<void> {
    const events: readonly (readonly [weight: number, what: string, happen: () => Promise<void>])[] = [
      [10, 'lines', () => this.#write(1 + this.#below(4))],
      [4, 'a line goes', () => this.#remove()],
      [3, 'rolled back', () => this.#rollBack()],
      [3, 'a long transaction', () => this.#beginOrEndLong()],
      [3, 'a prepared transaction', () => this.#prepareOrCommit()],
      [3, 'a switch', () => this.#sql('SELECT pg_switch_wal()')],
      [2, 'checkpoints', () => this.#checkpoints()],
      [2, 'nothing', () => this.#idle()],
      [1, 'a restart', () => this.#restart('SIGINT')],
      [1, 'a crash', () => this.#restart('SIGKILL')],
    ];
    let at = this.#below(events.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, what, happen] of events) {
      at -= weight;
      if (at >= 0) continue;
      this.told.push(what);
      await happen();
      return;
    }
  }

  /** The primary dies, and a standby that has all of its log, or lacks some of it, goes on. */
  async failOver(lags: boolean): Promise<void> {
    const cluster = this.#cluster;
    const primary = cluster.server;
    this.told.push(lags ? 'a failover to a standby that lags' : 'a failover');
    await this.#endOpen();
    const standby = await cluster.standby(`standby-${this.#standbys++}`);
    await this.#write(2);
    const position = (await primary.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]!;
    await until(async () => (await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${position}'`))[0]![0] === 't');
    const surviving = this.changes.length;
    if (lags) {
      await standby.stop();
      await this.#write(2);
    }
    await cluster.caughtUp();
    await primary.stop('SIGKILL');
    await cluster.stop();
    if (lags) {
      standby.configure({ primary_conninfo: '' });
      await standby.start();
    }
    await standby.sql('SELECT pg_promote()');
    cluster.server = standby;
    cluster.begin();
    // They are on the old timeline, and not on the way to the new one.
    this.changes.splice(surviving);
    await this.#write(1);
    await cluster.caughtUp();
  }

  /** Nothing stays open, and the log has gone on beyond the last change. */
  async end(): Promise<void> {
    await this.#endOpen();
    await this.#write(1);
    await this.#cluster.caughtUp();
  }

  get #server(): TestServer {
    return this.#cluster.server;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  async #sql(text: string): Promise<void> {
    await this.#server.sql(text);
  }

  async #write(lines: number): Promise<void> {
    for (let n = 0; n < lines; n++) {
      const line = ++this.#lines;
      await this.#commit(`INSERT INTO ledger VALUES (${line})`, [line]);
    }
  }

  async #remove(): Promise<void> {
    const held = this.at(Number.POSITIVE_INFINITY);
    if (held.length === 0) return;
    const line = held[this.#below(held.length)]!;
    await this.#commit(`DELETE FROM ledger WHERE line = ${line}`, [-line]);
  }

  async #rollBack(): Promise<void> {
    await this.#sql('BEGIN; INSERT INTO ledger SELECT -g FROM generate_series(1, 5) g; ROLLBACK');
    const line = ++this.#lines;
    const inner = `SAVEPOINT s; INSERT INTO ledger VALUES (-${line}); ROLLBACK TO s`;
    await this.#commit(`INSERT INTO ledger VALUES (${line}); ${inner}`, [line]);
  }

  async #beginOrEndLong(): Promise<void> {
    if (this.#long !== undefined) {
      const { sql, line } = this.#long;
      this.#long = undefined;
      const id = await sql.value('SELECT pg_current_xact_id()');
      await sql.query('COMMIT');
      sql.close();
      await this.#note(id!, [line]);
      return;
    }
    const sql = await this.#server.connect();
    const line = ++this.#lines;
    await sql.query(`BEGIN; INSERT INTO ledger VALUES (${line})`);
    this.#long = { sql, line };
  }

  async #prepareOrCommit(): Promise<void> {
    if (this.#prepared !== undefined) {
      const { name, line } = this.#prepared;
      this.#prepared = undefined;
      const id = (await this.#server.sql(`SELECT transaction FROM pg_prepared_xacts WHERE gid = '${name}'`))[0]![0]!;
      await this.#sql(`COMMIT PREPARED '${name}'`);
      await this.#note(id, [line]);
      return;
    }
    const line = ++this.#lines;
    const name = `line ${line}`;
    await this.#sql(`BEGIN; INSERT INTO ledger VALUES (${line}); PREPARE TRANSACTION '${name}'`);
    this.#prepared = { name, line };
  }

  async #endOpen(): Promise<void> {
    if (this.#long !== undefined) await this.#beginOrEndLong();
    if (this.#prepared !== undefined) await this.#prepareOrCommit();
  }

  async #checkpoints(): Promise<void> {
    for (let n = 0; n < 3; n++) {
      await this.#sql('CREATE TABLE storm AS SELECT repeat(md5(g::text), 30) FROM generate_series(1, 500) g; DROP TABLE storm');
      await this.#sql('CHECKPOINT');
    }
  }

  /** Time passes, and nobody commits anything. */
  async #idle(): Promise<void> {
    const since = await serverClock(this.#server);
    await until(async () => (await serverClock(this.#server)) > since + IDLE_MICROS);
  }

  async #restart(how: 'SIGINT' | 'SIGKILL'): Promise<void> {
    // What was not committed is gone then.
    this.#long?.sql.close();
    this.#long = undefined;
    await this.#server.stop(how);
    await this.#server.start();
  }

  async #commit(statements: string, lines: readonly number[]): Promise<void> {
    const sql = await this.#server.connect();
    try {
      await sql.query(`BEGIN; ${statements}`);
      const id = await sql.value('SELECT pg_current_xact_id()');
      await sql.query('COMMIT');
      await this.#note(id!, lines);
    } finally {
      sql.close();
    }
  }

  async #note(id: string, lines: readonly number[]): Promise<void> {
    const query = `SELECT (extract(epoch FROM pg_xact_commit_timestamp('${id}'::xid)) * 1000000)::bigint::text`;
    this.changes.push({ time: Number((await this.#server.sql(query))[0]![0]), lines });
  }
}

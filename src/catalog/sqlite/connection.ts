// One connection to the file, with every statement prepared once.

import Database from 'better-sqlite3';

export type Row = Record<string, unknown>;
export type Statement = {
  run(...parameters: unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  get(...parameters: unknown[]): Row | undefined;
  all(...parameters: unknown[]): Row[];
};
/** The statement of that text: prepared at its first use. Texts are constants, or few combinations of constants. */
export type Sql = (text: string) => Statement;

/** How long SQLite itself waits for another process, and this process with it. A writer waits aside instead (writer.ts); a reader only ever meets
 *  the first one to open a file after a crash. */
const BUSY_TIMEOUT_MS = { write: 2, read: 1000 } as const;
const WAL_BYTES_KEPT = 64 * 1024 * 1024;

export class Connection {
  readonly database: Database.Database;
  readonly #statements = new Map<string, Statement>();

  constructor(path: string, mode: 'write' | 'read') {
    this.database = new Database(path, { fileMustExist: true, readonly: mode === 'read', timeout: BUSY_TIMEOUT_MS[mode] });
    this.database.pragma('foreign_keys = ON');
    this.database.pragma('trusted_schema = OFF');
  }

  /** Makes commits durable and lets readers go on beside a writer. Fails while another process does the same. */
  prepareForWriting(): void {
    this.database.pragma('journal_mode = WAL');
    this.database.pragma('synchronous = FULL');
    this.database.pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
  }

  readonly sql: Sql = (text) => {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.database.prepare<unknown[], Row>(text);
      this.#statements.set(text, statement);
    }
    return statement;
  };

  /** All of `work` or nothing of it; what came before in the same transaction stays. */
  atomic<T>(work: (sql: Sql) => T): T {
    this.sql('SAVEPOINT one').run();
    try {
      const value = work(this.sql);
      this.sql('RELEASE one').run();
      return value;
    } catch (error) {
      // Some failures (a full disk) have ended the whole transaction already.
      if (this.database.inTransaction) {
        this.sql('ROLLBACK TO one').run();
        this.sql('RELEASE one').run();
      }
      throw error;
    }
  }

  /** Never throws: when even this fails, the next transaction cannot begin and says so. */
  rollBack(): void {
    try {
      if (this.database.inTransaction) this.sql('ROLLBACK').run();
    } catch {
      // What led here is the failure to report.
    }
  }

  close(): void {
    this.database.close();
  }
}

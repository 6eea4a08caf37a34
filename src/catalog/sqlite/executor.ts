// What the tables run on: the whole catalogue (reads on a connection of their own, writes through the writer), or one open transaction.

import type { Sql } from './connection.ts';

export interface Executor {
  /** Of committed state; in a transaction also of what it wrote itself. */
  read<T>(work: (sql: Sql) => T): Promise<T>;
  /** All of `work` or nothing of it. Resolves when it is durable (in a transaction: when it is done). */
  write<T>(work: (sql: Sql) => T): Promise<T>;
}

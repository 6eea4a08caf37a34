// The one writer of this process: everything that changes the file goes through its queue, in order.
//
// - Small writes that wait together become one transaction, each in a savepoint of its own: one flush of the disk acknowledges all of
//   them, and one that fails undoes only itself. Nobody hears anything before the commit.
// - A long one (`transaction`) has the connection for itself until it ends; asynchronous work in it meets no other write.
// - Every transaction begins as a writer (BEGIN IMMEDIATE), so two processes never deadlock in the middle. While another process writes,
//   we wait aside: SQLite's own waiting would stop this process's event loop.

import { Fault } from '../../base/faults.ts';
import type { Connection, Sql } from './connection.ts';
import { isBusy, sqliteFault } from './sqlite-fault.ts';

const BATCH_MAX = 1000;
const BUSY_MAX_MS = 30_000;
const BUSY_PAUSE_MAX_MS = 20;
const LONG_MAX_MS = 30_000;

type Job = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
} & (
  | { readonly kind: 'small'; readonly work: (sql: Sql) => unknown }
  | { readonly kind: 'long'; readonly work: () => Promise<unknown>; readonly over: () => void }
);

export class Writer {
  readonly #connection: Connection;
  #jobs: Job[] = [];
  #draining: Promise<void> | undefined;
  #isClosed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  small<T>(work: (sql: Sql) => T): Promise<T> {
    return new Promise<T>((resolve, reject) =>
      this.#add({ kind: 'small', work, resolve: resolve as (value: unknown) => void, reject }),
    );
  }

  /** `over` is called the moment before the transaction ends: nothing may use the connection any more. */
  long<T>(work: () => Promise<T>, over: () => void): Promise<T> {
    return new Promise<T>((resolve, reject) =>
      this.#add({ kind: 'long', work, over, resolve: resolve as (value: unknown) => void, reject }),
    );
  }

  /** Waits for what was asked for before and takes nothing more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#draining !== undefined) await this.#draining;
  }

  #add(job: Job): void {
    if (this.#isClosed) {
      job.reject(new Error('The catalogue is closed.'));
      return;
    }
    this.#jobs.push(job);
    this.#draining ??= new Promise((resolve) => setImmediate(resolve)).then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    while (this.#jobs.length > 0) {
      try {
        await this.#begin();
      } catch (error) {
        const fault = sqliteFault(error);
        for (const job of this.#jobs.splice(0)) job.reject(fault);
        break;
      }
      if (this.#jobs[0]!.kind === 'small') this.#runSmall();
      else await this.#runLong(this.#jobs.shift() as Job & { kind: 'long' });
    }
    this.#draining = undefined;
  }

  async #begin(): Promise<void> {
    const until = performance.now() + BUSY_MAX_MS;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, BUSY_PAUSE_MAX_MS)) {
      try {
        this.#connection.sql('BEGIN IMMEDIATE').run();
        return;
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  #runSmall(): void {
    const taken: Job[] = [];
    const answers: (() => void)[] = [];
    try {
      while (this.#jobs[0]?.kind === 'small' && taken.length < BATCH_MAX) {
        const job = this.#jobs.shift() as Job & { kind: 'small' };
        taken.push(job);
        answers.push(this.#answerOf(job));
      }
      this.#connection.sql('COMMIT').run();
    } catch (error) {
      this.#connection.rollBack();
      const fault = sqliteFault(error);
      for (const job of taken) job.reject(fault);
      return;
    }
    for (const answer of answers) answer();
  }

  /** Throws only when the whole transaction is gone. */
  #answerOf(job: Job & { kind: 'small' }): () => void {
    try {
      const value = this.#connection.atomic(job.work);
      return () => job.resolve(value);
    } catch (error) {
      if (!this.#connection.database.inTransaction) throw error;
      return () => job.reject(sqliteFault(error));
    }
  }

  async #runLong(job: Job & { kind: 'long' }): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new Fault('INTERNAL', `A transaction on the catalogue took longer than ${LONG_MAX_MS / 1000} s and was undone.`));
        }, LONG_MAX_MS);
      });
      const value = await Promise.race([job.work(), late]);
      job.over();
      this.#connection.sql('COMMIT').run();
      job.resolve(value);
    } catch (error) {
      job.over();
      this.#connection.rollBack();
      job.reject(sqliteFault(error));
    } finally {
      clearTimeout(timer);
    }
  }
}

// The registry of one machine: an SQLite file that every process of the machine opens. Each change is one immediate transaction, synced to the
// disk before it is answered. It is a quorum of one: whoever uses it for two sites has no witness, and the plan says so.

import Database from 'better-sqlite3';
import { Fault } from '../base/faults.ts';
import { checkCall } from './check-call.ts';
import type { Registry, RegistryValue } from './registry.ts';

const BUSY_TIMEOUT_MS = 2_000;
const FORMAT = 1;

export function openEmbeddedRegistry(path: string): Registry {
  return new EmbeddedRegistry(path);
}

class EmbeddedRegistry implements Registry {
  readonly location: string;
  readonly #database: Database.Database;

  constructor(path: string) {
    this.location = path;
    this.#database = this.#guard(() => new Database(path, { timeout: BUSY_TIMEOUT_MS }));
    this.#guard(() => {
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;');
      this.#database.exec(
        'CREATE TABLE IF NOT EXISTS registry (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) STRICT',
      );
      const format = this.#database.pragma('user_version', { simple: true }) as number;
      if (format > FORMAT) throw new Fault('REGISTRY_DAMAGED', `${path} was made by a newer Holdfast`);
      if (format < FORMAT) this.#database.exec(`PRAGMA user_version = ${FORMAT}`);
    });
  }

  async read(key: string): Promise<RegistryValue | undefined> {
    checkCall(key);
    return this.#guard(() => {
      return this.#database.prepare('SELECT value, revision FROM registry WHERE key = ?').get(key) as RegistryValue | undefined;
    });
  }

  async swap(key: string, value: string, revision: number): Promise<number | 'conflict'> {
    checkCall(key, value);
    const next = revision + 1;
    return this.#guard(() => {
      const statement =
        revision === 0
          ? this.#database.prepare('INSERT INTO registry (value, revision, key) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING')
          : this.#database.prepare('UPDATE registry SET value = ?, revision = ? WHERE key = ? AND revision = ?');
      const { changes } = revision === 0 ? statement.run(value, next, key) : statement.run(value, next, key, revision);
      return changes === 1 ? next : 'conflict';
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      const { code: name = '', message } = cause as { code?: string; message: string };
      const code = /^SQLITE_(?:CORRUPT|NOTADB)/.test(name)
        ? 'REGISTRY_DAMAGED'
        : /^SQLITE_(?:PERM|READONLY|CANTOPEN)/.test(name)
          ? 'REGISTRY_DENIED'
          : 'REGISTRY_UNREACHABLE';
      throw new Fault(code, `The registry ${this.location}: ${message}`, { cause });
    }
  }
}

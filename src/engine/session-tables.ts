// What the running session has stored, in bounded memory: a table shared by its workers; when it is full, its content becomes a sorted run
// on local disk and the workers go on with a fresh one. The runs are merged, so that they are few however long the session is.

import { loadChecksum } from '../index/checksum.ts';
import type { IndexSource } from '../index/index-reader.ts';
import { PrivateRuns } from '../index/private-run.ts';
import { newSessionMemory, SessionTable } from '../index/session-table.ts';
import { CHUNKS } from '../index/tables.ts';
import type { ChunkTables } from '../worker/chunk-tables.ts';

/** 6 MiB: about 118,000 chunks, 30 GiB of larger files. */
const SLOTS = 128 * 1024;
const SORT_MEMORY_BYTES = 8 * 1024 * 1024;

export class SessionTables {
  readonly #session: Uint8Array;
  readonly #directory: string;
  readonly #known: IndexSource | undefined;
  readonly #slots: number;
  #runs: PrivateRuns | undefined;
  #memory: SharedArrayBuffer;
  #table: SessionTable;

  constructor(session: Uint8Array, directory: string, known: IndexSource | undefined, slots = SLOTS) {
    this.#session = session;
    this.#directory = directory;
    this.#known = known;
    this.#slots = slots;
    this.#memory = newSessionMemory(slots);
    this.#table = new SessionTable(this.#memory);
  }

  get current(): ChunkTables {
    const known = { chunks: [...(this.#runs?.runs ?? []), ...(this.#known?.chunks ?? [])], blocks: [] };
    return { known, made: this.#memory };
  }

  get isFull(): boolean {
    return this.#table.isFull;
  }

  /** Empties the table into a run. The workers must be given `current` then; when all of them use it, call `exchanged`. */
  async rotate(): Promise<void> {
    this.#runs ??= new PrivateRuns(CHUNKS, {
      directory: this.#directory,
      checksum: await loadChecksum(),
      memoryBytes: SORT_MEMORY_BYTES,
    });
    this.#runs.add(this.#table.drain(this.#session));
    this.#memory = newSessionMemory(this.#slots);
    this.#table = new SessionTable(this.#memory);
  }

  /** Every worker uses what `current` answered last. Not to be rotated again before. */
  exchanged(): void {
    this.#runs?.closeReplaced();
  }

  /** When no worker reads any more. */
  close(): void {
    this.#runs?.close();
  }
}

// What the running session has stored, in bounded memory: a table shared by its workers; when it is full, its content becomes a sorted run
// on local disk and the workers go on with a fresh one.

import { loadChecksum } from '../index/checksum.ts';
import type { IndexSource } from '../index/index-reader.ts';
import { writePrivateRun } from '../index/private-run.ts';
import { newSessionMemory, SessionTable } from '../index/session-table.ts';
import { closeRun, type OpenRun } from '../index/sorted-run.ts';
import { CHUNKS } from '../index/tables.ts';
import type { ChunkTables } from '../worker/chunk-tables.ts';

/** 6 MiB: about 118,000 chunks, 30 GiB of larger files. */
const SLOTS = 128 * 1024;
const SORT_MEMORY_BYTES = 8 * 1024 * 1024;

export class SessionTables {
  readonly #session: Uint8Array;
  readonly #directory: string;
  readonly #known: IndexSource | undefined;
  readonly #runs: OpenRun[] = [];
  #memory = newSessionMemory(SLOTS);
  #table = new SessionTable(this.#memory);

  constructor(session: Uint8Array, directory: string, known: IndexSource | undefined) {
    this.#session = session;
    this.#directory = directory;
    this.#known = known;
  }

  get current(): ChunkTables {
    const known = { chunks: [...this.#runs, ...(this.#known?.chunks ?? [])], blocks: [] };
    return { known, made: this.#memory };
  }

  get isFull(): boolean {
    return this.#table.isFull;
  }

  /** Empties the table into a run. The workers must be given `current` then. */
  async rotate(): Promise<void> {
    const checksum = await loadChecksum();
    this.#runs.unshift(
      writePrivateRun(CHUNKS, this.#table.drain(this.#session), {
        directory: this.#directory,
        checksum,
        memoryBytes: SORT_MEMORY_BYTES,
      }),
    );
    this.#memory = newSessionMemory(SLOTS);
    this.#table = new SessionTable(this.#memory);
  }

  /** When no worker reads any more. */
  close(): void {
    for (const run of this.#runs.splice(0)) closeRun(run);
  }
}

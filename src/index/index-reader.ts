// Point lookups in the index from any thread: `openReader` takes the plain value that LocalIndex.acquire() (and PrivateRun) answers.
// Runs are asked from the newest to the oldest. Where a run's filters are in memory, an absent key costs no read there.

import { type Checksum, loadChecksum } from './checksum.ts';
import { OrderSorter } from './sort-order.ts';
import { type OpenRun, RunReader } from './sorted-run.ts';
import { type BlockPlace, CHUNKS, type ChunkPlace, readBlockRecord, readChunkRecord } from './tables.ts';

/** Structured-cloneable; both lists from the newest run to the oldest. */
export type IndexSource = { readonly chunks: readonly OpenRun[]; readonly blocks: readonly OpenRun[] };

/** Of one found chunk in the answer of `chunks`: the end of its record. */
export const PLACE_BYTES = CHUNKS.recordBytes - CHUNKS.keyBytes;

/** For this thread; as long as the source is held open by whoever acquired it. */
export async function openReader(source: IndexSource): Promise<IndexReader> {
  return new IndexReader(source, await loadChecksum());
}

export class IndexReader {
  readonly #chunks: readonly RunReader[];
  readonly #blocks: readonly RunReader[];
  #order: OrderSorter | undefined;
  #orderRecords = 0;

  constructor(source: IndexSource, checksum: Checksum) {
    this.#chunks = source.chunks.filter((run) => run.records > 0).map((run) => new RunReader(run, checksum));
    this.#blocks = source.blocks.filter((run) => run.records > 0).map((run) => new RunReader(run, checksum));
  }

  /** Where the chunk or group with this id (32 bytes) lies; false when it is not in the index. Throws INDEX_CACHE_DAMAGED. */
  chunk(id: Uint8Array, out: ChunkPlace): boolean {
    for (const run of this.#chunks) {
      const at = run.locate(id, 0);
      if (at < 0) continue;
      readChunkRecord(run.page, at, out);
      return true;
    }
    return false;
  }

  /** Where the block with this id (16 bytes) lies; false when it is not in the index. Throws INDEX_CACHE_DAMAGED. */
  block(id: Uint8Array, out: BlockPlace): boolean {
    for (const run of this.#blocks) {
      const at = run.locate(id, 0);
      if (at < 0) continue;
      readBlockRecord(run.page, at, out);
      return true;
    }
    return false;
  }

  /** Looks up `count` ids (32 bytes each, in any order) in the order of the file. found[i] becomes 1 or 0; of a found one,
   *  places[i * PLACE_BYTES] gets block id, u32 offset, u32 length. Answers how many were found. Throws INDEX_CACHE_DAMAGED. */
  chunkBatch(ids: Uint8Array, count: number, found: Uint8Array, places: Uint8Array): number {
    const { keyBytes, recordBytes } = CHUNKS;
    const order = this.#orderOf(ids, count);
    found.fill(0, 0, count);
    let hits = 0;
    for (const run of this.#chunks) {
      if (hits === count) break;
      for (let n = 0; n < count; n++) {
        const i = order[n]!;
        if (found[i] === 1) continue;
        const at = run.locate(ids, i * keyBytes);
        if (at < 0) continue;
        places.set(run.page.subarray(at + keyBytes, at + recordBytes), i * PLACE_BYTES);
        found[i] = 1;
        hits++;
      }
    }
    return hits;
  }

  #orderOf(ids: Uint8Array, count: number): Uint32Array {
    if (this.#order === undefined || count > this.#orderRecords) {
      this.#orderRecords = Math.max(count, 1024);
      this.#order = new OrderSorter(this.#orderRecords);
    }
    return this.#order.sort(ids, count, CHUNKS.keyBytes, CHUNKS.keyBytes);
  }
}

// Makes the run files of the local index: from index objects, through a sort, and from older runs, through a merge. It works in
// slices of a few milliseconds and lets the event loop turn between them.

import { join } from 'node:path';
import { setImmediate as letOthersWork } from 'node:timers/promises';
import { Fault } from '../base/faults.ts';
import { KIB } from '../base/units.ts';
import type { IndexedPack } from '../format/index-object.ts';
import { hexOf, type RandomBytes, unlinkQuietly } from './cache-file.ts';
import type { Checksum } from './checksum.ts';
import { ExternalSorter } from './external-sort.ts';
import type { RunEntry, TableFile } from './manifest.ts';
import { mergeSorted } from './merge-sorted.ts';
import type { RunShape } from './run-layout.ts';
import type { RunPair } from './run-set.ts';
import { RunWriter } from './run-writer.ts';
import { type OpenRun, RunReader } from './sorted-run.ts';
import { BLOCKS, CHUNKS, PackRecords } from './tables.ts';

/** One index object, opened: its id in hex, and what it lists. */
export type IndexObject = { readonly id: string; readonly packs: Iterable<IndexedPack> };

export type RunMakerOptions = {
  readonly directory: string;
  readonly checksum: Checksum;
  readonly randomBytes: RandomBytes;
  readonly sortMemoryBytes: number;
  /** True when whoever wants the run has gone: making it then ends with INTERRUPTED. */
  readonly isAbandoned: () => boolean;
};

const MERGE_OUT_BYTES = 256 * KIB;
const SLICE_RECORDS = 30_000;

export class RunMaker {
  readonly #options: RunMakerOptions;

  constructor(options: RunMakerOptions) {
    this.#options = options;
  }

  /** Undefined when there were no objects. Of a block that several packs hold, the last place stays. */
  async fromObjects(objects: Iterable<IndexObject> | AsyncIterable<IndexObject>): Promise<RunEntry | undefined> {
    const { sortMemoryBytes, ...common } = this.#options;
    const third = Math.floor(sortMemoryBytes / 3);
    const chunks = new ExternalSorter({ ...common, ...CHUNKS, equal: 'last', memoryBytes: 2 * third });
    const blocks = new ExternalSorter({ ...common, ...BLOCKS, equal: 'last', memoryBytes: third });
    try {
      const covers: string[] = [];
      const records = new PackRecords(chunks, blocks);
      let made = 0;
      for await (const { id, packs } of objects) {
        covers.push(id);
        for (const pack of packs) {
          made += records.push(pack);
          if (made < SLICE_RECORDS) continue;
          made = 0;
          await letOthersWork();
        }
      }
      if (covers.length === 0) return undefined;
      return await this.#pair(covers, chunks.sorted(), chunks.count, blocks.sorted(), blocks.count);
    } finally {
      chunks.close();
      blocks.close();
    }
  }

  /** Oldest first: what the last of them says about a block stays. */
  fromRuns(pairs: readonly RunPair[]): Promise<RunEntry> {
    const covers = [...new Set(pairs.flatMap((pair) => pair.entry.covers))];
    const chunks = pairs.map((pair) => pair.chunks);
    const blocks = pairs.map((pair) => pair.blocks);
    return this.#pair(covers, this.#merge(chunks, CHUNKS), countOf(chunks), this.#merge(blocks, BLOCKS), countOf(blocks));
  }

  #merge(runs: readonly OpenRun[], shape: RunShape): Iterable<Uint8Array> {
    const inputs = runs.filter((run) => run.records > 0).map((run) => new RunReader(run, this.#options.checksum).scan());
    return mergeSorted(inputs, shape, 'last', new Uint8Array(MERGE_OUT_BYTES));
  }

  async #pair(
    covers: readonly string[],
    chunks: Iterable<Uint8Array>,
    chunksMax: number,
    blocks: Iterable<Uint8Array>,
    blocksMax: number,
  ) {
    const chunkTable = await this.#table('chunks', CHUNKS, chunks, chunksMax);
    try {
      return { covers, chunks: chunkTable, blocks: await this.#table('blocks', BLOCKS, blocks, blocksMax) };
    } catch (cause) {
      unlinkQuietly(join(this.#options.directory, chunkTable.file));
      throw cause;
    }
  }

  async #table(name: string, shape: RunShape, batches: Iterable<Uint8Array>, recordsMax: number): Promise<TableFile> {
    const { directory, checksum, randomBytes, isAbandoned } = this.#options;
    const seed = hexOf(randomBytes(8));
    const file = `${name}-${process.pid}-${seed}.run`;
    const writer = new RunWriter({ path: join(directory, file), shape, seed: BigInt(`0x${seed}`), recordsMax, checksum });
    try {
      let written = 0;
      for (const batch of batches) {
        writer.push(batch);
        written += batch.length / shape.recordBytes;
        if (written < SLICE_RECORDS && batch.length > 0) continue;
        written = 0;
        await letOthersWork();
        if (isAbandoned()) throw new Fault('INTERRUPTED', `The index cache ${directory} was closed while it was written`);
      }
      writer.finish();
      return { file, seed, records: writer.records };
    } finally {
      writer.abort();
    }
  }
}

function countOf(runs: readonly OpenRun[]): number {
  return runs.reduce((sum, run) => sum + run.records, 0);
}

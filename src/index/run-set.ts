// The runs of one cache directory that this process has open. A run is open as long as somebody uses it: the set itself, a merge, or
// the reader of an acquired source in another thread. It may be long gone from the directory by then.

import { fstatSync } from 'node:fs';
import { join } from 'node:path';
import { invariant } from '../base/invariant.ts';
import type { Checksum } from './checksum.ts';
import type { IndexSource } from './index-reader.ts';
import type { RunEntry, TableFile } from './manifest.ts';
import type { RunShape } from './run-layout.ts';
import { closeRun, filterBytesOf, type OpenRun, openRun, withFilters } from './sorted-run.ts';
import { BLOCKS, CHUNKS } from './tables.ts';

export type RunPair = { readonly entry: RunEntry; chunks: OpenRun; blocks: OpenRun; users: number };

/** `release` once, when no reader of the source is left in any thread. */
export type AcquiredSource = { readonly source: IndexSource; readonly release: () => void };

export class RunSet {
  readonly #directory: string;
  readonly #checksum: Checksum;
  readonly #filterBytesMax: number;
  #pairs: RunPair[] = [];

  constructor(directory: string, checksum: Checksum, filterBytesMax: number) {
    this.#directory = directory;
    this.#checksum = checksum;
    this.#filterBytesMax = filterBytesMax;
  }

  /** Oldest first. */
  get pairs(): readonly RunPair[] {
    return this.#pairs;
  }

  /** Makes the set hold these runs (oldest first); answers those that are not in the directory or damaged, and are left out. */
  become(entries: readonly RunEntry[]): RunEntry[] {
    const before = this.#pairs;
    const lost: RunEntry[] = [];
    const pairs: RunPair[] = [];
    for (const entry of entries) {
      const pair = before.find((one) => one.entry.chunks.file === entry.chunks.file && isLinked(one)) ?? this.#open(entry);
      if (pair === undefined) lost.push(entry);
      else pairs.push(pair);
    }
    lost.push(...this.#loadFilters(pairs));
    this.#pairs = pairs.filter((pair) => !lost.includes(pair.entry));
    for (const pair of pairs) if (!before.includes(pair)) pair.users++;
    for (const pair of new Set([...before, ...pairs])) if (!this.#pairs.includes(pair)) this.unuse(pair);
    return lost;
  }

  acquire(): AcquiredSource {
    const pairs = [...this.#pairs].reverse();
    for (const pair of pairs) pair.users++;
    let released = false;
    const release = () => {
      invariant(!released, 'a source is released once');
      released = true;
      for (const pair of pairs) this.unuse(pair);
    };
    return { source: { chunks: pairs.map((pair) => pair.chunks), blocks: pairs.map((pair) => pair.blocks) }, release };
  }

  use(pairs: readonly RunPair[]): void {
    for (const pair of pairs) pair.users++;
  }

  unuse(pair: RunPair): void {
    if (--pair.users > 0) return;
    closeRun(pair.chunks);
    closeRun(pair.blocks);
  }

  #open(entry: RunEntry): RunPair | undefined {
    const chunks = this.#openTable(entry.chunks, CHUNKS);
    if (chunks === undefined) return undefined;
    const blocks = this.#openTable(entry.blocks, BLOCKS);
    if (blocks !== undefined) return { entry, chunks, blocks, users: 0 };
    closeRun(chunks);
    return undefined;
  }

  #openTable(table: TableFile, shape: RunShape): OpenRun | undefined {
    return openRun(join(this.#directory, table.file), shape, BigInt(`0x${table.seed}`), this.#checksum);
  }

  /** Loads the filters of the smallest runs, as many as fit: there they save most reads for their memory. Those of chunks come first,
   *  because blocks are seldom asked for in vain. */
  #loadFilters(pairs: readonly RunPair[]): RunEntry[] {
    const lost: RunEntry[] = [];
    const tables = pairs.flatMap((pair) => [
      { pair, table: 'chunks' as const },
      { pair, table: 'blocks' as const },
    ]);
    const rank = ({ pair, table }: (typeof tables)[number]) =>
      filterBytesOf(pair[table]) + (table === 'chunks' ? 0 : Number.MAX_SAFE_INTEGER / 2);
    tables.sort((a, b) => rank(a) - rank(b));
    let room = this.#filterBytesMax;
    for (const { pair, table } of tables) {
      const run = pair[table];
      room -= filterBytesOf(run);
      if (room < 0) pair[table] = { ...run, filters: undefined };
      else if (run.filters === undefined) {
        const loaded = withFilters(run, this.#checksum);
        if (loaded === undefined) lost.push(pair.entry);
        else pair[table] = loaded;
      }
    }
    return lost;
  }
}

function isLinked(pair: RunPair): boolean {
  return fstatSync(pair.chunks.fd).nlink > 0 && fstatSync(pair.blocks.fd).nlink > 0;
}

// A run that only this process sees: no name, no manifest, gone when it is closed. For the chunks of the running session, which no
// index object lists yet.

import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import { KIB, MIB } from '../base/units.ts';
import { hexOf, type RandomBytes, unlinkQuietly } from './cache-file.ts';
import type { Checksum } from './checksum.ts';
import { ExternalSorter } from './external-sort.ts';
import { planMerge } from './merge-plan.ts';
import { mergeSorted } from './merge-sorted.ts';
import type { RunShape } from './run-layout.ts';
import { RunWriter } from './run-writer.ts';
import { closeRun, filterBytesOf, type OpenRun, openRun, RunReader, withFilters } from './sorted-run.ts';

export type PrivateRunOptions = {
  readonly directory: string;
  readonly checksum: Checksum;
  readonly memoryBytes?: number;
  readonly randomBytes?: RandomBytes;
};

/** Filters of a run stay in memory when they are not larger: those of 19 million chunks. */
const FILTER_BYTES_MAX = 16 * MIB;
const MERGE_OUT_BYTES = 256 * KIB;

/** Sorts records (any order; of equal keys the first stays) into an open run, with its filters in memory unless it is very large.
 *  Close it with `closeRun` when no thread reads from it any more. To ask it before all others, put it at the front of an
 *  IndexSource's list. */
export function writePrivateRun(shape: RunShape, batches: Iterable<Uint8Array>, options: PrivateRunOptions): OpenRun {
  const sorter = new ExternalSorter({ ...options, ...shape, equal: 'first' });
  try {
    for (const batch of batches) sorter.push(batch);
    return writeSorted(shape, sorter.sorted(), sorter.count, options);
  } finally {
    sorter.close();
  }
}

/** Records that come in order, at most `recordsMax`, without equal keys. */
function writeSorted(shape: RunShape, batches: Iterable<Uint8Array>, recordsMax: number, options: PrivateRunOptions): OpenRun {
  const { directory, checksum, randomBytes = nodeRandomBytes } = options;
  const seed = BigInt(`0x${hexOf(randomBytes(8))}`);
  const path = join(directory, `nameless-${process.pid}-${hexOf(randomBytes(8))}`);
  const writer = new RunWriter({ path, shape, seed, recordsMax, checksum });
  try {
    for (const batch of batches) writer.push(batch);
    writer.finish();
  } finally {
    writer.abort();
  }
  const run = openRun(path, shape, seed, checksum);
  unlinkQuietly(path);
  const opened = run === undefined || filterBytesOf(run) > FILTER_BYTES_MAX ? run : withFilters(run, checksum);
  if (opened === undefined) throw new Fault('INDEX_CACHE_DAMAGED', `A run that was just written to ${directory} cannot be read`);
  return opened;
}

/** Private runs of one table, merged so that there are few however many are added (merge-plan.ts). */
export class PrivateRuns {
  readonly #shape: RunShape;
  readonly #options: PrivateRunOptions;
  /** Oldest first. */
  #runs: OpenRun[] = [];
  #replaced: OpenRun[] = [];

  constructor(shape: RunShape, options: PrivateRunOptions) {
    this.#shape = shape;
    this.#options = options;
  }

  /** As `writePrivateRun`; of equal keys in several runs the newest stays. Records made into a run are merged here and now: for
   *  some time where they are millions. */
  add(batches: Iterable<Uint8Array>): void {
    this.#runs.push(writePrivateRun(this.#shape, batches, this.#options));
    const inputs = this.#runs.slice(this.#runs.length - planMerge(this.#runs.map((run) => run.records)));
    if (inputs.length === 0) return;
    const scans = inputs.map((run) => new RunReader(run, this.#options.checksum).scan());
    const merged = mergeSorted(scans, this.#shape, 'last', new Uint8Array(MERGE_OUT_BYTES));
    const recordsMax = inputs.reduce((sum, run) => sum + run.records, 0);
    const run = writeSorted(this.#shape, merged, recordsMax, this.#options);
    this.#runs = [...this.#runs.slice(0, this.#runs.length - inputs.length), run];
    this.#replaced.push(...inputs);
  }

  /** From the newest to the oldest. What `add` has merged away stays open until `closeReplaced`. */
  get runs(): readonly OpenRun[] {
    return [...this.#runs].reverse();
  }

  /** When no thread reads any more from runs that were answered before the last `add`. */
  closeReplaced(): void {
    for (const run of this.#replaced.splice(0)) closeRun(run);
  }

  /** When no thread reads any more. */
  close(): void {
    this.closeReplaced();
    for (const run of this.#runs.splice(0)) closeRun(run);
  }
}

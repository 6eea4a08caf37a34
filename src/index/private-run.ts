// A run that only this process sees: no name, no manifest, gone when it is closed. For the chunks of the running session, which no
// index object lists yet.

import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { join } from 'node:path';
import { invariant } from '../base/invariant.ts';
import { hexOf, type RandomBytes, unlinkQuietly } from './cache-file.ts';
import type { Checksum } from './checksum.ts';
import { ExternalSorter } from './external-sort.ts';
import type { RunShape } from './run-layout.ts';
import { RunWriter } from './run-writer.ts';
import { type OpenRun, openRun, withFilters } from './sorted-run.ts';

export type PrivateRunOptions = {
  readonly directory: string;
  readonly checksum: Checksum;
  readonly memoryBytes?: number;
  readonly randomBytes?: RandomBytes;
};

/** Sorts records (any order; of equal keys the first stays) into an open run with its filters in memory. Close it with `closeRun`
 *  when no thread reads from it any more. To ask it before all others, put it at the front of an IndexSource's list. */
export function writePrivateRun(shape: RunShape, batches: Iterable<Uint8Array>, options: PrivateRunOptions): OpenRun {
  const sorter = new ExternalSorter({ ...options, ...shape, equal: 'first' });
  try {
    for (const batch of batches) sorter.push(batch);
    return writeSortedPrivateRun(shape, sorter.sorted(), sorter.count, options);
  } finally {
    sorter.close();
  }
}

/** The same of at most `recordsMax` records that come in order, without equal keys. */
export function writeSortedPrivateRun(
  shape: RunShape,
  batches: Iterable<Uint8Array>,
  recordsMax: number,
  options: PrivateRunOptions,
): OpenRun {
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
  const filtered = run && withFilters(run, checksum);
  invariant(filtered !== undefined, 'a run can be read when it was just written');
  return filtered;
}

// Holes of files come back as holes, whatever the file's size: data among them does not fill them, and what lies on no grid comes back too.

import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, restoreTo } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;
const DATA_BYTES = 100_000;

/** Data at the beginning, at an odd offset in the middle, and at the very end. */
function writeSparseFile(path: string, sizeBytes: number): void {
  const fd = openSync(path, 'wx');
  ftruncateSync(fd, sizeBytes);
  writeSync(fd, seededBytes(DATA_BYTES, 1), 0, DATA_BYTES, 0);
  writeSync(fd, seededBytes(DATA_BYTES, 2), 0, DATA_BYTES, 5 * MIB + 1234);
  writeSync(fd, seededBytes(10, 3), 0, 10, sizeBytes - 10);
  closeSync(fd);
}

test.each([
  ['of 16 KiB', 10 * MIB],
  ['of 4 KiB', 10 * MIB + 4096],
  ['of nothing', 10 * MIB + 1000],
])('a file with holes comes back with them when its size is a multiple %s', async (_, sizeBytes) => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  mkdirSync(source);
  writeSparseFile(join(source, 'file'), sizeBytes);
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source);
  expect(await restoreTo(repository, snapshot.id, join(scratch, 'target'))).toEqual([]);
  expect(readFileSync(join(scratch, 'target/file')).equals(readFileSync(join(source, 'file')))).toBe(true);
  // At each end of data up to 16 KiB of zeros are written with it.
  expect(statSync(join(scratch, 'target/file')).blocks * 512).toBeLessThan(2 * DATA_BYTES + 6 * 16 * 1024);
});

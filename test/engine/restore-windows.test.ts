// A file so large that it is restored in several windows is one file still: it comes back whole, or is reported once and left unfinished.

import { lstatSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LIMITS_FIRST } from '../../src/engine/restore-tree-window.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectPath, objectsIn, restoreTo } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const UNIT_BYTES = 16 * 1024;
const YEAR_2001 = new Date('2001-01-01T00:00:00Z');

/** More than the first two windows, no two units alike, and easy to compress. */
function writeLargeFile(path: string): Buffer {
  const content = Buffer.alloc(3.5 * LIMITS_FIRST.bytes, seededBytes(1024, 1));
  for (let at = 0; at < content.length; at += UNIT_BYTES) content.writeUInt32LE(at / UNIT_BYTES + 1, at);
  writeFileSync(path, content);
  return content;
}

test('a file of several windows comes back whole; damaged in two of them it is reported once and gets no time', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  mkdirSync(source);
  const content = writeLargeFile(join(source, 'large'));
  for (const name of ['before', 'large', 'later']) {
    if (name !== 'large') writeFileSync(join(source, name), name);
    utimesSync(join(source, name), YEAR_2001, YEAR_2001);
  }
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source);

  const whole = join(scratch, 'whole');
  expect(await restoreTo(repository, snapshot.id, whole)).toEqual([]);
  expect(readFileSync(join(whole, 'large')).equals(content)).toBe(true);
  expect(lstatSync(join(whole, 'large')).mtime).toEqual(YEAR_2001);

  const [key, length] = [...objectsIn(scratch, 'packs/')].sort((a, b) => b[1] - a[1])[0]!;
  const pack = readFileSync(objectPath(scratch, key));
  for (const share of [0.05, 0.6]) pack[Math.floor(length * share)]! ^= 1;
  writeFileSync(objectPath(scratch, key), pack);
  const damaged = join(scratch, 'damaged');
  const problems = await restoreTo(repository, snapshot.id, damaged);
  expect(problems.map(({ path, code }) => ({ path, code }))).toEqual([{ path: 'large', code: 'FORMAT_DAMAGED' }]);
  expect(lstatSync(join(damaged, 'large')).mtime).not.toEqual(YEAR_2001);
  expect(lstatSync(join(damaged, 'later')).mtime).toEqual(YEAR_2001);
});

// What stands in a volume at another offset is found, whatever the offsets; and everything comes back.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { backUpImage, restoreImage } from '../support/images.ts';
import { newRepository } from '../support/new-repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;
const PAGE = 4096;

it.each([0, 1, 3])('a file of 12 MiB that stands a second time in an image, %i pages off a unit, is stored once', async (pages) => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const path = join(directory, 'image');
  const bytes = Buffer.alloc(48 * MIB);
  const file = seededBytes(12 * MIB, 1);
  bytes.set(file, MIB + PAGE);
  bytes.set(file, 30 * MIB + pages * PAGE);
  bytes.set(seededBytes(3 * MIB, 2), 20 * MIB + 5 * PAGE);
  writeFileSync(path, bytes);
  const snapshot = await backUpImage(repository, path);
  // Once is 15 MiB; what stands across two places, and the pieces at both ends, are stored once more.
  expect(snapshot.statistics.bytesNew).toBeLessThan(16.5 * MIB);
  await restoreImage(repository, snapshot, join(directory, 'restored'));
  expect(readFileSync(join(directory, 'restored')).equals(bytes)).toBe(true);
  expect((await verify(repository, { depth: { kind: 'full' }, threads: 1 })).outcome).toBe('clean');
});

it('an image that is shifted by a page into another one is found there', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const inner = seededBytes(20 * MIB, 3);
  writeFileSync(join(directory, 'inner'), inner);
  const first = await backUpImage(repository, join(directory, 'inner'));
  const outer = Buffer.concat([seededBytes(PAGE, 4), inner, seededBytes(3 * PAGE, 5)]);
  writeFileSync(join(directory, 'outer'), outer);
  const second = await backUpImage(repository, join(directory, 'outer'), { asset: 'another' });
  expect(first.statistics.bytesNew).toBeGreaterThanOrEqual(20 * MIB);
  expect(second.statistics.bytesNew).toBeLessThan(2 * MIB);
  await restoreImage(repository, second, join(directory, 'restored'));
  expect(readFileSync(join(directory, 'restored')).equals(outer)).toBe(true);
});

it('changes of every size and place come back, backup after backup, and after a prune (seeded)', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const path = join(directory, 'image');
  const chance = seededRandom(20261121);
  const below = (n: number): number => Math.floor(chance() * n);
  const bytes = Buffer.alloc(23 * MIB + 3 * PAGE);
  bytes.set(seededBytes(9 * MIB, 6), 2 * MIB);
  const made: Snapshot[] = [];
  for (let round = 0; round < 6; round++) {
    writeFileSync(path, bytes);
    const snapshot = await backUpImage(repository, path, { rereadAll: true });
    made.push(snapshot);
    await restoreImage(repository, snapshot, join(directory, `restored-${round}`));
    expect(readFileSync(join(directory, `restored-${round}`)).equals(bytes), `round ${round}`).toBe(true);
    for (let n = 0; n < 12; n++) {
      const length = Math.min(1 + below(n % 4 === 0 ? 5 * MIB : 40_000), bytes.length);
      const to = below(bytes.length - length);
      if (n % 3 === 0) bytes.copyWithin(to, below(bytes.length - length), bytes.length);
      else if (n % 3 === 1) bytes.fill(0, to, to + length);
      else bytes.set(seededBytes(length, round * 100 + n), to);
    }
  }
  // A prune that rewrites everything of which a part is unused keeps of each group the units that lie under a needed one.
  const last = made.pop()!;
  await forgetSnapshots(repository.heads, new Set(made.map(({ id }) => id)));
  const { packsMoved } = await prune(repository, { by: 'test', unusedShareMax: 0 });
  expect(packsMoved).toBeGreaterThan(0);
  await restoreImage(repository, last, join(directory, 'restored-0'), true);
  expect(readFileSync(join(directory, 'restored-0')).equals(readFileSync(join(directory, 'restored-5')))).toBe(true);
  expect((await verify(repository, { depth: { kind: 'full' }, threads: 1 })).outcome).toBe('clean');
});

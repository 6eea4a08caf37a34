import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectsIn, readTree, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

test('a prune after everything is forgotten leaves no pack, index object, list or session key', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  writeSampleTree(join(directory, 'tree'), 1);
  const { id } = await backUpTree(repository, join(directory, 'tree'));
  expect(objectsIn(directory, 'packs/').size).toBeGreaterThan(0);
  await forgetSnapshots(repository.heads, new Set([id]));
  const packs = objectsIn(directory, 'packs/').size;
  const report = await prune(repository, { by: 'test' });
  expect(report).toMatchObject({
    packsBefore: packs,
    packsDropped: packs,
    packsDeleted: packs,
    packsMoved: 0,
    snapshots: 0,
    waiting: [],
  });
  // The key of the session goes with the next one, when nothing in the index is sealed with it.
  await prune(repository, { by: 'test' });
  for (const prefix of ['packs/', 'index/', 'condemned/', 'session-keys/'])
    expect([...objectsIn(directory, prefix).keys()]).toEqual([]);
});

test('what the remaining snapshots need is restored byte for byte after a prune', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const first = await backUpTree(repository, tree);
  for (let n = 0; n < 40; n += 2) rmSync(join(tree, `d${n % 5}/f${n}`));
  writeSampleTree(join(tree, 'more'), 2, 10);
  const second = await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first.id]));
  const before = [...objectsIn(directory, 'packs/').values()].reduce((a, b) => a + b);
  const report = await prune(repository, { by: 'test', unusedShareMax: 0 });
  const after = [...objectsIn(directory, 'packs/').values()].reduce((a, b) => a + b);
  expect(before - after).toBeGreaterThan(2_000_000);
  expect(report.packsMoved).toBeGreaterThan(0);
  expect(await restoreTo(repository, second.id, join(directory, 'out'))).toEqual([]);
  expect(readTree(join(directory, 'out'))).toEqual(readTree(tree));
});

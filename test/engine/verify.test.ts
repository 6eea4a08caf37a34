import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scrub, verify } from '../../src/engine/verify.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectPath, objectsIn, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

type Sample = { readonly directory: string; readonly repository: Repository; readonly first: string; readonly second: string };

/** Two snapshots: the second has ten files more. */
async function sample(): Promise<Sample> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  writeSampleTree(join(directory, 'tree'), 1);
  const first = await backUpTree(repository, join(directory, 'tree'));
  writeSampleTree(join(directory, 'tree', 'more'), 2, 10);
  const second = await backUpTree(repository, join(directory, 'tree'));
  return { directory, repository, first: first.id, second: second.id };
}

const full = { depth: { kind: 'full' }, threads: 1 } as const;
const structure = { depth: { kind: 'structure' }, threads: 1 } as const;

function flipBit(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 4;
  rmSync(path);
  writeFileSync(path, bytes);
}

test('a sound repository is clean at every depth', async () => {
  const { repository } = await sample();
  for (const depth of [structure.depth, full.depth, { kind: 'sample', share: 0.5, seed: 3 } as const]) {
    const report = await verify(repository, { depth, threads: 1 });
    expect(report).toMatchObject({ outcome: 'clean', snapshots: 2, damaged: [], damagedCount: 0, affected: [] });
  }
  const report = await verify(repository, full);
  expect(report.packsRead).toBe(report.packs);
  expect(await scrub(repository.store, { threads: 1 })).toMatchObject({ outcome: 'clean', packs: report.packs, indexes: 2 });
});

test('what verify names after one flipped bit in each pack is what a restore cannot restore, and nothing else', async () => {
  const { directory, repository, first, second } = await sample();
  let affectedAtAll = 0;
  for (const key of objectsIn(directory, 'packs/').keys()) {
    const path = objectPath(directory, key);
    const sound = readFileSync(path);
    flipBit(path, 1000);
    const report = await verify(repository, full);
    expect(report.outcome).toBe('damaged');
    expect(report.damaged).toContainEqual(expect.objectContaining({ kind: 'pack', id: key.slice(-64) }));
    expect(await scrub(repository.store, { threads: 1 })).toMatchObject({ outcome: 'damaged', damaged: [{ key }] });
    for (const snapshot of [first, second]) {
      const named = report.affected.find(({ session }) => session === snapshot);
      const target = join(directory, `out-${key.slice(-8)}-${snapshot}`);
      if (report.damaged.some(({ kind }) => kind === 'node')) continue;
      const problems = await restoreTo(repository, snapshot, target);
      expect((named?.paths ?? []).map(({ path: one }) => one).sort()).toEqual(problems.map(({ path: one }) => one).sort());
      affectedAtAll += problems.length;
    }
    writeFileSync(path, sound);
  }
  expect(affectedAtAll).toBeGreaterThan(0);
  expect(await verify(repository, full)).toMatchObject({ outcome: 'clean' });
});

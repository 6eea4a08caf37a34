import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { scrub, verify } from '../../src/engine/verify.ts';
import { sampleOf } from '../../src/engine/verify-packs.ts';
import type { IndexedPack } from '../../src/format/index-object.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectPath, objectsIn, openRepository, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

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

test.each([
  ['an index object', 'index/', 'index'],
  ['a key of a session', 'session-keys/', 'session-key'],
  ['a pack', 'packs/', 'pack'],
] as const)('%s that is gone is found, and so is what needs it', async (_, prefix, kind) => {
  const { directory, second } = await sample();
  for (const key of objectsIn(directory, prefix).keys()) rmSync(objectPath(directory, key));
  const fresh = await openRepository(directory);
  onTestFinished(() => fresh.close());
  const report = await verify(fresh, full);
  expect(report.damaged.filter((thing) => thing.kind === kind)).not.toHaveLength(0);
  expect(report.affected.map(({ session }) => session)).toContain(second);
  expect(report.affected.every(({ pathsCount }) => pathsCount > 0)).toBe(true);
});

test('a snapshot whose register was changed is named, and the other one is looked at all the same', async () => {
  const { directory, repository, first } = await sample();
  const register = join(directory, 'repository', 'snapshots', `${first}~`);
  for (const name of readdirSync(register, { recursive: true, encoding: 'utf8' })) {
    if (statSync(join(register, name)).isFile()) flipBit(join(register, name), -20);
  }
  const report = await verify(repository, structure);
  expect(report).toMatchObject({
    outcome: 'damaged',
    snapshots: 2,
    affected: [expect.objectContaining({ session: first, pathsCount: 0 })],
  });
});

test('samples with seeds that follow each other read every pack in turn', () => {
  const random = seededRandom(5);
  const packs = Array.from(
    { length: 500 },
    () => ({ packId: Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256)) }) as unknown as IndexedPack,
  );
  for (const share of [0.05, 0.3, 1]) {
    const counts = packs.map(() => 0);
    const runs = Math.ceil(1 / share);
    for (let seed = 7; seed < 7 + runs; seed++) {
      const isWanted = sampleOf(share, seed);
      const wanted = packs.filter(isWanted).length;
      expect(wanted).toBeGreaterThan(500 * share * 0.5);
      expect(wanted).toBeLessThan(500 * share * 1.6 + 1);
      packs.forEach((pack, n) => {
        if (isWanted(pack)) counts[n]!++;
      });
    }
    expect(Math.min(...counts)).toBeGreaterThan(0);
  }
});

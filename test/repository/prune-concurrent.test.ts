import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { directoryOf } from '../../src/format/index-object.ts';
import { readIndexes } from '../../src/repository/index-stream.ts';
import { hex } from '../../src/repository/layout.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectsIn, openRepository, readTree, restoreTo, writeFileAt, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const FULL = { depth: { kind: 'full' }, threads: 1 } as const;

async function another(directory: string, wrap?: Parameters<typeof openRepository>[1]): Promise<Repository> {
  const repository = await openRepository(directory, wrap);
  onTestFinished(() => repository.close());
  return repository;
}

/** Blocks of the index that were written anew by another session than the one that made them. */
async function blocksWrittenAnew(repository: Repository): Promise<number> {
  const { indexes } = await repository.heads.read();
  let count = 0;
  for await (const { packs } of readIndexes(repository, indexes)) {
    for (const { sessions, blocks } of packs.map(directoryOf)) {
      count += blocks.filter(({ id, sealedBy }) => hex(id.subarray(0, 10)) !== hex(sessions[sealedBy]!.session)).length;
    }
  }
  return count;
}

/** Two snapshots of a paged file; of the units of the first little is left in the second. */
async function mostlyChangedImage(
  directory: string,
  repository: Repository,
): Promise<{ readonly tree: string; readonly first: string; readonly second: string }> {
  const tree = join(directory, 'tree');
  const image = seededBytes(4 * 1024 * 1024, 1);
  writeFileAt(tree, 'image', image);
  const first = await backUpTree(repository, tree);
  for (let at = 0; at < image.length; at += 64 * 1024) image.set(seededBytes(48 * 1024, at + 2), at);
  writeFileAt(tree, 'image', image);
  const second = await backUpTree(repository, tree);
  return { tree, first: first.id, second: second.id };
}

test('blocks of which little is needed are written anew without the rest, under a key that is stored', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const { tree, first, second } = await mostlyChangedImage(directory, repository);
  await forgetSnapshots(repository.heads, new Set([first]));
  const keys = objectsIn(directory, 'session-keys/').size;
  const report = await prune(repository, { by: 'test', unusedShareMax: 0 });
  expect(await blocksWrittenAnew(repository)).toBe(4);
  expect(objectsIn(directory, 'session-keys/').size).toBe(keys + 1);
  // A quarter of the old units is left.
  expect(report.bytesUsed).toBeLessThan(4.2 * 1024 * 1024);
  const stored = [...objectsIn(directory, 'packs/').values()].reduce((a, b) => a + b);
  expect(stored).toBeLessThan(4.3 * 1024 * 1024);
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
  expect(await restoreTo(repository, second, join(directory, 'out'))).toEqual([]);
  expect(readTree(join(directory, 'out'))).toEqual(readTree(tree));
  // Again: nothing more is to be won.
  expect(await prune(repository, { by: 'test', unusedShareMax: 0 })).toMatchObject({
    packsMoved: 0,
    packsDropped: 0,
    packsDeleted: 0,
  });
});

test('a backup that ran while its chunks were condemned keeps them', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const first = await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first.id]));
  const packs = objectsIn(directory, 'packs/').size;

  // The other backup has begun and knows the index; nothing is read yet.
  const other = await another(directory);
  const { promise: mayRead, resolve: letRead } = Promise.withResolvers<void>();
  const { promise: hasBegun, resolve: begun } = Promise.withResolvers<void>();
  const running = backUpTree(other, tree, {
    asset: 'other',
    before: () => {
      begun();
      return mayRead;
    },
  });
  await hasBegun;
  const report = await prune(repository, { by: 'test', unusedShareMax: 0 });
  expect(report).toMatchObject({ packsDropped: packs, packsDeleted: 0, waiting: [expect.objectContaining({ kind: 'backup' })] });
  letRead();
  const second = await running;
  expect(second.statistics.bytesNew).toBe(0);
  // It can be read before anybody has settled anything.
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean', snapshots: 1 });
  expect(await restoreTo(repository, second.id, join(directory, 'out1'))).toEqual([]);
  const next = await prune(repository, { by: 'test', unusedShareMax: 0 });
  expect(next.waiting).toEqual([]);
  expect(next.packsDeleted).toBeGreaterThan(0);
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean', snapshots: 1 });
  expect(await restoreTo(repository, second.id, join(directory, 'out2'))).toEqual([]);
  expect(readTree(join(directory, 'out2'))).toEqual(readTree(tree));
  expect((await repository.heads.read()).condemned).toEqual([]);
});

test('no block is written anew while a backup runs, not even one that begins at the last moment', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const { first, second, tree } = await mostlyChangedImage(directory, repository);
  await forgetSnapshots(repository.heads, new Set([first]));
  let session: BackupSession | undefined;
  const pruning = await another(directory, {
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          if (name !== 'put') return value.bind(target);
          return async (key: string, ...rest: unknown[]) => {
            // The plan is made and its packs are written: a backup begins.
            if (key.startsWith('condemned/') && session === undefined) {
              session = await BackupSession.begin(repository.heads, {
                assetId: hex(repository.keyring.assetId('late')),
                process: repository.process,
              });
            }
            return value.call(target, key, ...rest);
          };
        },
      }),
  });
  const report = await prune(pruning, { by: 'test', unusedShareMax: 0 });
  expect(session).toBeDefined();
  expect(report.waiting.map((writer) => writer.session)).toEqual(
    report.packsDropped + report.packsMoved > 0 ? [session!.name] : [],
  );
  expect(await blocksWrittenAnew(repository)).toBe(0);
  await session!.abandon();
  expect(await prune(repository, { by: 'test', unusedShareMax: 0 })).toMatchObject({ waiting: [] });
  expect(await blocksWrittenAnew(repository)).toBeGreaterThan(0);
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
  expect(await restoreTo(repository, second, join(directory, 'out'))).toEqual([]);
  expect(readTree(join(directory, 'out'))).toEqual(readTree(tree));
  expect(objectsIn(directory, 'packs/').size).toBe((await verify(repository, FULL)).packs);
});

test('a snapshot that is made while a prune plans is looked at before anything is condemned', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const first = await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first.id]));
  let made: string | undefined;
  const pruning = await another(directory, {
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          if (name !== 'put') return value.bind(target);
          return async (key: string, ...rest: unknown[]) => {
            if (key.startsWith('condemned/') && made === undefined) {
              made = '';
              made = (await backUpTree(repository, tree)).id;
            }
            return value.call(target, key, ...rest);
          };
        },
      }),
  });
  const report = await prune(pruning, { by: 'test', unusedShareMax: 0 });
  expect(report.snapshots).toBe(1);
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean', snapshots: 1 });
  expect(await restoreTo(repository, made!, join(directory, 'out'))).toEqual([]);
  expect(readTree(join(directory, 'out'))).toEqual(readTree(tree));
});

test('two prunes and two backups at once lose nothing', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const trees = [join(directory, 'a'), join(directory, 'b')];
  const workers = [await another(directory), await another(directory), await another(directory)];
  writeSampleTree(trees[0]!, 1, 20);
  writeSampleTree(trees[1]!, 2, 20);
  for (let round = 0; round < 4; round++) {
    const before = (await repository.heads.read()).snapshots.map(({ session }) => session);
    await forgetSnapshots(repository.heads, new Set(before.slice(0, 2)));
    writeSampleTree(join(trees[0]!, 'more'), 10 + round, 5);
    writeSampleTree(join(trees[1]!, 'more'), 20 + round, 5);
    const [a, b] = await Promise.all([
      backUpTree(repository, trees[0]!, { asset: 'a' }),
      backUpTree(workers[0]!, trees[1]!, { asset: 'b' }),
      prune(workers[1]!, { by: 'one', unusedShareMax: 0 }),
      prune(workers[2]!, { by: 'two', unusedShareMax: 0 }),
    ]);
    expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
    for (const [n, snapshot] of [a, b].entries()) {
      const target = join(directory, `out-${snapshot.id}`);
      expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
      expect(readTree(target)).toEqual(readTree(trees[n]!));
    }
  }
  expect(await prune(repository, { by: 'test', unusedShareMax: 0 })).toMatchObject({ waiting: [] });
  const { packs } = await verify(repository, FULL);
  expect(objectsIn(directory, 'packs/').size).toBe(packs);
});

test('a dry run says what a prune would do, and changes nothing', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const first = await backUpTree(repository, tree);
  writeSampleTree(tree, 2);
  await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first.id]));
  const before = [...objectsIn(directory, '')];
  const { sequence } = await repository.heads.read();
  const plan = await prune(repository, { by: 'test', dryRun: true, unusedShareMax: 0 });
  expect([...objectsIn(directory, '')]).toEqual(before);
  expect((await repository.heads.read()).sequence).toBe(sequence);
  const done = await prune(repository, { by: 'test', unusedShareMax: 0 });
  const { packsDropped, packsMoved, packsDeleted, bytesFreed, bytesUsed } = done;
  expect(plan).toMatchObject({ packsDropped, packsMoved, packsDeleted, bytesFreed, bytesUsed });
  expect(packsDeleted).toBeGreaterThan(0);
});

test('many small packs become few, and unused bytes within the limit are left alone', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  for (let n = 0; n < 17; n++) {
    writeFileAt(tree, `f${n}`, seededBytes(5000, n));
    await backUpTree(repository, tree);
  }
  const before = objectsIn(directory, 'packs/').size;
  const indexesBefore = objectsIn(directory, 'index/').size;
  expect(before).toBeGreaterThanOrEqual(34);
  const stored = (): number => [...objectsIn(directory, 'packs/').values()].reduce((sum, bytes) => sum + bytes, 0);
  const storedBefore = stored();
  const report = await prune(repository, { by: 'test' });
  expect(report.packsMoved).toBe(before);
  expect(report.bytesFreed, 'not what was written anew').toBe(storedBefore - stored());
  expect(objectsIn(directory, 'packs/').size).toBe(2);
  expect(indexesBefore).toBe(17);
  expect(objectsIn(directory, 'index/').size).toBe(1);
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean', snapshots: 17 });
  const { snapshots } = await repository.heads.read();
  // 1 of 17 files and of the maps is a trifle.
  await forgetSnapshots(repository.heads, new Set([snapshots[3]!.session]));
  expect(await prune(repository, { by: 'test' })).toMatchObject({ packsMoved: 0, packsDropped: 0 });
}, 200_000);

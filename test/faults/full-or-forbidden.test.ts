// Disks that are full or read-only, on either side: a named fault, and everything that was there stays.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FAULTS } from '../../src/base/faults.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { mayMount, mountTmpfs, remountReadOnly, unmount } from '../support/scratch.ts';
import { backUpTree } from './engine-process.ts';
import {
  changeTree,
  copyTree,
  expectClean,
  expectRestores,
  makeRepository,
  memoryDirectory,
  restoreInto,
  snapshotIds,
  withEngine,
  writeTree,
} from './scenes.ts';

const MIB = 1024 * 1024;

function mounted(path: string, size: string): string {
  mkdirSync(path, { recursive: true });
  mountTmpfs(path, size);
  onTestFinished(() => unmount(path));
  return path;
}

const fault = (code: keyof typeof FAULTS) => expect.objectContaining({ code, hint: expect.stringMatching(/\S/) });

describe.skipIf(!mayMount())('a disk', () => {
  it('of the repository that fills up ends the backup with STORE_FULL; earlier snapshots stay, and with room it goes on', async () => {
    const root = memoryDirectory();
    const directory = join(root, 'place');
    const disk = mounted(join(directory, 'repository'), '12m');
    await makeRepository(directory);
    const one = join(root, 'one');
    const two = join(root, 'two');
    writeTree(one, 1, 3 * MIB);
    copyTree(one, two);
    changeTree(two, 2, 16 * MIB);
    await withEngine(directory, async (repository) => {
      const first = (await backUpTree(repository, one)).id;
      for (let attempt = 1; attempt <= 2; attempt++) {
        await expect(backUpTree(repository, two)).rejects.toEqual(fault('STORE_FULL'));
        expect(await snapshotIds(repository)).toEqual([first]);
      }
      await expectRestores(repository, first, one, root, 'on the full disk');
      execFileSync('mount', ['-o', 'remount,size=64m', disk]);
      const second = (await backUpTree(repository, two)).id;
      await prune(repository, { by: 'test', unusedShareMax: 0, isDead: () => true });
      await expectClean(repository, 'with room');
      await expectRestores(repository, first, one, root, 'with room');
      await expectRestores(repository, second, two, root, 'with room');
    });
  }, 120_000);

  it('of the repository that is full to the last byte is freed by forget and prune', async () => {
    const root = memoryDirectory();
    const directory = join(root, 'place');
    const disk = mounted(join(directory, 'repository'), '24m');
    await makeRepository(directory);
    const one = join(root, 'one');
    const two = join(root, 'two');
    writeTree(one, 1, 3 * MIB);
    writeTree(two, 2, 10 * MIB);
    await withEngine(directory, async (repository) => {
      const first = (await backUpTree(repository, one)).id;
      const second = (await backUpTree(repository, two, { asset: 'other' })).id;
      fill(join(disk, 'tmp~', 'ballast'));
      await expect(backUpTree(repository, two, { asset: 'a third' })).rejects.toEqual(fault('STORE_FULL'));
      // What an overfull disk needs is room for one change of the head; nobody can do without.
      await expect(forgetSnapshots(repository.heads, new Set([second]))).rejects.toEqual(fault('STORE_FULL'));
      expect(await snapshotIds(repository)).toEqual([first, second]);
      rmSync(join(disk, 'tmp~', 'ballast'));
      fill(join(disk, 'tmp~', 'ballast'), 256 * 1024);
      await forgetSnapshots(repository.heads, new Set([second]));
      const { packsDeleted } = await prune(repository, { by: 'test', isDead: () => true });
      expect(packsDeleted).toBeGreaterThan(5);
      await expectClean(repository, 'after the prune');
      await expectRestores(repository, first, one, root, 'after the prune');
    });
  }, 120_000);

  it('of the repository that is read-only refuses backups and forgets, and restores all the same', async () => {
    const root = memoryDirectory();
    const directory = join(root, 'place');
    const disk = mounted(join(directory, 'repository'), '32m');
    await makeRepository(directory);
    const tree = join(root, 'tree');
    writeTree(tree, 1, 3 * MIB);
    const { id } = await withEngine(directory, (repository) => backUpTree(repository, tree));
    remountReadOnly(disk);
    await withEngine(directory, async (repository) => {
      await expect(backUpTree(repository, tree)).rejects.toEqual(fault('STORE_DENIED'));
      await expect(forgetSnapshots(repository.heads, new Set([id]))).rejects.toEqual(fault('STORE_DENIED'));
      await expect(prune(repository, { by: 'test' })).rejects.toEqual(fault('STORE_DENIED'));
      await expectClean(repository, 'read-only');
      await expectRestores(repository, id, tree, root, 'read-only');
    });
  }, 120_000);

  it('that is restored to and fills up ends the restore with TARGET_FULL; the repository is as before', async () => {
    const root = memoryDirectory();
    const directory = join(root, 'place');
    mkdirSync(directory);
    await makeRepository(directory);
    const tree = join(root, 'tree');
    writeTree(tree, 1, 12 * MIB);
    const target = mounted(join(root, 'target'), '4m');
    await withEngine(directory, async (repository) => {
      const { id } = await backUpTree(repository, tree);
      await expect(restoreInto(repository, id, target)).rejects.toEqual(fault('TARGET_FULL'));
      await expectRestores(repository, id, tree, root, 'elsewhere');
    });
  }, 120_000);

  it('of the index cache that is full ends the backup with INDEX_CACHE_FULL, and with room it succeeds', async () => {
    const root = memoryDirectory();
    const directory = join(root, 'place');
    mkdirSync(directory);
    await makeRepository(directory);
    const one = join(root, 'one');
    const two = join(root, 'two');
    writeTree(one, 1, 6 * MIB);
    copyTree(one, two);
    changeTree(two, 2, 2 * MIB);
    const first = await withEngine(directory, async (repository) => (await backUpTree(repository, one)).id);
    rmSync(join(directory, 'cache'), { recursive: true });
    const cache = mounted(join(directory, 'cache'), '64k');
    fill(join(cache, 'ballast'));
    await withEngine(directory, async (repository) => {
      await expect(backUpTree(repository, two)).rejects.toEqual(fault('INDEX_CACHE_FULL'));
      execFileSync('mount', ['-o', 'remount,size=32m', cache]);
      const { id } = await backUpTree(repository, two);
      await expectClean(repository, 'with room');
      await expectRestores(repository, first, one, root, 'with room');
      await expectRestores(repository, id, two, root, 'with room');
    });
  }, 120_000);
});

/** Leaves `spare` bytes. */
function fill(path: string, spare = 0): void {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=4096'], { stdio: 'ignore' });
  } catch {
    // Until the disk is full.
  }
  if (spare > 0) execFileSync('truncate', ['-s', `-${spare}`, path]);
  else writeFileSync(`${path}-2`, '');
}

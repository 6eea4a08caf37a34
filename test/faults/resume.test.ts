// What an interrupted backup has uploaded is not uploaded again, however it was interrupted.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';
import { backUpTree, type EngineTask, PASSPHRASE } from './engine-process.ts';
import {
  expectClean,
  expectRestores,
  makeRepository,
  memoryDirectory,
  packSizes,
  runProcess,
  snapshotIds,
  withEngine,
  writeTree,
} from './scenes.ts';
import { SMALL_PACK_BYTES } from './small-repository.ts';

const MIB = 1024 * 1024;
/** More packs than an index object waits for. */
const TREE_BYTES = 80 * MIB;
/** What a dying backup may lose: a pack being filled by each of two threads, four on their way, and the nodes. */
const LOST_BYTES_MAX = 7 * SMALL_PACK_BYTES + MIB;

async function makePlace(): Promise<{ readonly root: string; readonly directory: string; readonly tree: string }> {
  const root = memoryDirectory();
  const directory = join(root, 'place');
  mkdirSync(directory);
  await makeRepository(directory);
  const tree = join(root, 'tree');
  writeTree(tree, 5, TREE_BYTES);
  return { root, directory, tree };
}

const sum = (sizes: Iterable<number>): number => [...sizes].reduce((all, size) => all + size, 0);

/** Backs up again, and proves that only the rest is uploaded, that nothing is there twice, and that it restores. */
async function expectGoesOn(root: string, directory: string, tree: string, uploadedMin: number): Promise<void> {
  const before = packSizes(directory);
  const uploaded = sum(before.values());
  expect(uploaded).toBeGreaterThan(uploadedMin);
  await withEngine(directory, async (repository) => {
    expect(await snapshotIds(repository)).toEqual([]);
    const { id } = await backUpTree(repository, tree);
    const after = packSizes(directory);
    for (const key of before.keys()) expect(after.has(key), key).toBe(true);
    expect(sum(after.values())).toBeLessThan(TREE_BYTES + LOST_BYTES_MAX);
    expect(sum(after.values()) - uploaded).toBeLessThan(TREE_BYTES - uploaded + LOST_BYTES_MAX);
    await expectClean(repository, 'after the second run');
    await expectRestores(repository, id, tree, root, 'after the second run');
  });
}

describe('an interrupted backup goes on where it was', () => {
  for (const { write, uploadedMin } of [
    { write: 30, uploadedMin: 20 * MIB },
    { write: 74, uploadedMin: 64 * MIB },
  ]) {
    it(`killed at its write ${write}, ${write > 70 ? 'after' : 'before'} the first index object`, async () => {
      const { root, directory, tree } = await makePlace();
      const task: EngineTask = { verb: 'backup', directory, tree, kill: { write, when: 'during' } };
      expect((await runProcess(task)).killed).toBe(true);
      await expectGoesOn(root, directory, tree, uploadedMin);
    }, 180_000);
  }

  it('killed three times in a row', async () => {
    const { root, directory, tree } = await makePlace();
    for (let attempt = 1; attempt <= 3; attempt++) {
      const before = sum(packSizes(directory).values());
      const task: EngineTask = { verb: 'backup', directory, tree, kill: { write: 25, when: 'before' } };
      expect((await runProcess(task)).killed).toBe(true);
      // Each run adds its own.
      expect(sum(packSizes(directory).values()) - before).toBeGreaterThan(10 * MIB);
    }
    await expectGoesOn(root, directory, tree, 40 * MIB);
  }, 180_000);

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`interrupted by ${signal} on the command line, which says so and ends with 130`, async () => {
      const { root, directory, tree } = await makePlace();
      const passphrase = join(root, 'passphrase');
      writeFileSync(passphrase, PASSPHRASE);
      // Slow enough to be interrupted in the middle, on any machine.
      const options = ['--passphrase-file', passphrase, '--cache-dir', join(directory, 'cache'), '--upload-limit', '20MiB'];
      const asset = ['--asset', 'tree'];
      const command = ['backup', tree, '--repo', join(directory, 'repository'), '--json', ...options, ...asset];
      const child = spawn(join(CHECKOUT, 'bin/holdfast'), command, { stdio: ['ignore', 'pipe', 'pipe'] });
      let text = '';
      child.stdout.on('data', (data: Buffer) => (text += data));
      child.stderr.on('data', (data: Buffer) => (text += data));
      const ended = new Promise((resolve) => child.on('close', resolve));
      while (packSizes(directory).size < 20 && child.exitCode === null) await sleep(5);
      child.kill(signal);
      expect({ status: await ended, text }).toEqual({ status: 130, text: expect.stringContaining('INTERRUPTED') });
      await withEngine(directory, async (repository) => {
        expect((await repository.heads.read()).writers).toEqual([]);
      });
      await expectGoesOn(root, directory, tree, 18 * MIB);
    }, 180_000);
  }
});

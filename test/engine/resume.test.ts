import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { decodeTrailer, TRAILER_BYTES } from '../../src/format/pack.ts';
import { prune } from '../../src/repository/prune.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectPath, objectsIn, openRepository, readTree, restoreTo, writeFileAt } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const CHILD = new URL('../support/backup-child.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;

/** Starts a backup and kills it with SIGKILL once so many packs are stored. */
async function killAfterPacks(directory: string, tree: string, packs: number): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, [CHILD, directory, tree, '20'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line === `stored ${packs}`) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  expect(signal).toBe('SIGKILL');
}

function bytesOf(directory: string, kind: 'data' | 'metadata'): number {
  let bytes = 0;
  for (const [key, size] of objectsIn(directory, 'packs/')) {
    const trailer = decodeTrailer(readFileSync(objectPath(directory, key)).subarray(-TRAILER_BYTES));
    if (trailer.kind === kind) bytes += size;
  }
  return bytes;
}

test('a backup that is killed and run again uploads no data twice', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  const total = 120 * MIB;
  for (let n = 0; n < 30; n++) writeFileAt(tree, `f${n}`, seededBytes(total / 30, n));
  await killAfterPacks(directory, tree, 3);
  const uploaded = bytesOf(directory, 'data');
  expect(uploaded).toBeGreaterThan(20 * MIB);
  expect(readdirSync(join(repository.cacheDirectory, 'journal'))).toHaveLength(1);

  const snapshot = await backUpTree(repository, tree);
  expect(snapshot.statistics.bytesNew).toBeLessThanOrEqual(total - uploaded * 0.99);
  // Everything once: compressed it is no smaller, and directories are small.
  expect(bytesOf(directory, 'data')).toBeLessThan(total * 1.01);
  expect(readdirSync(join(repository.cacheDirectory, 'journal'))).toEqual([]);
  expect(await verify(repository, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
  // Neither is anything of it waste, but packs of nodes.
  await prune(repository, { by: 'test', unusedShareMax: 0 });
  expect(await restoreTo(repository, snapshot.id, join(directory, 'out'))).toEqual([]);
  expect(readTree(join(directory, 'out'))).toEqual(readTree(tree));
});

test('a backup leaves the journal of another one that runs alone', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeFileAt(tree, 'f', seededBytes(30 * MIB, 1));
  await killAfterPacks(directory, tree, 1);
  const { host, bootId } = repository.process;
  // Seen from another host nothing is certain about that process.
  const elsewhere = await openRepository(directory, { process: { host: `not ${host}`, processId: 1, bootId } });
  onTestFinished(() => elsewhere.close());
  await backUpTree(elsewhere, tree, { asset: 'other' });
  expect(readdirSync(join(repository.cacheDirectory, 'journal'))).toHaveLength(1);
  const head = await repository.heads.read();
  expect(head.writers).toHaveLength(1);
  await backUpTree(repository, tree);
  expect((await repository.heads.read()).writers).toEqual([]);
  expect(existsSync(join(repository.cacheDirectory, 'journal')) && readdirSync(join(repository.cacheDirectory, 'journal'))).toEqual(
    [],
  );
});

test('what a prune has taken away after the kill is not taken over', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeFileAt(tree, 'f', seededBytes(40 * MIB, 1));
  await killAfterPacks(directory, tree, 2);
  const report = await prune(repository, { by: 'test' });
  expect(report.revoked).toHaveLength(1);
  expect(report.packsOrphaned).toBeGreaterThanOrEqual(2);
  expect(objectsIn(directory, 'packs/').size).toBe(0);
  const { id } = await backUpTree(repository, tree);
  expect(await verify(repository, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
  expect(await restoreTo(repository, id, join(directory, 'out'))).toEqual([]);
});

import { execFile } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectsIn, openRepository, readTree, restoreTo, writeFileAt, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const CHILD = new URL('../support/prune-child.ts', import.meta.url).pathname;
const run = promisify(execFile);

/** Undefined when it was killed, otherwise how many changes it made. */
async function pruneInChild(directory: string, changesMax: number): Promise<number | undefined> {
  try {
    const { stdout } = await run(process.execPath, [CHILD, directory, String(changesMax)]);
    return Number(/done (\d+)/.exec(stdout)![1]);
  } catch (error) {
    expect((error as { signal?: string }).signal).toBe('SIGKILL');
    return undefined;
  }
}

test('a prune that is killed after any of its changes leaves all snapshots whole, and the next one finishes the work', async () => {
  const directory = scratchDirectory();
  const prepared = join(directory, 'prepared');
  const trees = [join(directory, 'tree1'), join(directory, 'tree2')] as const;
  const repository = await newRepository(prepared);
  writeSampleTree(trees[0], 1);
  writeFileAt(trees[0], 'image', seededBytes(1024 * 1024, 7));
  const first = await backUpTree(repository, trees[0]);
  cpSync(trees[0], trees[1], { recursive: true, preserveTimestamps: true });
  for (let n = 0; n < 40; n += 3) rmSync(join(trees[1], `d${n % 5}/f${n}`));
  // A paged file of which half of the units change: blocks of which little is needed.
  const image = seededBytes(1024 * 1024, 7);
  for (let at = 0; at < image.length; at += 32 * 1024) image.set(seededBytes(16 * 1024, at), at);
  writeFileAt(trees[1], 'image', image);
  const second = await backUpTree(repository, trees[1]);
  writeFileAt(join(directory, 'other'), 'x', seededBytes(300_000, 9));
  const third = await backUpTree(repository, join(directory, 'other'), { asset: 'other' });
  await forgetSnapshots(repository.heads, new Set([first.id]));
  const live = await repository.heads.read();

  let changes: number | undefined;
  for (let n = 1; changes === undefined; n++) {
    const place = join(directory, `run${n}`);
    cpSync(prepared, place, { recursive: true });
    changes = await pruneInChild(place, n);
    const after = await openRepository(place);
    try {
      expect((await after.heads.read()).snapshots).toEqual(live.snapshots);
      expect(await verify(after, { depth: { kind: 'full' }, threads: 1 }), `killed after ${n}`).toMatchObject({
        outcome: 'clean',
        snapshots: 2,
      });
      const report = await prune(after, { by: 'test', unusedShareMax: 0 });
      expect(report.waiting).toEqual([]);
      const whole = await verify(after, { depth: { kind: 'full' }, threads: 1 });
      expect(whole, `pruned again after ${n}`).toMatchObject({ outcome: 'clean', snapshots: 2 });
      // Nothing is left but what the index names.
      expect(objectsIn(place, 'packs/').size).toBe(whole.packs);
      const head = await after.heads.read();
      expect([...objectsIn(place, 'index/').keys()].sort()).toEqual(head.indexes.map(({ id }) => `index/${id}`).sort());
      expect(objectsIn(place, 'condemned/').size).toBe(0);
      expect(head).toMatchObject({ writers: [], condemned: [] });
      for (const [session, tree] of [
        [second.id, trees[1]],
        [third.id, join(directory, 'other')],
      ] as const) {
        const target = join(place, `out-${session}`);
        expect(await restoreTo(after, session, target)).toEqual([]);
        expect(readTree(target)).toEqual(readTree(tree));
      }
    } finally {
      await after.close();
      rmSync(place, { recursive: true });
    }
  }
  expect(changes).toBeGreaterThan(8);
}, 400_000);

// A prune that has to plan again, because a backup came in between and needs what the first plan would have taken. Both plans write blocks
// anew, in one session: what the second one sealed must open with the key that the first one stored.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, openRepository, readTree, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

test('what a prune writes anew in its second plan opens, and so does what later prunes make of it', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const { id: first } = await backUpTree(repository, tree);
  const remove = (from: number, step: number): void => {
    for (let n = from; n < 40; n += step) rmSync(join(tree, `d${n % 5}/f${n}`), { force: true });
  };
  remove(0, 2);
  const { id: second } = await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first]));

  // Brings back, in a backup of its own, half of what nobody needed when the prune made its first plan.
  const other = join(directory, 'other');
  mkdirSync(other);
  writeSampleTree(other, 1);
  for (let n = 0; n < 40; n += 4) rmSync(join(other, `d${n % 5}/f${n}`), { force: true });
  let plans = 0;
  let third = '';
  const interrupting = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name) => {
        if (name !== 'put') return Reflect.get(target, name)?.bind?.(target) ?? Reflect.get(target, name);
        return async (...args: Parameters<ObjectStore['put']>) => {
          if (args[0].startsWith('index/') && ++plans === 1) third = (await backUpTree(repository, other, { asset: 'other' })).id;
          return target.put(...args);
        };
      },
    });
  const pruning = await openRepository(directory, { wrap: interrupting });
  try {
    const report = await prune(pruning, { by: 'test', unusedShareMax: 0 });
    expect(plans, 'it planned again').toBeGreaterThan(1);
    expect(report.packsMoved).toBeGreaterThan(0);
  } finally {
    await pruning.close();
  }
  await expectWhole();
  // Moved once more, as they are.
  remove(1, 4);
  const { id: fourth } = await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([second]));
  await prune(repository, { by: 'test', unusedShareMax: 0 });
  await expectWhole();
  for (const [session, of] of [
    [third, other],
    [fourth, tree],
  ] as const) {
    const target = join(directory, `restored-${session}`);
    expect(await restoreTo(repository, session, target)).toEqual([]);
    expect(readTree(target)).toEqual(readTree(of));
  }

  async function expectWhole(): Promise<void> {
    const { outcome, damaged, affected } = await verify(repository, { depth: { kind: 'full' }, threads: 1 });
    expect({ outcome, damaged, affected }).toEqual({ outcome: 'clean', damaged: [], affected: [] });
  }
});

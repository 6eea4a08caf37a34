// A prune that is overtaken by another one while it plans: what it planned with is gone, and that is no damage.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, openRepository, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

test('a prune that another one overtakes plans again, and finds what is left to do', async () => {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const { id: first } = await backUpTree(repository, tree);
  for (let n = 0; n < 40; n += 2) rmSync(join(tree, `d${n % 5}/f${n}`), { force: true });
  await backUpTree(repository, tree);
  await forgetSnapshots(repository.heads, new Set([first]));
  let overtaken = 0;
  let notFound = 0;
  const overtaking = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name) => {
        if (name !== 'get') return Reflect.get(target, name)?.bind?.(target) ?? Reflect.get(target, name);
        return async (...args: Parameters<ObjectStore['get']>) => {
          if (args[0].startsWith('index/') && ++overtaken === 1) await prune(repository, { by: 'the other', unusedShareMax: 0 });
          return target.get(...args).catch((error: unknown) => {
            notFound++;
            throw error;
          });
        };
      },
    });
  const pruning = await openRepository(directory, { wrap: overtaking });
  try {
    await prune(pruning, { by: 'test', unusedShareMax: 0 });
  } finally {
    await pruning.close();
  }
  expect(notFound, 'what it planned with was gone').toBeGreaterThan(0);
  const { outcome, damaged, affected } = await verify(repository, { depth: { kind: 'full' }, threads: 1 });
  expect({ outcome, damaged, affected }).toEqual({ outcome: 'clean', damaged: [], affected: [] });
});

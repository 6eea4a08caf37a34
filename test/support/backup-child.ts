// A process that backs up a tree, for tests that kill it: `node backup-child.ts <directory> <tree> [delay ms before each pack]`. Prints
// "stored <n>" when its n-th pack is stored, "snapshot <id>" at the end.

import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { backUpTree, openRepository } from './repository.ts';

const [, , directory, tree, delay] = process.argv as unknown as [string, string, string, string, string | undefined];

function watched(store: ObjectStore): ObjectStore {
  let stored = 0;
  return new Proxy(store, {
    get(target, name) {
      if (name === 'localPath') return target.localPath?.bind(target);
      const value = Reflect.get(target, name);
      if (name !== 'put') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<ObjectStore['put']>) => {
        const isPack = args[0].startsWith('packs/');
        if (isPack && delay !== undefined) await sleep(Number(delay));
        const result = await target.put(...args);
        if (isPack) writeSync(1, `stored ${++stored}\n`);
        return result;
      };
    },
  });
}

const repository = await openRepository(directory, { wrap: watched });
const { id } = await backUpTree(repository, tree);
writeSync(1, `snapshot ${id}\n`);
await repository.close();

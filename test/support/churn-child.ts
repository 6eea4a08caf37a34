// A process that works on a repository until it kills itself: `node churn-child.ts backup|prune <directory> <tree> <changes>`. Prints "done"
// at its end, for a backup with its snapshot.

import { writeSync } from 'node:fs';
import { prune } from '../../src/repository/prune.ts';
import { killedAfter } from './killed-store.ts';
import { backUpTree, openRepository } from './repository.ts';

const [, , verb, directory, tree, changesMax] = process.argv as unknown as [string, string, string, string, string, string];
const repository = await openRepository(directory, { wrap: (store) => killedAfter(store, Number(changesMax)).store });
const done =
  verb === 'backup'
    ? (await backUpTree(repository, tree)).id
    : void (await prune(repository, { by: 'a child', unusedShareMax: 0 }));
await repository.close();
writeSync(1, `done ${done ?? ''}\n`);

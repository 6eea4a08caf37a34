// A process that prunes and kills itself: `node prune-child.ts <directory> <changes>`. Prints "done <changes>" when it came to its end.

import { writeSync } from 'node:fs';
import { prune } from '../../src/repository/prune.ts';
import { type KilledStore, killedAfter } from './killed-store.ts';
import { openRepository } from './repository.ts';

const [, , directory, changesMax] = process.argv as unknown as [string, string, string, string];
let killed: KilledStore | undefined;
const repository = await openRepository(directory, {
  wrap: (store) => {
    killed = killedAfter(store, Number(changesMax));
    return killed.store;
  },
});
await prune(repository, { by: 'a child', unusedShareMax: 0 });
await repository.close();
writeSync(1, `done ${killed!.changes()}\n`);

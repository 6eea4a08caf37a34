// A process that replicates and kills itself: `node replicate-child.ts <directory> <changes>`. Prints "done <changes>" when it came to its end.

import { writeSync } from 'node:fs';
import { type KilledStore, killedAfter } from './killed-store.ts';
import { replicate } from './replicating.ts';

const [, , directory, changesMax] = process.argv as unknown as [string, string, string, string];
let killed: KilledStore | undefined;
await replicate(directory, {
  wrap: (store) => {
    killed = killedAfter(store, Number(changesMax));
    return killed.store;
  },
});
writeSync(1, `done ${killed!.changes()}\n`);

// A process that makes the old site a replica of the new one and kills itself: `node rejoin-child.ts <directory> <changes>`. Prints
// "done <changes>" when it came to its end.

import { writeSync } from 'node:fs';
import { killedAfter } from './killed-store.ts';
import { rejoin } from './replicating.ts';

const [, , directory, changesMax] = process.argv as unknown as [string, string, string, string];
let changes = (): number => 0;
await rejoin(directory, (store) => {
  const killed = killedAfter(store, Number(changesMax));
  changes = killed.changes;
  return killed.store;
});
writeSync(1, `done ${changes()}\n`);

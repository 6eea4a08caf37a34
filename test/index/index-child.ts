// Run by local-index.test.ts as a process of its own: adds index objects to a shared cache directory, one after the other, and asks
// for what it has added. `index-child.ts <directory> <part> <objects>`; prints a line for each object.

import { openReader } from '../../src/index/index-reader.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { newBlockPlace } from '../../src/index/tables.ts';
import { bytesOf, makeObject, Seeded } from './material.ts';

const [directory, part, count] = process.argv.slice(2) as [string, string, string];
const childObject = (of: number, n: number) => makeObject(new Seeded(of * 1000 + n), 4);
const index = await LocalIndex.open({ directory, sortMemoryBytes: 1 << 20 });
// Both processes know of all objects; each adds its own.
const all = [1, 2].flatMap((one) => Array.from({ length: Number(count) }, (_, n) => childObject(one, n).id));
index.retain(all);
const place = newBlockPlace();
for (let n = 0; n < Number(count); n++) {
  const object = childObject(Number(part), n);
  await index.add([{ id: object.id, packs: object.packs.map(({ pack }) => pack) }]);
  const { source, release } = index.acquire();
  const reader = await openReader(source);
  for (let earlier = 0; earlier <= n; earlier++) {
    for (const { id } of childObject(Number(part), earlier).packs.flatMap(({ blocks }) => blocks)) {
      if (!reader.block(bytesOf(id), place)) throw new Error(`object ${earlier} is not in the index after object ${n} was added`);
    }
  }
  release();
  process.stdout.write(`${n}\n`);
}
await index.settled();
await index.close();

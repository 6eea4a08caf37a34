// A process that puts objects until it is killed: `node putting-writer.ts <directory> <name>`. It prints the key of each object
// before and after it puts it. The bytes follow from the key.

import { writeSync } from 'node:fs';
import { openFsStore } from '../../src/store/fs-store.ts';
import { seededBytes } from './seeded-random.ts';

export function objectOf(key: string): Uint8Array {
  const seed = [...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  return seededBytes(200_000 + (seed % 100_000), seed);
}

async function main(directory: string, name: string): Promise<void> {
  const store = await openFsStore(directory);
  for (let i = 0; ; i++) {
    const key = `puts/${i % 4}/${name}-${i}`;
    const bytes = objectOf(key);
    writeSync(1, `try ${key}\n`);
    await store.put(key, bytes);
    writeSync(1, `put ${key}\n`);
  }
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1]) await main(process.argv[2], process.argv[3]);

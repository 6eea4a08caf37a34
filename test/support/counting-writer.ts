// A process that counts in a register: `node counting-writer.ts <directory> <key> <name> <times>`. The value is a tally by name, so
// that a count that got lost or came twice shows. It prints "won" after each count it knows to have taken place.

import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { isFault } from '../../src/base/faults.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';

export type Tally = { readonly nonce: string; readonly counts: Readonly<Record<string, number>> };

export function decodeTally(bytes: Uint8Array | undefined): Tally {
  return bytes === undefined ? { nonce: '', counts: {} } : JSON.parse(Buffer.from(bytes).toString());
}

async function main(directory: string, key: string, name: string, times: number): Promise<void> {
  const store = await openFsStore(directory);
  writeSync(1, 'ready\n');
  for (let done = 0; done < times; ) {
    const now = await store.read(key);
    const { counts } = decodeTally(now?.bytes);
    const next: Tally = { nonce: randomBytes(8).toString('hex'), counts: { ...counts, [name]: (counts[name] ?? 0) + 1 } };
    if (!(await hasCounted(store, key, name, next, now?.version))) continue;
    writeSync(1, 'won\n');
    done++;
  }
}

/** Who got no processor while more swaps passed by than a register remembers cannot be told: then its own count, which nobody else changes,
 *  says it. */
async function hasCounted(
  store: ObjectStore,
  key: string,
  name: string,
  next: Tally,
  version: string | undefined,
): Promise<boolean> {
  try {
    return (await store.swap(key, Buffer.from(JSON.stringify(next)), version)) !== 'conflict';
  } catch (error) {
    if (!isFault(error, 'STORE_OUTCOME_UNKNOWN')) throw error;
    return decodeTally((await store.read(key))?.bytes).counts[name] === next.counts[name];
  }
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1]) {
  const [, , directory, key, name, times] = process.argv;
  await main(directory, key, name, Number(times));
}

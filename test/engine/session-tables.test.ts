import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SessionTables } from '../../src/engine/session-tables.ts';
import { openKnownChunks, openSessionChunks } from '../../src/worker/chunk-tables.ts';
import { Dedup, newFound } from '../../src/worker/dedup.ts';
import { Seeded } from '../index/material.ts';
import { temporaryDirectory } from '../index/temporary.ts';

test('whatever a session has stored is found again after many full tables, in few runs and with no file left behind', async () => {
  const random = new Seeded(7);
  const session = random.bytes(10);
  const directory = temporaryDirectory();
  const tables = new SessionTables(session, directory, undefined, 64);
  const stored: { readonly id: Uint8Array; readonly counter: number }[] = [];
  const found = newFound();
  const openDedup = async (): Promise<Dedup> =>
    new Dedup(session, openSessionChunks(tables.current.made), await openKnownChunks(tables.current.known, undefined));
  let dedup = await openDedup();
  for (let counter = 0; counter < 3000; counter++) {
    const id = random.bytes(32);
    expect(dedup.find(id, counter, 5, 100, found)).toBe(false);
    stored.push({ id, counter });
    if (!tables.isFull) continue;
    await tables.rotate();
    dedup = await openDedup();
    tables.exchanged();
    expect(tables.current.known?.chunks.length).toBeLessThanOrEqual(8);
  }
  for (const { id, counter } of stored) {
    expect(dedup.find(id, 999_999, 0, 100, found)).toBe(true);
    expect(Buffer.from(found.block).readUIntBE(10, 6)).toBe(counter);
  }
  expect(readdirSync(directory)).toEqual([]);
  tables.close();
});

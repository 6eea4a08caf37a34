import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadChecksum } from '../../src/index/checksum.ts';
import { IndexReader } from '../../src/index/index-reader.ts';
import { PrivateRuns } from '../../src/index/private-run.ts';
import { CHUNKS, newChunkPlace, writeChunkRecord } from '../../src/index/tables.ts';
import { hex, Seeded } from './material.ts';
import { temporaryDirectory } from './temporary.ts';

const checksum = await loadChecksum();

test('private runs stay few, answer the newest place of a key, and leave no file behind; replaced ones can be read until they are closed', () => {
  const random = new Seeded(41);
  const directory = temporaryDirectory();
  const runs = new PrivateRuns(CHUNKS, { directory, checksum, memoryBytes: 1 << 20 });
  const known = new Map<string, { id: Uint8Array; offset: number }>();
  const ids = () => [...known.values()].map(({ id }) => id);
  const expectRight = (reader: IndexReader, expected: ReadonlyMap<string, { id: Uint8Array; offset: number }>) => {
    const place = newChunkPlace();
    for (const { id, offset } of expected.values()) {
      expect(reader.chunk(id, place)).toBe(true);
      expect(place.offset).toBe(offset);
    }
    expect(reader.chunk(random.bytes(32), place)).toBe(false);
  };
  for (let n = 0; n < 20; n++) {
    const before = { reader: new IndexReader({ chunks: runs.runs, blocks: [] }, checksum), known: new Map(known) };
    const known32 = ids();
    const added = new Map<string, Buffer>();
    for (let m = 0; m < 300; m++) {
      const id = m % 10 === 0 && known32.length > 0 ? known32[random.below(known32.length)]! : random.bytes(32);
      if (added.has(hex(id))) continue;
      const offset = n * 1000 + m;
      const record = Buffer.alloc(CHUNKS.recordBytes);
      writeChunkRecord(record, 0, id, new Uint8Array(16), offset, 1);
      added.set(hex(id), record);
      known.set(hex(id), { id, offset });
    }
    runs.add(added.values());
    expectRight(before.reader, before.known);
    runs.closeReplaced();
    expectRight(new IndexReader({ chunks: runs.runs, blocks: [] }, checksum), known);
    expect(runs.runs.length).toBeLessThanOrEqual(8);
    expect(readdirSync(directory)).toEqual([]);
  }
  runs.close();
});

import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadChecksum } from '../../src/index/checksum.ts';
import { VisitedSet } from '../../src/index/visited-set.ts';
import { hex, Seeded } from './material.ts';
import { temporaryDirectory } from './temporary.ts';

const checksum = await loadChecksum();

for (const tableBytes of [1_000, 20_000, 16 << 20]) {
  test(`a set with a table of ${tableBytes} bytes says of each digest whether it is new, as a Set does`, () => {
    const directory = temporaryDirectory();
    const random = new Seeded(tableBytes);
    const set = new VisitedSet({ digestBytes: 16, tableBytes, directory, checksum, memoryBytes: 1 << 20 });
    const known = new Set<string>();
    const digests: Uint8Array[] = [];
    for (let n = 0; n < 12_000; n++) {
      const again = digests.length > 0 && random.below(3) === 0;
      const digest = again ? digests[random.below(digests.length)]! : random.bytes(16);
      if (!again) digests.push(digest);
      expect(set.add(digest)).toBe(!known.has(hex(digest)));
      known.add(hex(digest));
    }
    expect(set.size).toBe(known.size);
    for (const digest of digests) expect(set.has(digest)).toBe(true);
    for (let n = 0; n < 2000; n++) expect(set.has(random.bytes(16))).toBe(false);
    expect(readdirSync(directory)).toEqual([]);
    set.close();
  });
}

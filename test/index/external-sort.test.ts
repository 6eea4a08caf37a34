import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadChecksum } from '../../src/index/checksum.ts';
import { ExternalSorter, type SorterOptions } from '../../src/index/external-sort.ts';
import type { EqualKeys } from '../../src/index/merge-sorted.ts';
import { hex, Seeded } from './material.ts';
import { temporaryDirectory } from './temporary.ts';

const checksum = await loadChecksum();

/** Kinds of keys that break sorts: random, a long common beginning, few different ones, all the same, counting. */
const KEYS: Record<string, (random: Seeded, keyBytes: number, n: number) => Uint8Array> = {
  random: (random, keyBytes) => random.bytes(keyBytes),
  'with a common beginning': (random, keyBytes) => Uint8Array.from([...new Uint8Array(keyBytes - 2).fill(7), ...random.bytes(2)]),
  'of a few sessions': (random, keyBytes) =>
    Uint8Array.from({ length: keyBytes }, (_, i) => (i === 2 ? random.below(5) : i >= keyBytes - 2 ? random.below(256) : i)),
  'mostly equal': (random, keyBytes) => new Uint8Array(keyBytes).fill(random.below(3)),
  'all equal': (_random, keyBytes) => new Uint8Array(keyBytes).fill(9),
  counting: (_random, keyBytes, n) => Uint8Array.from([...new Uint8Array(keyBytes - 4), n >>> 24, n >>> 16, n >>> 8, n]),
};

function makeRecords(random: Seeded, kind: string, count: number, recordBytes: number, keyBytes: number): Buffer[] {
  return Array.from({ length: count }, (_, n) => {
    const record = Buffer.alloc(recordBytes);
    record.set(KEYS[kind]!(random, keyBytes, n));
    record.writeUInt32LE(n, recordBytes - 4);
    return record;
  });
}

/** The same, with an array. */
function sortedPlainly(records: readonly Buffer[], keyBytes: number, equal: EqualKeys): string[] {
  const key = (record: Buffer) => record.subarray(0, keyBytes);
  const sorted = [...records].sort((a, b) => Buffer.compare(key(a), key(b)));
  const kept = sorted.filter((record, n) => {
    const rival = equal === 'first' ? sorted[n - 1] : equal === 'last' ? sorted[n + 1] : undefined;
    return rival === undefined || Buffer.compare(key(rival), key(record)) !== 0;
  });
  return kept.map(hex);
}

function sortedBy(options: Omit<SorterOptions, 'checksum'>, random: Seeded, records: readonly Buffer[]): string[] {
  const sorter = new ExternalSorter({ ...options, checksum });
  for (let at = 0; at < records.length; ) {
    const n = 1 + random.below(300);
    sorter.push(Buffer.concat(records.slice(at, at + n)));
    at += n;
  }
  expect(sorter.count).toBe(records.length);
  const out: string[] = [];
  for (const batch of sorter.sorted()) {
    for (let at = 0; at < batch.length; at += options.recordBytes) out.push(hex(batch.subarray(at, at + options.recordBytes)));
  }
  return out;
}

describe('the external sort', () => {
  const shapes = [
    { recordBytes: 56, keyBytes: 32 },
    { recordBytes: 24, keyBytes: 20 },
    { recordBytes: 16, keyBytes: 9 },
    { recordBytes: 12, keyBytes: 7 },
  ];
  const memories = [
    { name: 'in memory', count: 1500, memoryBytes: 1 << 20, fanInMax: 256 },
    { name: 'in one merge', count: 9000, memoryBytes: 160_000, fanInMax: 256 },
    { name: 'in several passes', count: 24_000, memoryBytes: 160_000, fanInMax: 2 },
  ];

  for (const kind of Object.keys(KEYS)) {
    test(`sorts keys that are ${kind} as an array would, keeping all, the first or the last of equal ones`, () => {
      const directory = temporaryDirectory();
      const random = new Seeded(kind.length);
      for (const shape of shapes) {
        const { count, memoryBytes, fanInMax } = memories[random.below(memories.length)]!;
        const records = makeRecords(random, kind, count, shape.recordBytes, shape.keyBytes);
        for (const equal of ['all', 'first', 'last'] as const) {
          const out = sortedBy({ ...shape, directory, memoryBytes, fanInMax, equal }, random, records);
          expect(out).toEqual(sortedPlainly(records, shape.keyBytes, equal));
        }
      }
    });
  }

  for (const { name, count, memoryBytes, fanInMax } of memories) {
    test(`sorts ${name}, and leaves no file behind`, () => {
      const directory = temporaryDirectory();
      const random = new Seeded(count);
      const records = makeRecords(random, 'of a few sessions', count, 24, 20);
      expect(sortedBy({ recordBytes: 24, keyBytes: 20, directory, memoryBytes, fanInMax, equal: 'last' }, random, records)).toEqual(
        sortedPlainly(records, 20, 'last'),
      );
      expect(readdirSync(directory)).toEqual([]);
    });
  }

  test('sorts nothing into nothing', () => {
    expect(sortedBy({ recordBytes: 8, keyBytes: 8, directory: temporaryDirectory() }, new Seeded(1), [])).toEqual([]);
  });

  for (const { name, count, memoryBytes, fanInMax } of memories) {
    test(`does not pretend to be at its end when it is closed too early (${name})`, () => {
      const sorter = new ExternalSorter({
        recordBytes: 24,
        keyBytes: 20,
        directory: temporaryDirectory(),
        memoryBytes,
        fanInMax,
        checksum,
      });
      sorter.push(Buffer.concat(makeRecords(new Seeded(2), 'random', count, 24, 20)));
      const batches = sorter.sorted();
      expect(batches.next().done).toBe(false);
      sorter.close();
      expect(() => batches.next()).toThrow('before it is closed');
    });
  }

  test('refuses a spilled run in which any bit was flipped', () => {
    const random = new Seeded(3);
    const records = makeRecords(random, 'random', 9000, 24, 20);
    for (let trial = 0; trial < 40; trial++) {
      const directory = temporaryDirectory();
      const sorter = new ExternalSorter({ recordBytes: 24, keyBytes: 20, directory, memoryBytes: 160_000, checksum });
      sorter.push(Buffer.concat(records));
      flipInNamelessFile(directory, random);
      expect(() => [...sorter.sorted()]).toThrow(expect.objectContaining({ code: 'INDEX_CACHE_DAMAGED' }));
    }
  });

  test('needs no more memory than it was given, however many records there are', async () => {
    const script = fileURLToPath(new URL('./sort-child.ts', import.meta.url));
    const directory = temporaryDirectory();
    const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=24', script, directory], {
      encoding: 'utf8',
    });
    const { recordBytes, sorted, growthBytes } = JSON.parse(stdout) as { recordBytes: number; sorted: number; growthBytes: number };
    expect(sorted).toBe(6_000_000);
    // 144 MB were sorted in 8 MiB. The rest is room for the collector and compiled code.
    expect(recordBytes).toBeGreaterThan(140e6);
    expect(growthBytes).toBeLessThan(40e6);
  });
});

/** Finds the file that has no name among this process's open ones. */
function flipInNamelessFile(directory: string, random: Seeded): void {
  const fd = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(join(directory, 'nameless-'));
    } catch {
      return false;
    }
  });
  const file = openSync(`/proc/self/fd/${fd}`, 'r+');
  const byte = Buffer.alloc(1);
  // Two thirds of the records have been spilled.
  const position = random.below(100_000);
  expect(readSync(file, byte, 0, 1, position)).toBe(1);
  byte[0]! ^= 1 << random.below(8);
  writeSync(file, byte, 0, 1, position);
  closeSync(file);
}

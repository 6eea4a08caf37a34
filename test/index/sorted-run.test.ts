import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { loadChecksum } from '../../src/index/checksum.ts';
import { PAGE_BYTES, type RunShape } from '../../src/index/run-layout.ts';
import { RunWriter } from '../../src/index/run-writer.ts';
import { closeRun, filterBytesOf, type OpenRun, openRun, RunReader, withFilters } from '../../src/index/sorted-run.ts';
import { BLOCKS, CHUNKS } from '../../src/index/tables.ts';
import { hex, Seeded } from './material.ts';
import { temporaryDirectory } from './temporary.ts';

const checksum = await loadChecksum();
const SEED = 0x1234_5678_9abc_def0n;

/** Distinct keys; with `alike`, keys of which many share their first words. */
function makeRecords(random: Seeded, shape: RunShape, count: number, alike: boolean): Buffer[] {
  const records = new Map<string, Buffer>();
  while (records.size < count) {
    const key = random.bytes(shape.keyBytes);
    if (alike) key.fill(random.below(3), 0, shape.keyBytes - 3);
    const record = Buffer.concat([key, random.bytes(shape.recordBytes - shape.keyBytes)]);
    records.set(hex(key), record);
  }
  return [...records.values()].sort(Buffer.compare);
}

function writeRun(
  path: string,
  shape: RunShape,
  records: readonly Buffer[],
  random: Seeded,
  seed = SEED,
  recordsMax = records.length,
): void {
  const writer = new RunWriter({ path, shape, seed, recordsMax, checksum });
  for (let at = 0; at < records.length; ) {
    const n = 1 + random.below(200);
    writer.push(Buffer.concat(records.slice(at, at + n)));
    at += n;
  }
  writer.finish();
}

function open(path: string, shape: RunShape, filters: boolean): OpenRun | undefined {
  const run = openRun(path, shape, SEED, checksum);
  if (run === undefined) return undefined;
  onTestFinished(() => closeRun(run));
  return filters ? withFilters(run, checksum) : run;
}

describe('a sorted run', () => {
  const sizes = [0, 1, 72, 73, 74, 146, 5000];
  for (const [name, shape] of Object.entries({ CHUNKS, BLOCKS, digests: { recordBytes: 16, keyBytes: 16, fenceWords: 1 } })) {
    test(`finds every record of ${name} and nothing else, with filters and without, when keys are alike or not`, () => {
      const random = new Seeded(shape.recordBytes);
      const path = join(temporaryDirectory(), 'a.run');
      for (const [n, size] of sizes.entries()) {
        for (const alike of [false, true]) {
          const records = makeRecords(random, shape, size, alike);
          const file = `${path}${n}${alike}`;
          writeRun(file, shape, records, random, SEED, size + random.below(500));
          const known = new Map(records.map((record) => [hex(record.subarray(0, shape.keyBytes)), hex(record)]));
          for (const filters of [false, true]) {
            const run = open(file, shape, filters)!;
            expect(run.records).toBe(size);
            const reader = new RunReader(run, checksum);
            expect(Array.from(reader.scan(), hex).join('') === records.map(hex).join('')).toBe(true);
            const out = new Uint8Array(shape.recordBytes);
            for (const record of records) {
              expect(reader.lookup(record, out)).toBe(true);
              expect(hex(out)).toBe(hex(record));
              // Neighbours of keys that are there are the hardest to tell from them.
              const absent = Uint8Array.from(record);
              absent[random.below(shape.keyBytes)]! ^= 1 << random.below(8);
              expect(reader.lookup(absent, out)).toBe(known.has(hex(absent.subarray(0, shape.keyBytes))));
            }
            for (const byte of [0, 255]) expect(reader.lookup(new Uint8Array(shape.keyBytes).fill(byte), out)).toBe(false);
          }
        }
      }
    });
  }

  test('passes few absent keys through its filters', () => {
    const random = new Seeded(5);
    for (const shape of [CHUNKS, BLOCKS]) {
      const path = join(temporaryDirectory(), 'a.run');
      writeRun(path, shape, makeRecords(random, shape, 20_000, false), random);
      const run = open(path, shape, true)!;
      // Where the filter of a page lets a key pass, the page is read: without its file that fails.
      truncateSync(path, PAGE_BYTES);
      const out = new Uint8Array(shape.recordBytes);
      let passed = 0;
      for (let n = 0; n < 20_000; n++) {
        const reader = new RunReader(run, checksum);
        try {
          expect(reader.lookup(random.bytes(shape.keyBytes), out)).toBe(false);
        } catch {
          passed++;
        }
      }
      expect(passed / 20_000).toBeLessThan(0.05);
      expect(filterBytesOf(run) / run.records).toBeLessThan(1.6);
    }
  });

  test('refuses records out of order, equal ones, and more than were announced', () => {
    const random = new Seeded(6);
    const path = join(temporaryDirectory(), 'a.run');
    const records = makeRecords(random, CHUNKS, 300, false);
    expect(() => writeRun(`${path}1`, CHUNKS, [...records].reverse(), random)).toThrow('ascending');
    expect(() => writeRun(`${path}2`, CHUNKS, [records[0]!, records[0]!], random)).toThrow('ascending');
    expect(() => writeRun(`${path}3`, CHUNKS, records, random, SEED, 70)).toThrow('announced');
  });
});

describe('a damaged run', () => {
  const random = new Seeded(7);
  const records = makeRecords(random, CHUNKS, 400, false);
  const known = new Map(records.map((record) => [hex(record.subarray(0, 32)), hex(record)]));
  const keys = [...records.map((record) => record.subarray(0, 32)), ...Array.from({ length: 50 }, () => random.bytes(32))];

  /** 'refused' or 'right'; a wrong answer fails the test. */
  function outcome(path: string, filters: boolean): 'refused' | 'right' {
    const run = openRun(path, CHUNKS, SEED, checksum);
    if (run === undefined) return 'refused';
    try {
      const used = filters ? withFilters(run, checksum) : run;
      if (used === undefined) return 'refused';
      const reader = new RunReader(used, checksum);
      const out = new Uint8Array(CHUNKS.recordBytes);
      for (const key of keys) {
        const found = reader.lookup(key, out);
        if ((found ? hex(out) : undefined) !== known.get(hex(key))) expect.fail(`a wrong answer for ${hex(key)}`);
      }
      return 'right';
    } catch (cause) {
      if (isFault(cause, 'INDEX_CACHE_DAMAGED')) return 'refused';
      throw cause;
    } finally {
      closeRun(run);
    }
  }

  test('is refused or still right, whichever bit is flipped', () => {
    const directory = temporaryDirectory();
    const whole = join(directory, 'whole.run');
    const path = join(directory, 'torn.run');
    writeRun(whole, CHUNKS, records, random);
    const bytes = readFileSync(whole);
    const header = Array.from({ length: 80 }, (_, n) => n);
    const rest = Array.from({ length: Math.floor(bytes.length / 29) }, (_, n) => n * 29);
    let refused = 0;
    for (const position of [...header, PAGE_BYTES - 1, bytes.length - 1, ...rest]) {
      const torn = Buffer.from(bytes);
      torn[position]! ^= 1 << random.below(8);
      writeFileSync(path, torn);
      if (outcome(path, true) === 'refused') refused++;
    }
    // All but the room between the sections, which nobody reads.
    expect(refused).toBeGreaterThan(rest.length / 2);
    expect(outcome(whole, true)).toBe('right');
  });

  test('is refused when it is cut off anywhere, is longer, or has zeros where its pages were to be', () => {
    const directory = temporaryDirectory();
    const whole = join(directory, 'whole.run');
    const path = join(directory, 'torn.run');
    writeRun(whole, CHUNKS, records, random);
    const bytes = readFileSync(whole);
    for (let length = 0; length < bytes.length; length += 1 + random.below(900)) {
      writeFileSync(path, bytes.subarray(0, length));
      expect(outcome(path, false)).toBe('refused');
    }
    writeFileSync(path, Buffer.concat([bytes, Buffer.from([0])]));
    expect(outcome(path, false)).toBe('refused');
    for (let at = bytes.length - PAGE_BYTES; at >= bytes.length - 3 * PAGE_BYTES; at -= PAGE_BYTES) {
      writeFileSync(path, Buffer.from(bytes).fill(0, at, at + PAGE_BYTES));
      expect(outcome(path, false)).toBe('refused');
    }
  });

  test('is refused when a page lies in the place of another, or comes from another run of the same records', () => {
    const directory = temporaryDirectory();
    const [whole, other, path] = ['whole.run', 'other.run', 'torn.run'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeRun(whole, CHUNKS, records, random);
    writeRun(other, CHUNKS, records, random, SEED + 1n);
    const bytes = readFileSync(whole);
    const last = bytes.length - PAGE_BYTES;
    const moved = Buffer.from(bytes);
    moved.copy(moved, last, last - PAGE_BYTES, last);
    writeFileSync(path, moved);
    expect(outcome(path, false)).toBe('refused');
    const mixed = Buffer.from(bytes);
    readFileSync(other).copy(mixed, last, last);
    writeFileSync(path, mixed);
    expect(outcome(path, false)).toBe('refused');
    copyFileSync(other, path);
    expect(outcome(path, false)).toBe('refused');
  });

  test('is gone once a reader has met the damage, so that the next one builds it anew', () => {
    const path = join(temporaryDirectory(), 'a.run');
    writeRun(path, CHUNKS, records, random);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    expect(outcome(path, false)).toBe('refused');
    expect(() => readFileSync(path)).toThrow('ENOENT');
  });
});

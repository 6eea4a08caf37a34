import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { loadChecksum } from '../../src/index/checksum.ts';
import { IndexReader } from '../../src/index/index-reader.ts';
import { writePrivateRun } from '../../src/index/private-run.ts';
import { newSessionMemory, newSessionPlace, SessionTable, SLOT_BYTES } from '../../src/index/session-table.ts';
import { closeRun } from '../../src/index/sorted-run.ts';
import { CHUNKS, newChunkPlace } from '../../src/index/tables.ts';
import { hex, Seeded } from './material.ts';
import type { HammerAnswer, HammerTask } from './session-worker.ts';
import { temporaryDirectory } from './temporary.ts';

describe('the session table', () => {
  test('says what a Map would say, until it is full', () => {
    const random = new Seeded(1);
    const table = new SessionTable(newSessionMemory(1024));
    const known = new Map<string, string>();
    const out = newSessionPlace();
    const ids: Uint8Array[] = [];
    let refused = 0;
    for (let n = 0; n < 6000; n++) {
      const id = ids.length > 0 && random.below(2) ? ids[random.below(ids.length)]! : random.bytes(32);
      ids.push(id);
      const place = {
        counter: random.below(2 ** 16) * 2 ** 32 + random.u32(),
        offset: random.below(2 ** 23),
        length: random.u32(),
      };
      const before = known.get(hex(id));
      expect(table.find(id, out) ? JSON.stringify(out) : undefined).toBe(before);
      const answer = table.findOrInsert(id, place.counter, place.offset, place.length, out);
      if (answer === 'refused') {
        refused++;
        expect(table.isFull).toBe(true);
        expect(before).toBeUndefined();
      } else if (answer === 'found') expect(JSON.stringify(out)).toBe(before);
      else {
        expect(before).toBeUndefined();
        known.set(hex(id), JSON.stringify(place));
      }
    }
    expect(refused).toBeGreaterThan(1000);
    expect(table.count).toBe(known.size);
    expect(known.size).toBe(Math.floor(1024 * 0.9));
  });

  test('lets exactly one of four threads insert an id, and tells the others what that one wrote', async () => {
    const memory = newSessionMemory(1 << 15);
    const gate = new SharedArrayBuffer(4);
    const rounds = 25_000;
    const tasks: HammerTask[] = [0, 1, 2, 3].map((thread) => ({ memory, gate, thread, threads: 4, rounds, seed: 11 }));
    const answers = await Promise.all(tasks.map((task) => hammer(task)));
    const winners = new Int32Array(rounds);
    for (const { inserted } of answers) for (let n = 0; n < rounds; n++) winners[n]! += inserted[n]!;
    expect(winners.every((count) => count === 1)).toBe(true);
    for (const { counters } of answers) expect(counters).toEqual(answers[0]!.counters);
    expect(answers.reduce((sum, { torn }) => sum + torn, 0)).toBe(0);
    expect(new SessionTable(memory).count).toBe(rounds);
    // A test in which one thread was always first would show nothing.
    expect(answers.filter(({ inserted }) => inserted.some((one) => one === 1)).length).toBeGreaterThan(1);
  });

  test('does not wait for long, and answers nothing wrong, when the writer of a slot has died half-way', () => {
    const memory = newSessionMemory(16);
    const id = new Uint8Array(32).fill(3);
    const slots = new Int32Array(memory);
    for (let at = slots.length - (16 * SLOT_BYTES) / 4; at < slots.length; at += SLOT_BYTES / 4) slots[at] = 1;
    const table = new SessionTable(memory);
    const out = newSessionPlace();
    expect(table.findOrInsert(id, 1, 2, 3, out)).toBe('refused');
    expect(table.find(id, out)).toBe(false);
    expect(out).toEqual(newSessionPlace());
  });

  test('drains into a run that answers the same places, and takes nothing more', async () => {
    const random = new Seeded(9);
    const table = new SessionTable(newSessionMemory(4096));
    const session = random.bytes(10);
    const out = newSessionPlace();
    const known = new Map<string, { id: Uint8Array; counter: number; offset: number; length: number }>();
    for (let n = 0; n < 3000; n++) {
      const entry = {
        id: random.bytes(32),
        counter: n % 7 === 0 ? 2 ** 40 + n : n,
        offset: random.below(2 ** 20),
        length: random.below(2 ** 20),
      };
      expect(table.findOrInsert(entry.id, entry.counter, entry.offset, entry.length, out)).toBe('inserted');
      known.set(hex(entry.id), entry);
    }
    const checksum = await loadChecksum();
    const run = writePrivateRun(CHUNKS, table.drain(session), { directory: temporaryDirectory(), checksum });
    expect(table.findOrInsert(random.bytes(32), 1, 2, 3, out)).toBe('refused');
    const reader = new IndexReader({ chunks: [run], blocks: [] }, checksum);
    const place = newChunkPlace();
    for (const { id, counter, offset, length } of known.values()) {
      expect(table.find(id, out)).toBe(true);
      expect(reader.chunk(id, place)).toBe(true);
      const block = Buffer.concat([session, Buffer.from(counter.toString(16).padStart(12, '0'), 'hex')]);
      expect([hex(place.block), place.offset, place.length]).toEqual([hex(block), offset, length]);
    }
    expect(run.records).toBe(known.size);
    expect(reader.chunk(random.bytes(32), place)).toBe(false);
    closeRun(run);
  });
});

function hammer(task: HammerTask): Promise<HammerAnswer> {
  const worker = new Worker(new URL('./session-worker.ts', import.meta.url), { workerData: task });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

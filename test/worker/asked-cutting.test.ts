// A volume and a paged file where the index is somewhere else: one question for a whole window, and the same is stored as where it is here.

import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { IdHasher } from '../../src/codec/chunk-id.ts';
import { Chunker } from '../../src/codec/chunker.ts';
import { AskedChunks, newQuestionMemory, Question } from '../../src/worker/asked-chunks.ts';
import { Dedup, type SessionChunks } from '../../src/worker/dedup.ts';
import { type FinishedPack, PackWriter, packBufferBytes } from '../../src/worker/pack-writer.ts';
import { PagedCutter } from '../../src/worker/paged-cutter.ts';
import { seededBytes } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;
const UNIT_BYTES = 16 * 1024;
const LENGTH = 48 * MIB;
const WINDOW_BYTES = 16 * MIB;
const CHUNKING = { minBytes: 64 * 1024, averageBytes: 256 * 1024, maxBytes: MIB, multiplier: 0x9e3779b6 };

/** Long runs, single units, zeros; the last third is the first once more, at another offset. */
function volume(): Buffer {
  const bytes = Buffer.alloc(LENGTH);
  bytes.set(seededBytes(15 * MIB, 1), MIB);
  for (let unit = 0; unit < 40; unit++) bytes.set(seededBytes(UNIT_BYTES, 100 + unit), 18 * MIB + unit * 5 * UNIT_BYTES);
  bytes.set(bytes.subarray(MIB, 13 * MIB), 33 * MIB + 4096);
  return bytes;
}

/** The service's part: knows nothing, and counts how often it was asked. */
function asking() {
  const memory = newQuestionMemory();
  const questions = memory.map((one) => new Question(one));
  let count = 0;
  const tell = (question: number, ids: number): void => {
    count++;
    questions[question]!.answer({ found: new Uint8Array(ids), places: new Uint8Array(ids * 24) });
  };
  const giveUp = (): never => {
    throw new Error('given up');
  };
  const chunks = new AskedChunks(memory, { tell, giveUp });
  const known = { chunk: chunks.chunk.bind(chunks), begin: chunks.begin.bind(chunks), finish: chunks.finish.bind(chunks) };
  return { known, count: () => count };
}

/** Names of what the session made. */
function madeChunks(): SessionChunks {
  const made = new Map<string, { counter: number; offset: number; length: number }>();
  return {
    findOrInsert: (id, counter, offset, length, hit) => {
      const name = Buffer.from(id).toString('hex');
      const before = made.get(name);
      if (before === undefined) made.set(name, { counter, offset, length });
      else Object.assign(hit, before);
      return before === undefined ? 'inserted' : 'found';
    },
  };
}

function cutAll(cut: 'volume' | 'paged', known: ConstructorParameters<typeof Dedup>[2]) {
  const session = new Uint8Array(10);
  const spec = {
    kind: 'data',
    session,
    assetId: new Uint8Array(16),
    key: new Uint8Array(32),
    directoryKey: new Uint8Array(32),
  } as const;
  const sizes = { blockBytes: MIB, packBytes: 8 * MIB };
  const packed: FinishedPack[] = [];
  const packs = new PackWriter(
    { ...spec, ...sizes, repositoryId: new Uint8Array(16), writerNumber: 0, level: 1 },
    {
      claim: () => ({ position: 0, bytes: new Uint8Array(packBufferBytes(sizes.packBytes, sizes.blockBytes)) }),
      emit: (pack) => packed.push(pack),
      random: randomBytes,
    },
  );
  const chunker = new Chunker(CHUNKING, known === undefined ? 4 * MIB : WINDOW_BYTES);
  const ids = new IdHasher(new Uint8Array(32));
  const paged = { unitBytes: UNIT_BYTES, groupUnits: 16, fileBytesMin: 128 * 1024, pageBytes: 4096 };
  const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
  const cutter = new PagedCutter(paged, chunker, session, ids, new Dedup(session, madeChunks(), known), packs, isZero);
  const bytes = volume();
  const read = (target: Uint8Array, length: number, position: number): number => {
    target.set(bytes.subarray(position, position + length));
    return length;
  };
  const task = { file: 0, root: '/', path: 'image', cut, offset: 0, length: LENGTH, expected: undefined, parentLeaves: [] };
  const { leaves, bytesRead } = cutter.cut(read, task);
  packs.flush();
  packs.close();
  const { newBytes, zeroBytes } = cutter;
  return { leaves, bytesRead, newBytes, zeroBytes, stored: packed.reduce((sum, { contentBytes }) => sum + contentBytes, 0) };
}

it.each([
  ['volume', 4],
  ['paged', 3],
] as const)('a %s asks %i times for 48 MiB, and stores what it would store without', (cut, questionsMax) => {
  const { known, count } = asking();
  const asked = cutAll(cut, known);
  const local = cutAll(cut, undefined);
  expect(count()).toBeLessThanOrEqual(questionsMax);
  expect(count()).toBeGreaterThan(0);
  expect(asked.leaves.map(({ kind }) => kind)).toEqual(local.leaves.map(({ kind }) => kind));
  expect({ bytesRead: asked.bytesRead, zeroBytes: asked.zeroBytes }).toEqual({ bytesRead: LENGTH, zeroBytes: local.zeroBytes });
  expect(asked.stored).toBe(asked.newBytes);
  // A run is cut where its window ends; what lies across that is stored with its neighbours.
  expect(Math.abs(asked.newBytes - local.newBytes)).toBeLessThan(MIB);
});

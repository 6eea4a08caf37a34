import { expect, test } from 'vitest';
import { type NeededBlock, rangesOf } from '../../src/engine/restore-plan.ts';

const MIB = 1024 * 1024;

/** Neighbours in one pack. */
function blocksOf(count: number, storedLength: number, rawLength: number): NeededBlock[] {
  return Array.from({ length: count }, (_, n) => ({
    id: new Uint8Array(16).fill(n),
    place: {
      session: new Uint8Array(16),
      pack: new Uint8Array(32).fill(7),
      assetId: new Uint8Array(16),
      kind: 'data' as const,
      codec: 1,
      offset: n * storedLength,
      storedLength,
      rawLength,
      sealingCounter: new Uint8Array(8),
    },
    writes: [],
  }));
}

test('neighbours that hardly compress are one range of 4 MiB', () => {
  const ranges = rangesOf(blocksOf(16, MIB / 2, MIB));
  expect(ranges.map(({ blocks }) => blocks.length)).toEqual([8, 8]);
});

test('what opens to very much is divided, so that threads can share it; every block is in one range, in the order of the pack', () => {
  const needed = blocksOf(100, 10_000, MIB);
  const ranges = rangesOf(needed.toReversed());
  expect(ranges.map(({ blocks }) => blocks.length)).toEqual([24, 24, 24, 24, 4]);
  expect(ranges.flatMap(({ blocks }) => blocks)).toEqual(needed);
});

test('a block that is larger than a range may be is a range', () => {
  expect(rangesOf(blocksOf(2, 5 * MIB, 30 * MIB)).map(({ blocks }) => blocks.length)).toEqual([1, 1]);
});

import { expect, test } from 'vitest';
import { PackStats } from '../../src/repository/pack-stats.ts';
import { planPacks } from '../../src/repository/prune-plan.ts';

const MIB = 1024 * 1024;
const OPTIONS = { unusedShareMax: 0.1, fullBytes: { data: 16 * MIB, metadata: 4 * MIB }, isLean: false };

type Sketch = { readonly share: number; readonly mib?: number; readonly kind?: 'data' | 'metadata'; readonly isKept?: boolean };

/** Packs of blocks of 1 MiB of which a share is needed whole, the others not at all. */
function statsOf(packs: readonly Sketch[]): PackStats {
  const stats = new PackStats();
  for (const { share, mib = 16, kind = 'data', isKept = false } of packs) {
    const n = stats.add({ kind, packLength: mib * MIB + 1000, blocksBytes: mib * MIB, index: 0, isKept });
    if (share > 0) stats.addBlock(n, share * mib * MIB, share * mib * MIB, share * mib * MIB);
  }
  return stats;
}

/** 'drop', 'move' or 'keep' for each. */
function decisions(packs: readonly Sketch[], options = OPTIONS): string[] {
  const stats = statsOf(packs);
  planPacks(stats, options);
  return packs.map((_, n) => (!stats.isCondemned(n) ? 'keep' : stats.isMoved(n) ? 'move' : 'drop'));
}

test('a pack of which nothing is needed goes, unless its session runs', () => {
  expect(decisions([{ share: 0 }, { share: 0, isKept: true }, { share: 1 }])).toEqual(['drop', 'keep', 'keep']);
});

test('the worst packs are moved first, until what is unused is within the limit', () => {
  const packs = [{ share: 0.5 }, { share: 0.9 }, { share: 0.2 }, ...Array.from({ length: 7 }, () => ({ share: 1 }))];
  expect(decisions(packs).slice(0, 3)).toEqual(['keep', 'keep', 'move']);
  expect(decisions(packs, { ...OPTIONS, unusedShareMax: 0.02 }).slice(0, 3)).toEqual(['move', 'keep', 'move']);
  expect(decisions(packs, { ...OPTIONS, unusedShareMax: 0 }).slice(0, 3)).toEqual(['move', 'move', 'move']);
  expect(decisions(packs, { ...OPTIONS, unusedShareMax: 1 }).slice(0, 3)).toEqual(['keep', 'keep', 'keep']);
});

test('no pack is moved for a trifle', () => {
  expect(decisions([{ share: 0.99 }, { share: 0.97 }], { ...OPTIONS, unusedShareMax: 0 })).toEqual(['keep', 'move']);
  const thorough = { ...OPTIONS, unusedShareMax: 0, isThorough: true };
  expect(decisions([{ share: 0.99 }, { share: 1 }], thorough), 'unless it may be a secret').toEqual(['move', 'keep']);
});

test('small packs are merged when they are many, each kind by itself', () => {
  const small = (count: number, kind: 'data' | 'metadata') =>
    Array.from({ length: count }, () => ({ share: 1, mib: kind === 'data' ? 3 : 0.5, kind }));
  expect(new Set(decisions(small(15, 'data')))).toEqual(new Set(['keep']));
  expect(new Set(decisions(small(16, 'data')))).toEqual(new Set(['move']));
  expect(new Set(decisions([...small(15, 'data'), ...small(15, 'metadata')]))).toEqual(new Set(['keep']));
  expect(decisions([{ share: 1 }, ...small(16, 'metadata')])).toEqual(['keep', ...Array.from({ length: 16 }, () => 'move')]);
});

test('a pack that two index objects name counts once', () => {
  const stats = statsOf([{ share: 1 }, { share: 0 }]);
  stats.markDuplicate(1);
  expect(planPacks(stats, OPTIONS)).toMatchObject({ packs: 1, packsKept: 1, packsDropped: 0 });
  expect(stats.isCondemned(1)).toBe(false);
});

test('the totals add up', () => {
  const totals = planPacks(statsOf([{ share: 0 }, { share: 0.25 }, { share: 1 }]), { ...OPTIONS, unusedShareMax: 0 });
  expect(totals).toMatchObject({
    packs: 3,
    packsKept: 1,
    packsDropped: 1,
    packsMoved: 1,
    bytesMovedAfter: 4 * MIB,
    liveBytes: 20 * MIB,
    bytes: 3 * (16 * MIB + 1000),
  });
});

import { describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { EMPTY_HEAD, type Head, type Writer } from '../../src/format/head.ts';
import {
  adopt,
  condemn,
  deletableRegisters,
  dropCondemned,
  forget,
  join,
  leave,
  pin,
  publish,
  readableIndexes,
  register,
  rootsOf,
  settle,
} from '../../src/repository/head-changes.ts';

const name = (n: number): string => n.toString(16).padStart(20, '0');
const index = (n: number) => ({ id: n.toString(16).padStart(64, '0'), bytes: 1, packs: 1 });
const ASSET = '0'.repeat(32);
const AT = '2030-01-01T00:00:00Z';
const PROCESS = { host: 'machine', processId: 1, bootId: 'b' };

function writer(n: number, kind: Writer['kind'] = 'backup'): Writer {
  return {
    session: name(n),
    kind,
    generation: 0,
    step: 0,
    assetId: kind === 'backup' ? ASSET : null,
    startedAt: AT,
    seenAt: AT,
    ...PROCESS,
  };
}

const head = (details: Partial<Head>): Head => ({ ...EMPTY_HEAD, ...details });
const list = { id: 'a'.repeat(64), packs: 1 };

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (fault) {
    return isFault(fault) ? fault.code : String(fault);
  }
  return undefined;
}

describe('Joining', () => {
  it('is refused when there are too many writers, or no room for another snapshot or its index', () => {
    const writers = Array.from({ length: 10_000 }, (_, n) => writer(n));
    const snapshots = Array.from({ length: 199_999 }, (_, n) => ({ session: name(1e6 + n), assetId: ASSET }));
    const indexes = Array.from({ length: 50_000 }, (_, n) => index(n));
    const joining = (details: Partial<Head>) => codeOf(() => join(head(details), writer(999_999)));
    expect(joining({ writers })).toBe('REPOSITORY_BUSY');
    expect(joining({ writers: writers.slice(1) })).toBeUndefined();
    expect(joining({ snapshots })).toBeUndefined();
    expect(joining({ snapshots, writers: [writer(1)] })).toBe('REPOSITORY_FULL');
    expect(joining({ indexes })).toBe('REPOSITORY_FULL');
  });
});

describe('Publishing', () => {
  it('adds what is not there yet, as far as there is room', () => {
    const indexes = Array.from({ length: 99_999 }, (_, n) => index(n));
    expect(publish(head({ indexes }), [index(5), index(200_000)]).indexes).toHaveLength(100_000);
    expect(codeOf(() => publish(head({ indexes }), [index(200_000), index(200_001)]))).toBe('REPOSITORY_FULL');
  });
});

describe('Condemning', () => {
  const plan = { generation: 3, roots: new Set([name(1)]), drop: [index(1).id], add: [index(2)], list };
  const base = head({ generation: 3, snapshots: [{ session: name(1), assetId: ASSET }], indexes: [index(1), index(5)] });

  it('exchanges index objects and names the backups that run', () => {
    const next = condemn({ ...base, writers: [writer(7), writer(8, 'maintenance')] }, plan) as Head;
    expect(next).toMatchObject({ generation: 4, indexes: [index(5), index(2)] });
    expect(next.condemned).toEqual([{ generation: 4, ...list, indexes: [index(1)], awaits: [name(7)] }]);
  });

  it('is void after any other change of generation, and when a snapshot or a pin was not marked', () => {
    expect(condemn({ ...base, generation: 4 }, plan)).toBe('stale');
    expect(condemn({ ...base, snapshots: [...base.snapshots, { session: name(2), assetId: ASSET }] }, plan)).toBe('stale');
    expect(condemn({ ...base, pins: [{ holder: name(9), session: name(3), at: AT, ...PROCESS }] }, plan)).toBe('stale');
    expect(condemn({ ...base, snapshots: [] }, plan)).not.toBe('stale');
  });

  it('keeps what others have published since', () => {
    const next = condemn(publish(base, [index(6)]), plan) as Head;
    expect(next.indexes).toEqual([index(5), index(6), index(2)]);
  });

  it('is refused when too many condemnations wait', () => {
    const condemned = Array.from({ length: 1000 }, (_, n) => ({ generation: n, ...list, indexes: [], awaits: [] }));
    expect(codeOf(() => condemn({ ...base, condemned }, plan))).toBe('REPOSITORY_BUSY');
  });
});

describe('Settling', () => {
  const entry = { generation: 4, ...list, packs: 2, indexes: [index(1)], awaits: [name(7)] };
  const base = head({ generation: 4, condemned: [entry] });

  it('waits for every backup that it names', () => {
    const settlement = { generation: 4, condemned: 4, add: [], list: { ...list, packs: 2 } };
    expect(settle({ ...base, writers: [writer(7)] }, settlement)).toBe('stale');
    expect(settle({ ...base, writers: [writer(6)] }, settlement)).toMatchObject({
      generation: 4,
      condemned: [{ ...entry, awaits: [] }],
    });
    expect(settle({ ...base, generation: 5 }, settlement)).toBe('stale');
  });

  it('gives packs back in the same change that takes them off the list', () => {
    const next = settle(base, { generation: 4, condemned: 4, add: [index(3)], list: null }) as Head;
    expect(next).toMatchObject({
      generation: 5,
      indexes: [index(3)],
      condemned: [{ generation: 4, id: null, packs: 0, awaits: [] }],
    });
    expect(settle(next, { generation: 5, condemned: 4, add: [], list: null })).toBe('stale');
  });

  it('comes before dropping', () => {
    expect(dropCondemned(base, 4)).toEqual(base);
    expect(dropCondemned({ ...base, condemned: [{ ...entry, awaits: [] }] }, 4).condemned).toEqual([]);
  });

  it('lets readers find what is condemned, until it is done', () => {
    expect(readableIndexes({ ...base, indexes: [index(2)] })).toEqual([index(2), index(1)]);
    expect(readableIndexes({ ...base, indexes: [index(2)], condemned: [{ ...entry, awaits: [] }] })).toEqual([index(2)]);
  });
});

describe('Adopting', () => {
  it('is void after a change of generation, and while the session that wrote a pack runs', () => {
    const exchange = { generation: 0, drop: [], add: [index(1)] };
    expect(adopt(head({ generation: 1 }), exchange, [])).toBe('stale');
    expect(adopt(head({ writers: [writer(1)] }), exchange, [name(1)])).toBe('stale');
    expect(adopt(head({ writers: [writer(2)] }), exchange, [name(1)])).toMatchObject({ generation: 1, indexes: [index(1)] });
  });
});

describe('Ending', () => {
  it('makes a snapshot of a backup, once', () => {
    const next = register(head({ writers: [writer(1), writer(2)] }), name(1), ASSET, [index(1)]);
    expect(next).toMatchObject({
      writers: [{ session: name(2) }],
      snapshots: [{ session: name(1) }],
      indexes: [index(1)],
      retired: [],
    });
    expect(() => register(next, name(1), ASSET, [])).toThrow('Invariant broken');
  });

  it('retires the register of a backup; maintenance has none', () => {
    expect(leave(head({ writers: [writer(1)] }), name(1))).toMatchObject({ writers: [], retired: [name(1)] });
    expect(leave(head({ writers: [writer(1, 'maintenance')] }), name(1))).toMatchObject({ writers: [], retired: [] });
    expect(leave(head({}), name(1))).toEqual(head({}));
  });

  it('deletes no register that somebody reads', () => {
    const base = head({ snapshots: [1, 2].map((n) => ({ session: name(n), assetId: ASSET })) });
    const pinned = pin(base, { holder: name(9), session: name(1), at: AT, ...PROCESS })!;
    const forgotten = forget(pinned, new Set([name(1), name(2)]));
    expect(forgotten).toMatchObject({ snapshots: [], retired: [name(1), name(2)] });
    expect(deletableRegisters(forgotten)).toEqual([name(2)]);
    expect(rootsOf(forgotten)).toEqual(new Set([name(1)]));
    expect(pin(forgotten, { holder: name(8), session: name(2), at: AT, ...PROCESS })).toBeUndefined();
  });
});

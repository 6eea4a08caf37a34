import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { type ForgetOptions, planForget, type RetentionPolicy, type RetentionSnapshot } from '../../src/policy/retention.ts';
import { seededRandom } from '../support/seeded-random.ts';

const at = (startedAt: string, details: Partial<RetentionSnapshot> = {}): RetentionSnapshot => ({
  id: startedAt,
  asset: 'a',
  startedAt: startedAt.length === 10 ? `${startedAt}T12:00:00Z` : startedAt,
  tags: [],
  ...details,
});

/** Ids of what is kept, newest first; all groups. */
function kept(
  snapshots: readonly RetentionSnapshot[],
  policy: RetentionPolicy,
  options: ForgetOptions<RetentionSnapshot> = {},
): string[] {
  return planForget(snapshots, policy, options).groups.flatMap((group) => group.kept.map(({ snapshot }) => snapshot.id));
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
  return 'nothing was thrown';
}

const days = (month: string, from: number, to: number): RetentionSnapshot[] =>
  Array.from({ length: to - from + 1 }, (_, n) => at(`${month}-${String(from + n).padStart(2, '0')}`));

describe('rules', () => {
  test('last keeps the newest, whatever order they are given in', () => {
    expect(kept([at('2026-01-02'), at('2026-01-04'), at('2026-01-01'), at('2026-01-03')], { keepLast: 2 })).toEqual([
      '2026-01-04',
      '2026-01-03',
    ]);
  });

  test('of a day the newest stays', () => {
    const snapshots = [at('2026-01-01T00:00:00Z'), at('2026-01-01T23:59:59.999Z'), at('2026-01-02T00:00:00Z')];
    expect(kept(snapshots, { keepDaily: 2 })).toEqual(['2026-01-02T00:00:00Z', '2026-01-01T23:59:59.999Z']);
  });

  test('days without a snapshot do not count', () => {
    expect(kept([at('2025-01-01'), at('2025-06-01'), at('2026-01-01')], { keepDaily: 3 })).toHaveLength(3);
  });

  test('hours are counted like days', () => {
    const snapshots = ['10:00', '10:59', '11:00', '13:30', '13:31'].map((time) => at(`2026-01-01T${time}:00Z`));
    expect(kept(snapshots, { keepHourly: 2 })).toEqual(['2026-01-01T13:31:00Z', '2026-01-01T11:00:00Z']);
  });

  test('a week begins on Monday and belongs to the year of its Thursday', () => {
    // 2020-12-31 is a Thursday: 2020-12-28 to 2021-01-03 is week 53 of 2020.
    const snapshots = [at('2020-12-27'), at('2020-12-28'), at('2021-01-03'), at('2021-01-04')];
    const { groups } = planForget(snapshots, { keepWeekly: 3 });
    expect(groups[0]!.kept.map(({ snapshot, reasons }) => [snapshot.id, reasons])).toEqual([
      ['2021-01-04', ['the newest of the week 2021-W01']],
      ['2021-01-03', ['the newest of the week 2020-W53']],
      ['2020-12-27', ['the newest of the week 2020-W52']],
    ]);
    // A week that begins in December and belongs to the next year.
    expect(planForget([at('2024-12-30')], { keepWeekly: 1 }).groups[0]!.kept[0]!.reasons).toEqual([
      'the newest of the week 2025-W01',
    ]);
  });

  test('months end with their last day, in leap years too', () => {
    const snapshots = [...days('2024-02', 25, 29), ...days('2024-03', 1, 31), ...days('2024-04', 1, 30), at('2024-05-01')];
    expect(kept(snapshots, { keepMonthly: 10 })).toEqual(['2024-05-01', '2024-04-30', '2024-03-31', '2024-02-29']);
  });

  test('of a year the newest stays', () => {
    expect(kept([at('2024-01-01'), at('2024-12-31'), at('2025-01-01'), at('2026-05-05')], { keepYearly: 2 })).toEqual([
      '2026-05-05',
      '2025-01-01',
    ]);
  });

  test('within counts from the newest snapshot of the group, and its border is inside', () => {
    const snapshots = [at('2026-01-01'), at('2026-01-03'), at('2026-01-10')];
    expect(kept(snapshots, { keepWithinMs: 7 * 86_400_000 })).toEqual(['2026-01-10', '2026-01-03']);
    expect(kept(snapshots, { keepWithinMs: 7 * 86_400_000 - 1 })).toEqual(['2026-01-10']);
  });

  test('tags keep what has all of one list', () => {
    const snapshots = [
      at('2026-01-01', { tags: ['a'] }),
      at('2026-01-02', { tags: ['b', 'a'] }),
      at('2026-01-03', { tags: ['c'] }),
      at('2026-01-04'),
    ];
    expect(kept(snapshots, { keepTags: [['a', 'b'], ['c']] })).toEqual(['2026-01-03', '2026-01-02']);
    expect(kept(snapshots, { keepTags: [['a']] })).toEqual(['2026-01-02', '2026-01-01']);
  });

  test('a snapshot has all the reasons of the rules that keep it; the others say that none does', () => {
    const { groups } = planForget([at('2026-01-01'), at('2026-01-02'), at('2026-01-03', { tags: ['x'] })], {
      keepLast: 1,
      keepDaily: 2,
      keepYearly: 1,
      keepTags: [['x']],
    });
    expect(groups).toEqual([
      {
        group: 'a',
        kept: [
          {
            snapshot: expect.objectContaining({ id: '2026-01-03' }),
            reasons: ['the newest', 'the newest of the day 2026-01-03', 'the newest of the year 2026', 'tagged x'],
          },
          { snapshot: expect.objectContaining({ id: '2026-01-02' }), reasons: ['the newest of the day 2026-01-02'] },
        ],
        dropped: [{ snapshot: expect.objectContaining({ id: '2026-01-01' }), reason: 'no rule keeps it' }],
      },
    ]);
  });

  test('snapshots that began together are told apart by their ids, always the same way', () => {
    const same = ['p', 'q', 'r'].map((id) => at('2026-01-01', { id }));
    expect(kept(same, { keepLast: 1 })).toEqual(['r']);
    expect(kept([...same].reverse(), { keepDaily: 1 })).toEqual(['r']);
  });
});

describe('groups', () => {
  test('are the assets, each judged by itself, in the order of their names', () => {
    const snapshots = [at('2026-01-01', { asset: 'b' }), at('2026-01-02', { asset: 'a' }), at('2026-01-03', { asset: 'b' })];
    expect(
      planForget(snapshots, { keepLast: 1 }).groups.map(({ group, kept: k, dropped }) => [group, k.length, dropped.length]),
    ).toEqual([
      ['a', 1, 0],
      ['b', 1, 1],
    ]);
  });

  test('may be anything else', () => {
    const snapshots = [at('2026-01-01', { asset: 'b' }), at('2026-01-02', { asset: 'a' })];
    expect(kept(snapshots, { keepLast: 1 }, { groupOf: () => 'all' })).toEqual(['2026-01-02']);
  });

  test('no snapshots are no groups', () => {
    expect(planForget([], { keepLast: 1 })).toEqual({ groups: [] });
  });
});

describe('time zones', () => {
  test('decide where a day begins', () => {
    const snapshots = [at('2026-01-01T22:30:00Z'), at('2026-01-01T23:30:00Z')];
    expect(kept(snapshots, { keepDaily: 9 })).toHaveLength(1);
    expect(kept(snapshots, { keepDaily: 9 }, { timeZone: 'Europe/Berlin' })).toHaveLength(2);
    expect(kept(snapshots, { keepDaily: 9 }, { timeZone: 'Asia/Kathmandu' })).toHaveLength(1);
  });

  test('decide where months and years begin', () => {
    const snapshots = [at('2025-12-31T10:30:00Z'), at('2025-12-31T09:30:00Z')];
    expect(kept(snapshots, { keepYearly: 9 }, { timeZone: 'Pacific/Kiritimati' })).toHaveLength(2);
    expect(kept(snapshots, { keepMonthly: 9 }, { timeZone: 'Pacific/Kiritimati' })).toHaveLength(2);
    expect(kept(snapshots, { keepYearly: 9 })).toHaveLength(1);
  });

  test('when clocks are put back, the hour that comes twice is two hours, and the day is one', () => {
    // Berlin, 2026-10-25: 02:00 to 03:00 local time lasts from 00:00Z to 02:00Z.
    const snapshots = ['2026-10-24T22:30:00Z', '2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z', '2026-10-25T22:30:00Z'].map(
      (moment) => at(moment),
    );
    expect(kept(snapshots, { keepHourly: 9 }, { timeZone: 'Europe/Berlin' })).toHaveLength(4);
    expect(kept(snapshots, { keepDaily: 9 }, { timeZone: 'Europe/Berlin' })).toEqual(['2026-10-25T22:30:00Z']);
  });

  test('when clocks are put forward, no hour is missed and the short day is one day', () => {
    // Berlin, 2026-03-29: 01:59 is followed by 03:00; the day lasts from 23:00Z to 22:00Z.
    const snapshots = [
      '2026-03-28T22:59:00Z',
      '2026-03-28T23:00:00Z',
      '2026-03-29T00:59:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-29T21:59:00Z',
      '2026-03-29T22:00:00Z',
    ].map((moment) => at(moment));
    expect(kept(snapshots, { keepDaily: 9 }, { timeZone: 'Europe/Berlin' })).toEqual([
      '2026-03-29T22:00:00Z',
      '2026-03-29T21:59:00Z',
      '2026-03-28T22:59:00Z',
    ]);
    expect(kept(snapshots, { keepHourly: 9 }, { timeZone: 'Europe/Berlin' })).toHaveLength(6);
  });

  test('offsets of half an hour divide hours where the clock does', () => {
    const snapshots = [at('2026-01-01T00:20:00Z'), at('2026-01-01T00:40:00Z')];
    expect(kept(snapshots, { keepHourly: 9 })).toHaveLength(1);
    expect(kept(snapshots, { keepHourly: 9 }, { timeZone: 'Asia/Kolkata' })).toHaveLength(2);
  });

  test('moments may be written with an offset', () => {
    expect(kept([at('2026-01-01T23:30:00-02:00'), at('2026-01-02T01:00:00Z')], { keepLast: 1 })).toEqual([
      '2026-01-01T23:30:00-02:00',
    ]);
  });
});

describe('times in the future', () => {
  const now = new Date('2026-01-10T00:00:00Z');
  const ahead = [at('2030-05-01'), at('2030-05-02')];

  test('stay, and push out nothing', () => {
    const snapshots = [...days('2026-01', 1, 9), ...ahead];
    const policies: RetentionPolicy[] = [{ keepLast: 1 }, { keepDaily: 1 }, { keepWithinMs: 1 }, { keepWindowMs: 3_600_000 }];
    for (const policy of policies) expect(kept(snapshots, policy, { now })).toEqual(['2030-05-02', '2030-05-01', '2026-01-09']);
    // In their time they are as good as any.
    expect(kept(snapshots, { keepLast: 1 }, { now: new Date('2030-05-03') })).toEqual(['2030-05-02']);
  });

  test('are no reason to drop all others', () => {
    expect(codeOf(() => planForget([at('2026-01-01'), ...ahead], { keepTags: [['x']] }, { now }))).toBe('RETENTION_DROPS_ALL');
    expect(kept(ahead, { keepTags: [['x']] }, { now })).toEqual(['2030-05-02', '2030-05-01']);
  });
});

describe('refusals', () => {
  test('a policy without a rule is refused', () => {
    for (const policy of [{}, { keepLast: 0 }, { keepTags: [] }, { keepWithinMs: 0, keepDaily: 0 }]) {
      expect(codeOf(() => planForget([at('2026-01-01')], policy))).toBe('RETENTION_EMPTY');
    }
  });

  test('a policy that keeps nothing of an asset is refused unless that is meant', () => {
    const snapshots = [at('2026-01-01', { tags: ['x'] }), at('2026-01-02', { asset: 'other' })];
    expect(codeOf(() => planForget(snapshots, { keepTags: [['x']] }))).toBe('RETENTION_DROPS_ALL');
    expect(kept(snapshots, { keepTags: [['x']] }, { allowEmptyGroups: true })).toEqual(['2026-01-01']);
  });

  test('numbers and time zones that are none are refused', () => {
    for (const keepLast of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(codeOf(() => planForget([], { keepLast }))).toBe('USAGE');
    expect(codeOf(() => planForget([], { keepWithinMs: -1 }))).toBe('USAGE');
    expect(codeOf(() => planForget([], { keepTags: [[]] }))).toBe('USAGE');
    expect(codeOf(() => planForget([], { keepLast: 1 }, { timeZone: 'Europe/Atlantis' }))).toBe('USAGE');
  });

  test('a snapshot without a moment stops the plan rather than being dropped', () => {
    expect(codeOf(() => planForget([at('2026-01-01', { startedAt: 'yesterday' })], { keepLast: 1 }))).toBe('FORMAT_DAMAGED');
  });
});

test('whatever the policy, every snapshot is kept or dropped once, and what a smaller policy keeps a larger one keeps too', () => {
  const random = seededRandom(42);
  const pick = (n: number): number => Math.floor(random() * n);
  for (let round = 0; round < 200; round++) {
    const snapshots = Array.from({ length: 1 + pick(60) }, (_, n) =>
      at(new Date(Date.UTC(2024, pick(24), pick(28), pick(24), pick(60))).toISOString(), {
        id: `s${n}`,
        asset: `a${pick(3)}`,
        tags: random() < 0.2 ? ['t'] : [],
      }),
    );
    const counts = ['keepLast', 'keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepYearly'] as const;
    const small = { ...Object.fromEntries(counts.map((name) => [name, pick(4)])), keepLast: 1 + pick(3) };
    const large = { ...Object.fromEntries(Object.entries(small).map(([name, n]) => [name, n + pick(3)])), keepTags: [['t']] };
    const timeZone = ['UTC', 'Europe/Berlin', 'America/New_York', 'Pacific/Auckland'][pick(4)]!;
    const plan = planForget(snapshots, small, { timeZone });
    const ids = plan.groups.flatMap((group) => [...group.kept, ...group.dropped].map(({ snapshot }) => snapshot.id));
    expect(ids.sort()).toEqual(snapshots.map(({ id }) => id).sort());
    for (const group of plan.groups) expect(group.kept.length).toBeGreaterThan(0);
    const larger = new Set(kept(snapshots, large, { timeZone }));
    for (const id of kept(snapshots, small, { timeZone })) expect(larger).toContain(id);
    // Forgetting twice is forgetting once.
    const survivors = plan.groups.flatMap((group) => group.kept.map(({ snapshot }) => snapshot));
    expect(kept(survivors, small, { timeZone }).sort()).toEqual(survivors.map(({ id }) => id).sort());
  }
});

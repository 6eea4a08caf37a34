// Plans against an oracle that simulates recovery record by record, on histories that are made at random: timelines that branch, log that is
// lost, clocks that step back.

import { describe, expect, it } from 'vitest';
import {
  type Lineage,
  type LogStretch,
  pathTo,
  planRecovery,
  type RecoveryBase,
  type RecoveryFacts,
  type RecoveryTarget,
  recoveryWindow,
} from '../../src/engine/recovery-plan.ts';
import type { MarkIndex } from '../../src/engine/way-marks.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { seededRandom } from '../support/seeded-random.ts';

type History = RecoveryFacts & { readonly byTimeline: ReadonlyMap<number, readonly LogMark[]> };

const RECORD = 10;
const RUNS = 1500;

function indexOf(byTimeline: ReadonlyMap<number, readonly LogMark[]>, stretches: readonly LogStretch[]): MarkIndex {
  const within = (timeline: number, from: number, to: number): LogMark[] =>
    (byTimeline.get(timeline) ?? []).filter(
      (mark) =>
        mark.end > from &&
        mark.end <= to &&
        stretches.some((one) => one.timeline === timeline && one.from <= mark.position && one.to >= mark.end),
    );
  return {
    firstLater: async (timeline, from, to, time) => within(timeline, from, to).find((mark) => mark.time > time),
    last: async (timeline, from, to, kind) =>
      within(timeline, from, to).findLast((mark) =>
        kind === undefined ? mark.kind === 'commit' || mark.kind === 'abort' : mark.kind === kind,
      ),
    find: async (timeline, from, to, is) => within(timeline, from, to).find(is),
  };
}

/** A history of up to three timelines. */
function history(seed: number): History {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const byTimeline = new Map<number, LogMark[]>();
  const lineages: Lineage[] = [];
  const bases: RecoveryBase[] = [];
  const stretches: LogStretch[] = [];
  let ancestors: { timeline: number; until: number }[] = [];
  let begin = 100;
  let time = 1_000_000;
  let id = 1;
  for (let timeline = 1, n = 1 + pick(3); timeline <= n + 1 && n > 0; timeline += 1 + pick(2), n--) {
    const marks: LogMark[] = [];
    let position = begin;
    for (let records = 5 + pick(40); records > 0; records--) {
      // A clock that now and then steps back.
      time += pick(12) === 0 ? -pick(50) : pick(40);
      const kind = (['commit', 'commit', 'commit', 'abort', 'point'] as const)[pick(5)]!;
      marks.push({
        kind,
        position,
        end: position + RECORD,
        time,
        id: kind === 'point' ? 0 : id++,
        text: kind === 'point' ? `p${position}` : '',
      });
      position += RECORD * (1 + pick(3));
      if (pick(12) === 0)
        bases.push({
          snapshot: `b${bases.length}`,
          timeline,
          start: Math.max(begin, position - RECORD * (1 + pick(5))),
          stop: position,
          stoppedAt: time,
        });
    }
    byTimeline.set(timeline, marks);
    if (timeline > 1) lineages.push({ timeline, ancestors: [...ancestors] });
    stretches.push(...holes(timeline, begin - pick(30), position, pick));
    const until = begin + RECORD * pick(Math.max(1, Math.floor((position - begin) / RECORD)));
    ancestors = [...ancestors, { timeline, until }];
    begin = until;
  }
  return { bases, stretches, lineages, gaps: [], clockSteps: [], marks: indexOf(byTimeline, stretches), byTimeline };
}

/** What is stored of [from, to): mostly all, in pieces that overlap, sometimes with a hole. */
function holes(timeline: number, from: number, to: number, pick: (n: number) => number): LogStretch[] {
  const pieces: LogStretch[] = [];
  for (let at = from; at < to; ) {
    const end = Math.min(to, at + RECORD * (1 + pick(30)));
    pieces.push({ timeline, from: at, to: end });
    at = pick(8) === 0 ? end + RECORD * pick(4) : end - RECORD * pick(2);
    if (end === to) break;
  }
  return pieces;
}

/** Every record on the way from a base to `timeline`, as far as it is stored without a hole; undefined when the base cannot be restored. */
function replay(facts: History, base: RecoveryBase, timeline: number): LogMark[] | undefined {
  const path = pathTo(timeline, facts.lineages)!;
  let leg = path.findIndex((one) => one.timeline === base.timeline);
  if (leg === -1 || base.stop > path[leg]!.until) return undefined;
  const marks: LogMark[] = [];
  const isStored = (on: number, position: number): boolean =>
    facts.stretches.some((one) => one.timeline === on && one.from <= position && one.to > position);
  let position = base.start;
  for (; ; position++) {
    while (position >= path[leg]!.until && leg < path.length - 1) leg++;
    const { timeline: on, until } = path[leg]!;
    if (!isStored(on, position)) break;
    const mark = facts.byTimeline.get(on)!.find((one) => one.end === position + 1);
    if (mark !== undefined && mark.end <= until && mark.end > base.stop && isStoredWhole(facts, on, mark)) marks.push(mark);
  }
  return position >= base.stop ? marks : undefined;
}

function isStoredWhole(facts: History, timeline: number, mark: LogMark): boolean {
  return facts.stretches.some((one) => one.timeline === timeline && one.from <= mark.position && one.to >= mark.end);
}

const NEWEST = (a: RecoveryBase, b: RecoveryBase): number => b.stop - a.stop;

describe('a recovery plan', () => {
  it('stops at the last commit before the first later mark, from the newest base that leads there, or says why not', async () => {
    let plans = 0;
    let refusals = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const facts = history(seed);
      const random = seededRandom(seed * 7);
      const timeline = [...facts.byTimeline.keys()].at(-1)!;
      const all = facts.byTimeline.get(timeline)!;
      const low = all[0]!.time - 500;
      const time = low + Math.floor(random() * (all.at(-1)!.time - low + 200));
      const plan = await planRecovery(facts, timeline, { kind: 'time', time });
      const possible = facts.bases
        .filter((base) => base.stoppedAt <= time)
        .sort(NEWEST)
        .flatMap((base) => {
          const marks = replay(facts, base, timeline);
          return marks === undefined ? [] : [{ base, marks }];
        })
        .find(
          ({ base, marks }) =>
            marks.some((mark) => mark.time > time) || time <= Math.max(base.stoppedAt, marks.findLast(isTransaction)?.time ?? 0),
        );
      if (possible === undefined) {
        expect(plan.kind, `seed ${seed}: ${JSON.stringify(plan)}`).not.toBe('plan');
        refusals++;
        continue;
      }
      if (plan.kind !== 'plan') throw new Error(`seed ${seed}: ${plan.reason}`);
      const { marks } = possible;
      const later = marks.findIndex((mark) => mark.time > time);
      const expected = (later === -1 ? marks : marks.slice(0, later)).findLast(({ kind }) => kind === 'commit');
      expect(plan.stopAt, `seed ${seed}`).toEqual(expected);
      expect(plan.base.snapshot, `seed ${seed}`).toBe(possible.base.snapshot);
      plans++;
    }
    expect(plans).toBeGreaterThan(RUNS / 10);
    expect(refusals).toBeGreaterThan(RUNS / 10);
  });

  it('keeps what the window promises: every time in it has a plan, and both its ends do', async () => {
    let looked = 0;
    for (let seed = 1; seed <= RUNS / 3; seed++) {
      const facts = history(seed);
      const random = seededRandom(seed * 13);
      const timeline = [...facts.byTimeline.keys()].at(-1)!;
      for (const { from, to } of await recoveryWindow(facts, timeline)) {
        for (const time of [from.time, to.time, from.time + Math.floor(random() * (to.time - from.time + 1))]) {
          expect((await planRecovery(facts, timeline, { kind: 'time', time })).kind, `seed ${seed} at ${time}`).toBe('plan');
          looked++;
        }
      }
    }
    expect(looked).toBeGreaterThan(100);
  });

  it('leads only over log that is stored without a hole, from the base to the place', async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const facts = history(seed);
      const timeline = [...facts.byTimeline.keys()].at(-1)!;
      const plan = await planRecovery(facts, timeline, { kind: 'latest' });
      if (plan.kind !== 'plan') continue;
      expect(plan.legs[0]!.from).toBe(plan.base.start);
      expect(plan.legs[0]!.timeline).toBe(plan.base.timeline);
      for (const [i, leg] of plan.legs.entries()) {
        if (i > 0) expect(leg.from).toBe(plan.legs[i - 1]!.to);
        for (let at = leg.from; at < leg.to; at++)
          expect(
            facts.stretches.some((one) => one.timeline === leg.timeline && one.from <= at && one.to > at),
            `seed ${seed} at ${at}`,
          ).toBe(true);
      }
      expect(plan.legs.at(-1)!.to).toBe(plan.stopAt?.end ?? plan.base.stop);
    }
  });
});

describe('what cannot be planned', () => {
  const marks = new Map<number, LogMark[]>([
    [1, [10, 20, 30, 40, 50].map((n): LogMark => ({ kind: 'commit', position: n, end: n + 5, time: n * 100, id: n, text: '' }))],
  ]);
  const base: RecoveryBase = { snapshot: 'a', timeline: 1, start: 0, stop: 8, stoppedAt: 800 };
  const second: RecoveryBase = { snapshot: 'b', timeline: 1, start: 36, stop: 39, stoppedAt: 3900 };
  const factsOf = (stretches: readonly LogStretch[], bases = [base, second]): RecoveryFacts => ({
    bases,
    stretches,
    lineages: [],
    gaps: [{ timeline: 1, from: 25, to: 36, cause: 'the slot was lost' }],
    clockSteps: [],
    marks: indexOf(marks, stretches),
  });
  const holed = factsOf([
    { timeline: 1, from: 0, to: 25 },
    { timeline: 1, from: 36, to: 60 },
  ]);

  it('is named a gap with its cause, and everything beside it is planned', async () => {
    const gap = await planRecovery(holed, 1, { kind: 'time', time: 3000 });
    expect(gap).toMatchObject({ kind: 'gap', gap: { from: 25, to: 36 } });
    expect(gap.kind === 'gap' && gap.reason).toMatch(/the slot was lost/);
    expect(await planRecovery(holed, 1, { kind: 'time', time: 1500 })).toMatchObject({
      kind: 'plan',
      stopAt: { id: 10 },
      base: { snapshot: 'a' },
    });
    expect(await planRecovery(holed, 1, { kind: 'time', time: 4500 })).toMatchObject({
      kind: 'plan',
      stopAt: { id: 40 },
      base: { snapshot: 'b' },
    });
    expect(await recoveryWindow(holed, 1)).toHaveLength(2);
    expect(await planRecovery(holed, 1, { kind: 'position', position: 30 })).toMatchObject({ kind: 'gap' });
  });

  it('is refused before the first base, after the last transaction, and inside a base backup', async () => {
    expect(await planRecovery(holed, 1, { kind: 'time', time: 799 })).toMatchObject({ kind: 'refused' });
    expect(await planRecovery(holed, 1, { kind: 'time', time: 5001 })).toMatchObject({ kind: 'refused' });
    expect(await planRecovery(holed, 1, { kind: 'time', time: 5000 })).toMatchObject({ kind: 'plan', stopAt: { id: 50 } });
    expect(await planRecovery(holed, 1, { kind: 'position', position: 4 })).toMatchObject({ kind: 'refused' });
    expect(await planRecovery(holed, 1, { kind: 'transaction', id: 99 })).toMatchObject({ kind: 'refused' });
  });

  it('is refused when the log of the base itself is not whole, and when nobody knows where a timeline comes from', async () => {
    const torn = factsOf([{ timeline: 1, from: 0, to: 6 }], [base]);
    expect(await planRecovery(torn, 1, { kind: 'latest' })).toMatchObject({ kind: 'refused' });
    expect(await planRecovery(holed, 3, { kind: 'latest' })).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/history/),
    });
    expect(await planRecovery(factsOf([], []), 1, { kind: 'latest' })).toMatchObject({
      kind: 'refused',
      reason: 'there is no base backup',
    });
  });
});

describe('a place that was named', () => {
  const point = (position: number, text: string): LogMark => ({
    kind: 'point',
    position,
    end: position + 5,
    time: position * 100,
    id: 0,
    text,
  });
  const commit = (position: number, id: number): LogMark => ({
    kind: 'commit',
    position,
    end: position + 5,
    time: position * 100,
    id,
    text: '',
  });
  // Timeline 1 was left at 40, and went on by itself up to 60.
  const marks = new Map<number, LogMark[]>([
    [1, [commit(10, 1), point(20, 'once'), point(30, 'twice'), commit(45, 7), point(50, 'left')]],
    [2, [commit(45, 7), point(50, 'twice'), commit(60, 8), point(70, 'late')]],
  ]);
  const stretches: LogStretch[] = [
    { timeline: 1, from: 0, to: 60 },
    { timeline: 2, from: 40, to: 90 },
  ];
  const bases: RecoveryBase[] = [
    { snapshot: 'a', timeline: 1, start: 0, stop: 8, stoppedAt: 800 },
    { snapshot: 'b', timeline: 1, start: 26, stop: 28, stoppedAt: 2800 },
    { snapshot: 'c', timeline: 2, start: 55, stop: 58, stoppedAt: 5800 },
  ];
  const facts: RecoveryFacts = {
    bases,
    stretches,
    lineages: [{ timeline: 2, ancestors: [{ timeline: 1, until: 40 }] }],
    gaps: [],
    clockSteps: [],
    marks: indexOf(marks, stretches),
  };
  const plan = (target: RecoveryTarget, timeline = 2, isNamed = false): Promise<unknown> =>
    planRecovery(facts, timeline, target, isNamed);

  it('is found from the newest base that leads there', async () => {
    expect(await plan({ kind: 'point', name: 'once' })).toMatchObject({ base: { snapshot: 'a' }, stopAt: { position: 20 } });
    expect(await plan({ kind: 'point', name: 'late' })).toMatchObject({ base: { snapshot: 'c' }, stopAt: { position: 70 } });
    expect(await plan({ kind: 'transaction', id: 8 })).toMatchObject({ base: { snapshot: 'c' }, stopAt: { position: 60 } });
    expect(await plan({ kind: 'position', position: 62 })).toMatchObject({ base: { snapshot: 'c' }, stopAt: { position: 60 } });
  });

  it('is refused when it is there twice, also on a timeline that was left, and told with each', async () => {
    for (const target of [
      { kind: 'point', name: 'twice' },
      { kind: 'transaction', id: 7 },
    ] as const)
      expect(await plan(target)).toMatchObject({
        kind: 'refused',
        reason: expect.stringMatching(/more than once.*timeline \d.*timeline \d/),
      });
    expect(await plan({ kind: 'position', position: 52 })).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/timeline 1/),
    });
    expect(await plan({ kind: 'point', name: 'left' })).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/has to be named: 0\/32 of timeline 1/),
    });
    expect(await plan({ kind: 'point', name: 'never' })).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/no such place/),
    });
  });

  it('is found when its timeline is named, too', async () => {
    expect(await plan({ kind: 'transaction', id: 7 }, 2, true)).toMatchObject({ timeline: 2, base: { snapshot: 'b' } });
    expect(await plan({ kind: 'transaction', id: 7 }, 1, true)).toMatchObject({ timeline: 1, base: { snapshot: 'b' } });
    expect(await plan({ kind: 'point', name: 'left' }, 1, true)).toMatchObject({ timeline: 1, stopAt: { position: 50 } });
    expect(await plan({ kind: 'position', position: 52 }, 1, true)).toMatchObject({ timeline: 1, stopAt: { position: 45 } });
  });

  it('is found in every history as if all of it were looked at', async () => {
    for (let seed = 1; seed <= RUNS / 3; seed++) {
      const own = history(seed);
      const timeline = [...own.byTimeline.keys()].at(-1)!;
      const ways = own.bases.map((base) => ({ base, marks: replay(own, base, timeline) ?? [] }));
      for (const mark of [...own.byTimeline.values()].flat().filter(({ kind }) => kind === 'commit')) {
        const leading = ways.filter((way) => way.marks.includes(mark)).sort((a, b) => NEWEST(a.base, b.base));
        const found = await planRecovery(own, timeline, { kind: 'transaction', id: mark.id }, true);
        expect(found.kind === 'plan' ? found.base : undefined, `seed ${seed}, transaction ${mark.id}`).toEqual(leading[0]?.base);
      }
    }
  });
});

function isTransaction({ kind }: LogMark): boolean {
  return kind === 'commit' || kind === 'abort';
}

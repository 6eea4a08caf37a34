// Logs of a database whose clock was set: every time is one prefix of the log or refused, and no decision about bases follows a clock.

import { describe, expect, it } from 'vitest';
import { type ClockStep, ClockWatch } from '../../src/engine/clock-runs.ts';
import { basesOfWindow } from '../../src/engine/log-retention.ts';
import { type LogStretch, planRecovery, type RecoveryBase, type RecoveryFacts } from '../../src/engine/recovery-plan.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { seededRandom } from '../support/seeded-random.ts';

const SECOND = 1_000_000;
const HOUR = 3_600 * SECOND;
const BEGAN = 1_700_000_000 * SECOND;
const RECORD = 10;
const RUNS = 400;

function factsOf(
  times: readonly number[],
  bases: readonly RecoveryBase[],
  stretches?: readonly LogStretch[],
): RecoveryFacts & { readonly all: readonly LogMark[] } {
  const all = times.map(
    (time, n): LogMark => ({ kind: 'commit', position: 100 + n * RECORD, end: 105 + n * RECORD, time, id: n + 1, text: '' }),
  );
  const within = (from: number, to: number): LogMark[] => all.filter(({ end }) => end > from && end <= to);
  const clockSteps: ClockStep[] = new ClockWatch(0).look(all).map((step) => ({ ...step, timeline: 1 }));
  return {
    all,
    bases,
    stretches: stretches ?? [{ timeline: 1, from: 0, to: 100 + times.length * RECORD }],
    lineages: [],
    gaps: [],
    clockSteps,
    marks: {
      firstLater: async (_, from, to, time) => within(from, to).find((mark) => mark.time > time),
      last: async (_, from, to) => within(from, to).at(-1),
      find: async (_, from, to, is) => within(from, to).find(is),
    },
  };
}

const base = (snapshot: string, stop: number, stoppedAt: number): RecoveryBase => ({
  snapshot,
  timeline: 1,
  start: stop - RECORD,
  stop,
  stoppedAt,
});

/** Every second number is a step of more than five seconds, to one side or the other. */
function jumpyTimes(random: () => number): number[] {
  let time = BEGAN;
  return Array.from({ length: 4 + Math.floor(random() * 30) }, () => {
    time += random() < 0.2 ? Math.round((random() - 0.5) * 4 * HOUR) : Math.round(random() * 100 * SECOND);
    return time;
  });
}

/** All numbers of commits after which a clock that is looked at on and on, as long as it only goes on, has passed the time. */
function cutsAt(times: readonly number[], baseAt: number, time: number): number[] {
  const cuts: number[] = [];
  for (let from = 0; from < times.length; ) {
    let to = from + 1;
    while (to < times.length && times[to]! >= times[to - 1]!) to++;
    const isAfterBegin = time >= (from === 0 ? baseAt : times[from]!);
    if (isAfterBegin && time <= times[to - 1]!) {
      const later = times.findIndex((one, n) => n >= from && n < to && one > time);
      cuts.push(later === -1 ? to : later);
    }
    from = to;
  }
  return cuts;
}

describe('a time that a clock which was set passed', () => {
  it('once is that prefix of the log, and more than once is refused with both places', async () => {
    let [plans, refused] = [0, 0];
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = seededRandom(seed);
      const times = jumpyTimes(random);
      const facts = factsOf(times, [base('a', 99, BEGAN)]);
      const time = times[Math.floor(random() * times.length)]! + Math.round((random() - 0.4) * 100 * SECOND);
      const cuts = cutsAt(times, BEGAN, time);
      const plan = await planRecovery(facts, 1, { kind: 'time', time });
      const told = `seed ${seed}: ${JSON.stringify(plan)}`;
      if (cuts.length === 1) {
        expect(plan.kind === 'plan' && (plan.stopAt?.id ?? 0), told).toBe(cuts[0]);
        plans++;
      } else {
        expect(plan.kind, told).toBe('refused');
        if (cuts.length > 1) {
          expect(plan.kind === 'refused' && plan.reason, told).toMatch(/more than once/);
          refused++;
        }
      }
    }
    expect(plans).toBeGreaterThan(RUNS / 10);
    expect(refused).toBeGreaterThan(RUNS / 10);
  });

  it('is the same prefix from whichever base', async () => {
    const times = [0, 1, 24, 25, 2, 3, 1.5, 1.6].map((hours) => BEGAN + hours * HOUR);
    const bases = [base('a', 99, BEGAN), base('ahead', 126, BEGAN + 24.5 * HOUR), base('back', 166, BEGAN + 1.55 * HOUR)];
    for (let kept = 1; kept <= bases.length; kept++) {
      const facts = factsOf(times, bases.slice(0, kept));
      expect(await planRecovery(facts, 1, { kind: 'time', time: BEGAN + 25 * HOUR })).toMatchObject({ stopAt: { id: 4 } });
      expect(await planRecovery(facts, 1, { kind: 'time', time: BEGAN + 1.58 * HOUR })).toMatchObject({ kind: 'refused' });
      expect(await planRecovery(facts, 1, { kind: 'latest' })).toMatchObject({ stopAt: { id: 8 } });
    }
  });
});

describe('of a base that a clock ahead has dated', () => {
  const times = [0, 24, 0.2, 0.3].map((hours) => BEGAN + hours * HOUR);
  const ahead = base('ahead', 112, BEGAN + 24 * HOUR);
  const newest = base('newest', 126, BEGAN + 0.25 * HOUR);
  const holed: LogStretch[] = [
    { timeline: 1, from: 0, to: 116 },
    { timeline: 1, from: 116, to: 140 },
  ].map((one, n) => (n === 0 ? { ...one, to: 114 } : one));

  it('the latest place is behind the gap that came after it', async () => {
    const facts = factsOf(times, [ahead, newest], holed);
    expect(await planRecovery(facts, 1, { kind: 'latest' })).toMatchObject({ base: { snapshot: 'newest' }, stopAt: { id: 4 } });
  });

  it('retention does not let go the newer base', async () => {
    const facts = { ...factsOf(times, [ahead, newest], holed), timeline: 1, isSound: () => true };
    for (const since of [Number.POSITIVE_INFINITY, BEGAN + 0.26 * HOUR, BEGAN + 23 * HOUR]) {
      const judged = await basesOfWindow(facts, since);
      expect(judged.find((one) => one.base.snapshot === 'newest')?.isNeeded, String(since)).toBe(true);
    }
  });
});

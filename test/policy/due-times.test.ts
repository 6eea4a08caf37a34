import { describe, expect, it } from 'vitest';
import { catchUp, dueBetween, lastDue, nextDue } from '../../src/policy/due-times.ts';
import type { Schedule } from '../../src/policy/policy-terms.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { MinuteTable, type OracleCron, oracleDue } from './due-oracle.ts';

const cron = (text: string, timeZone = 'UTC', more: Partial<Extract<Schedule, { kind: 'cron' }>> = {}): Schedule => ({
  kind: 'cron',
  cron: text,
  timeZone,
  ...more,
});
const at = (text: string): Date => new Date(text);
const times = (schedule: Schedule | readonly Schedule[], from: string, to: string, seed = ''): string[] =>
  dueBetween(schedule, at(from), at(to), 10_000, seed).map(({ due }) => due.toISOString().replace(/:00\.000Z$/, 'Z'));
const next = (schedule: Schedule, after: string): string | undefined => nextDue(schedule, at(after))?.due.toISOString();

describe('a due time', () => {
  it('lies after the moment asked for, never at it', () => {
    expect(next(cron('30 2 * * *'), '2026-11-21T02:29:59.999Z')).toBe('2026-11-21T02:30:00.000Z');
    expect(next(cron('30 2 * * *'), '2026-11-21T02:30:00.000Z')).toBe('2026-11-22T02:30:00.000Z');
  });

  it('is told in the time zone of its schedule', () => {
    expect(next(cron('0 2 * * *', 'Asia/Shanghai'), '2026-11-21T00:00:00Z')).toBe('2026-11-21T18:00:00.000Z');
  });

  it('of several schedules is the earliest, and one that two share comes once, from the first of them', () => {
    const both = [cron('0 */6 * * *'), cron('0 12 * * *'), cron('0 13 * * *')];
    expect(times(both, '2026-11-21T00:00Z', '2026-11-21T23:59Z')).toEqual([
      '2026-11-21T06:00Z',
      '2026-11-21T12:00Z',
      '2026-11-21T13:00Z',
      '2026-11-21T18:00Z',
    ]);
    expect(dueBetween(both, at('2026-11-21T00:00Z'), at('2026-11-21T13:00Z'), 9).map(({ entry }) => entry)).toEqual([0, 0, 2]);
  });

  it('is answered up to a limit', () => {
    expect(dueBetween(cron('* * * * *'), at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 3)).toHaveLength(3);
    expect(dueBetween(cron('* * * * *'), at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 0)).toEqual([]);
  });

  it('may be years away', () => {
    expect(next(cron('0 0 29 2 *'), '2096-03-01T00:00:00Z')).toBe('2104-02-29T00:00:00.000Z');
    expect(next(cron('0 0 */31 2 1'), '2094-02-02T00:00:00Z')).toBe('2100-02-01T00:00:00.000Z');
  });

  it('refuses what is no cron expression or no time zone', () => {
    expect(() => nextDue(cron('0 0 30 2 *'), at('2026-01-01T00:00Z'))).toThrow('never comes');
    expect(() => nextDue(cron('0 0 * * *', 'Mars/Olympus'), at('2026-01-01T00:00Z'))).toThrow('"Mars/Olympus" is not a time zone');
  });
});

describe('month ends', () => {
  it('have their 31st only where there is one', () => {
    expect(times(cron('0 0 31 * *'), '2026-01-01T00:00Z', '2026-08-01T00:00Z')).toEqual([
      '2026-01-31T00:00Z',
      '2026-03-31T00:00Z',
      '2026-05-31T00:00Z',
      '2026-07-31T00:00Z',
    ]);
  });

  it('are all meant by L, leap years too', () => {
    expect(times(cron('0 0 L * *'), '2028-01-01T00:00Z', '2028-05-01T00:00Z')).toEqual([
      '2028-01-31T00:00Z',
      '2028-02-29T00:00Z',
      '2028-03-31T00:00Z',
      '2028-04-30T00:00Z',
    ]);
    expect(times(cron('0 0 15,L 2 *'), '2026-01-01T00:00Z', '2026-12-31T00:00Z')).toEqual([
      '2026-02-15T00:00Z',
      '2026-02-28T00:00Z',
    ]);
  });
});

describe('clocks that are put forward', () => {
  it('make a time that does not exist due at the first moment after the gap', () => {
    expect(times(cron('30 2 * * *', 'Europe/Berlin'), '2026-03-28T00:00Z', '2026-03-30T12:00Z')).toEqual([
      '2026-03-28T01:30Z',
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ]);
  });

  it('make several times of one gap due once', () => {
    expect(times(cron('0,15,30,45 2 * * *', 'America/New_York'), '2026-03-08T05:00Z', '2026-03-08T12:00Z')).toEqual([
      '2026-03-08T07:00Z',
    ]);
    expect(times(cron('*/30 1-3 * * *', 'America/New_York'), '2026-03-08T05:00Z', '2026-03-08T12:00Z')).toEqual([
      '2026-03-08T06:00Z',
      '2026-03-08T06:30Z',
      '2026-03-08T07:00Z',
      '2026-03-08T07:30Z',
    ]);
  });

  it('may take half an hour, or a whole day', () => {
    expect(times(cron('15 2 * * *', 'Australia/Lord_Howe'), '2026-10-03T00:00Z', '2026-10-04T00:00Z')).toEqual([
      '2026-10-03T15:30Z',
    ]);
    // Samoa had no 30 December 2011.
    expect(times(cron('0 12 * * *', 'Pacific/Apia'), '2011-12-29T00:00Z', '2011-12-31T12:00Z')).toEqual([
      '2011-12-29T22:00Z',
      '2011-12-30T10:00Z',
      '2011-12-30T22:00Z',
    ]);
  });

  it('leave an hourly schedule hourly', () => {
    expect(times(cron('0 * * * *', 'Europe/Berlin'), '2026-03-28T23:59Z', '2026-03-29T03:00Z')).toEqual([
      '2026-03-29T00:00Z',
      '2026-03-29T01:00Z',
      '2026-03-29T02:00Z',
      '2026-03-29T03:00Z',
    ]);
  });
});

describe('clocks that are put back', () => {
  it('make a time that comes twice due once, the first time', () => {
    expect(times(cron('30 2 * * *', 'Europe/Berlin'), '2026-10-24T12:00Z', '2026-10-26T12:00Z')).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ]);
    expect(times(cron('45 1 * * *', 'Australia/Lord_Howe'), '2026-04-04T00:00Z', '2026-04-05T00:00Z')).toEqual([
      '2026-04-04T14:45Z',
    ]);
  });

  it('give each of both hours its own when the passing of hours is meant', () => {
    const night = ['2026-10-24T23:30Z', '2026-10-25T03:30Z'] as const;
    expect(times(cron('0 * * * *', 'Europe/Berlin'), ...night)).toEqual([
      '2026-10-25T00:00Z',
      '2026-10-25T01:00Z',
      '2026-10-25T02:00Z',
      '2026-10-25T03:00Z',
    ]);
    expect(times(cron('0 0-23 * * *', 'Europe/Berlin'), ...night)).toEqual([
      '2026-10-25T00:00Z',
      '2026-10-25T02:00Z',
      '2026-10-25T03:00Z',
    ]);
  });

  it('at midnight mix the times of two days, and the answers stay in order', () => {
    // Toronto, 2006: no; Newfoundland put its clocks back at 00:01 until 2011: 23:01 to 00:01 came twice.
    const found = times(cron('*/20 * * * *', 'America/St_Johns'), '2010-11-07T01:25Z', '2010-11-07T04:35Z');
    expect(found).toEqual([...found].sort());
    expect(found).toHaveLength(10);
    expect(new Set(found).size).toBe(10);
  });
});

describe('a window', () => {
  const night = { fromMinute: 22 * 60, toMinute: 6 * 60 };

  it('moves what is due outside of it to its opening, once', () => {
    expect(times(cron('0 */3 * * *', 'UTC', { window: night }), '2026-11-21T00:00Z', '2026-11-22T00:00Z')).toEqual([
      '2026-11-21T03:00Z',
      '2026-11-21T22:00Z',
      '2026-11-22T00:00Z',
    ]);
  });

  it('is half open', () => {
    const schedule = cron('0 6,22 * * *', 'UTC', { window: night });
    expect(times(schedule, '2026-11-21T00:00Z', '2026-11-22T23:00Z')).toEqual(['2026-11-21T22:00Z', '2026-11-22T22:00Z']);
  });

  it('says until when a run may begin', () => {
    const due = nextDue(cron('0 23 * * *', 'Asia/Shanghai', { window: night }), at('2026-11-21T00:00Z'));
    expect(due?.startBy?.toISOString()).toBe('2026-11-21T22:00:00.000Z');
  });

  it('never loses a due time for the answer that was asked in between', () => {
    const schedule = cron('0 12 * * *', 'UTC', { window: night });
    expect(next(schedule, '2026-11-21T12:00:01Z')).toBe('2026-11-21T22:00:00.000Z');
    expect(next(schedule, '2026-11-21T21:59:59Z')).toBe('2026-11-21T22:00:00.000Z');
    expect(next(schedule, '2026-11-21T22:00:00Z')).toBe('2026-11-22T22:00:00.000Z');
  });
});

describe('jitter', () => {
  const spread = cron('0 2 * * *', 'UTC', { jitterMs: 3_600_000, startWithinMs: 7_200_000 });

  it('is the same for the same asset each time, and leaves the due time alone', () => {
    const [first, second] = dueBetween(spread, at('2026-11-21T00:00Z'), at('2026-11-23T00:00Z'), 9, 'ast_1');
    expect(first!.notBefore.getTime() - first!.due.getTime()).toBe(second!.notBefore.getTime() - second!.due.getTime());
    expect(first!.due.toISOString()).toBe('2026-11-21T02:00:00.000Z');
    expect(first!.startBy!.getTime() - first!.notBefore.getTime()).toBe(7_200_000);
  });

  it('spreads assets over the whole of it', () => {
    const delays = Array.from(
      { length: 600 },
      (_, i) => nextDue(spread, at('2026-11-21T00:00Z'), `ast_${i}`)!.notBefore.getTime() - at('2026-11-21T02:00Z').getTime(),
    );
    for (let sixth = 0; sixth < 6; sixth++) {
      const inSixth = delays.filter((ms) => Math.floor(ms / 600_000) === sixth).length;
      expect(inSixth, `10 minutes number ${sixth}`).toBeGreaterThan(60);
      expect(inSixth).toBeLessThan(140);
    }
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThan(3_600_000);
  });

  it('never outlasts the window', () => {
    const window = { fromMinute: 120, toMinute: 130 };
    for (let i = 0; i < 200; i++) {
      const { notBefore, startBy } = nextDue(
        cron('5 2 * * *', 'UTC', { jitterMs: 3_600_000, window }),
        at('2026-11-21T00:00Z'),
        `a${i}`,
      )!;
      expect(notBefore.getTime()).toBeLessThan(startBy!.getTime());
      expect(startBy!.toISOString()).toBe('2026-11-21T02:10:00.000Z');
    }
  });
});

describe('a period', () => {
  const monthly: Schedule = { kind: 'every', everyMs: 30 * 86_400_000, timeZone: 'UTC' };

  it('comes once in each, at a phase of the asset', () => {
    const found = dueBetween(monthly, at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 99, 'ast_1').map(({ due }) =>
      due.getTime(),
    );
    expect(found.length).toBeGreaterThanOrEqual(12);
    for (let i = 1; i < found.length; i++) expect(found[i]! - found[i - 1]!).toBe(30 * 86_400_000);
    expect(nextDue(monthly, at('2026-01-01T00:00Z'), 'ast_2')?.due.getTime()).not.toBe(found[0]);
  });

  it('moves into its window', () => {
    const window = { fromMinute: 60, toMinute: 90 };
    for (const { due } of dueBetween({ ...monthly, window }, at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 99, 'x'))
      expect(due.toISOString()).toMatch(/T01:[012]/);
  });

  it('of many assets does not begin all at once when the window opens', () => {
    const window = { fromMinute: 1200, toMinute: 360 };
    const begins = Array.from({ length: 200 }, (_, i) => nextDue({ ...monthly, window }, at('2026-11-21T00:00Z'), `ast_${i}`)!);
    const atOpening = begins.filter(({ notBefore }) => notBefore.toISOString().slice(11, 16) === '20:00');
    expect(atOpening.length).toBeLessThan(10);
    for (const { notBefore, startBy } of begins) expect(notBefore.getTime()).toBeLessThan(startBy!.getTime());
  });

  it('is refused when it is shorter than a minute', () => {
    expect(() => nextDue({ ...monthly, everyMs: 0 }, at('2026-01-01T00:00Z'))).toThrow('shorter than a minute');
  });
});

describe('what was missed', () => {
  const hourly = cron('0 * * * *');

  it('is caught up once, as the latest of it', () => {
    const caughtUp = catchUp(hourly, at('2026-11-21T00:00Z'), at('2026-11-21T07:30Z'))!;
    expect(caughtUp.due.toISOString()).toBe('2026-11-21T07:00:00.000Z');
    expect(caughtUp.missed).toBe(6);
    expect(catchUp(hourly, caughtUp.due, at('2026-11-21T07:59Z'))).toBeUndefined();
  });

  it('is nothing when nothing was due, and stands for itself alone when one was', () => {
    expect(catchUp(hourly, at('2026-11-21T07:00Z'), at('2026-11-21T07:30Z'))).toBeUndefined();
    expect(catchUp(hourly, at('2026-11-21T07:00Z'), at('2026-11-21T08:00Z'))?.missed).toBe(0);
  });

  it('may be years of minutes', () => {
    const caughtUp = catchUp(cron('* * * * *'), at('2016-01-01T00:00Z'), at('2026-11-21T07:30:30Z'))!;
    expect(caughtUp.due.toISOString()).toBe('2026-11-21T07:30:00.000Z');
    expect(caughtUp.missed).toBe(1000);
  });

  it('runs at once when it was too late for its own moment, or when the window opens next', () => {
    const late = catchUp(cron('0 2 * * *', 'UTC', { startWithinMs: 3_600_000 }), at('2026-11-20T03:00Z'), at('2026-11-21T09:00Z'))!;
    expect([late.due, late.notBefore, late.startBy].map((one) => one?.toISOString())).toEqual([
      '2026-11-21T02:00:00.000Z',
      '2026-11-21T09:00:00.000Z',
      '2026-11-21T10:00:00.000Z',
    ]);
    const window = { fromMinute: 60, toMinute: 240 };
    const windowed = catchUp(cron('0 2 * * *', 'UTC', { window }), at('2026-11-20T03:00Z'), at('2026-11-21T09:00Z'))!;
    expect([windowed.due, windowed.notBefore, windowed.startBy].map((one) => one?.toISOString())).toEqual([
      '2026-11-21T02:00:00.000Z',
      '2026-11-22T01:00:00.000Z',
      '2026-11-22T04:00:00.000Z',
    ]);
  });

  it('knows the last due time before a moment', () => {
    expect(lastDue(hourly, at('2026-11-21T07:00Z'))?.due.toISOString()).toBe('2026-11-21T07:00:00.000Z');
    expect(lastDue(cron('0 0 29 2 *'), at('2027-11-21T07:00Z'))?.due.toISOString()).toBe('2024-02-29T00:00:00.000Z');
  });
});

// Spans around changes of the clock, month ends, and the day that Samoa left out.
const SPANS: readonly (readonly [zone: string, from: string, days: number])[] = [
  ['Asia/Shanghai', '2026-02-26', 4],
  ['Europe/Berlin', '2026-03-28', 3],
  ['Europe/Berlin', '2026-10-24', 3],
  ['America/New_York', '2026-03-07', 3],
  ['America/New_York', '2026-10-31', 3],
  ['Australia/Lord_Howe', '2026-04-03', 3],
  ['Australia/Lord_Howe', '2026-10-02', 3],
  ['Pacific/Apia', '2011-12-28', 5],
  ['Africa/Casablanca', '2026-02-14', 3],
  ['Africa/Casablanca', '2026-03-21', 3],
  ['America/St_Johns', '2010-11-05', 4],
  ['America/Sao_Paulo', '2018-11-03', 3],
  ['America/Sao_Paulo', '2018-02-16', 4],
];
const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);

describe(`every due time (seed ${SEED}; HOLDFAST_TEST_SEED chooses another)`, () => {
  it.each(SPANS)('in %s around %s is what looking at every minute finds', (zone, day, days) => {
    const random = seededRandom(SEED + SPANS.findIndex(([z, from]) => z === zone && from === day));
    const from = Date.parse(`${day}T00:00Z`);
    const to = from + days * 86_400_000;
    const table = new MinuteTable(zone, from, to);
    let found = 0;
    for (let n = 0; n < 40; n++) {
      const { text, oracle } = randomCron(random);
      const window = random() < 0.3 ? randomWindow(random) : undefined;
      const schedule = cron(text, zone, window === undefined ? {} : { window });
      const got = dueBetween(schedule, new Date(from), new Date(to), 100_000).map(({ due }) => due.toISOString());
      const wanted = oracleDue(oracle, table, from, to, window).map((one) => new Date(one).toISOString());
      expect(got, `${text} ${JSON.stringify(window)}`).toEqual(wanted);
      found += got.length;
      // Asked from anywhere in between, the next one is the same.
      const middle = from + Math.floor(random() * (to - from));
      const following = wanted.find((one) => Date.parse(one) > middle);
      if (following !== undefined) expect(nextDue(schedule, new Date(middle))?.due.toISOString(), text).toBe(following);
    }
    expect(found).toBeGreaterThan(100);
  });
});

function randomWindow(random: () => number): { readonly fromMinute: number; readonly toMinute: number } {
  const fromMinute = Math.floor(random() * 96) * 15;
  return { fromMinute, toMinute: (fromMinute + 15 + Math.floor(random() * 90) * 15) % 1440 };
}

function randomCron(random: () => number): { readonly text: string; readonly oracle: OracleCron } {
  const minutes = randomField(random, 0, 59);
  const hours = randomField(random, 0, 23);
  const isLate = random() < 0.5;
  const monthDay = isLate ? { text: '*', values: undefined, isStar: true } : randomField(random, 1, 31);
  const hasLastDay = !monthDay.isStar && random() < 0.3;
  const weekDay = random() < 0.6 ? { text: '*', values: undefined, isStar: true } : randomField(random, 0, 6);
  const all = (low: number, high: number) => new Set(Array.from({ length: high - low + 1 }, (_, i) => low + i));
  return {
    text: `${minutes.text} ${hours.text} ${monthDay.text}${hasLastDay ? ',L' : ''} * ${weekDay.text}`,
    oracle: {
      minutes: minutes.values ?? all(0, 59),
      hours: hours.values ?? all(0, 23),
      monthDays: monthDay.values ?? 'any',
      hasLastDay,
      months: all(1, 12),
      weekDays: weekDay.values ?? 'any',
      isEveryHour: hours.isStar,
    },
  };
}

/** `values` undefined: all. A field that begins with "*" is only ever all of it or a step of hours, so that the oracle needs no rule of its own. */
function randomField(
  random: () => number,
  low: number,
  high: number,
): { readonly text: string; readonly values: ReadonlySet<number> | undefined; readonly isStar: boolean } {
  const pick = (): number => low + Math.floor(random() * (high - low + 1));
  const kind = random();
  if (kind < 0.2) return { text: '*', values: undefined, isStar: true };
  if (kind < 0.5) {
    const list = Array.from({ length: 1 + Math.floor(random() * 4) }, pick);
    return { text: list.join(','), values: new Set(list), isStar: false };
  }
  const [a, b] = [pick(), pick()].sort((x, y) => x - y) as [number, number];
  const step = 1 + Math.floor(random() * 5);
  const values = new Set<number>();
  for (let value = a; value <= b; value += step) values.add(value);
  return { text: `${a}-${b}/${step}`, values, isStar: false };
}

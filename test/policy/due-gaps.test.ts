import { describe, expect, it } from 'vitest';
import { largestGap, largestRealGap } from '../../src/policy/due-gaps.ts';
import { dueBetween } from '../../src/policy/due-times.ts';
import type { BackupSchedule, TimeWindow } from '../../src/policy/policy-terms.ts';
import { seededRandom } from '../support/seeded-random.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const cron = (text: string, timeZone = 'UTC', window?: TimeWindow): BackupSchedule => ({
  kind: 'cron',
  cron: text,
  timeZone,
  ...(window === undefined ? {} : { window }),
});
const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);

describe('the largest gap of a schedule', () => {
  it.each([
    ['* * * * *', 60_000],
    ['@hourly', HOUR],
    ['0 8-18 * * *', 14 * HOUR],
    ['0 8-18 * * mon-fri', 62 * HOUR],
    ['@monthly', 31 * DAY],
    ['0 0 31 * *', 61 * DAY],
    ['@yearly', 366 * DAY],
    ['0 0 29 2 *', 4 * 365.25 * DAY],
    ['*/5 * * 1-6 *', 184 * DAY + 5 * 60_000],
  ])('of %j is %i ms', (text, ms) => expect(largestGap([cron(text)])).toBe(ms));

  it('of none is endless', () => {
    expect(largestGap([])).toBe(Number.POSITIVE_INFINITY);
  });

  it('of several entries is that of all of them together', () => {
    expect(largestGap([cron('0 8-18 * * mon-fri'), cron('0 */4 * * *')])).toBe(4 * HOUR);
  });

  it('really is an hour longer in the night in which clocks are put back, unless the passing of hours is meant', () => {
    expect(largestRealGap([cron('0 2 * * *', 'Europe/Berlin')])).toBe(25 * HOUR);
    expect(largestRealGap([cron('0 2 * * *', 'Asia/Shanghai')])).toBe(24 * HOUR);
    expect(largestRealGap([cron('@hourly', 'Europe/Berlin')])).toBe(HOUR);
    expect(largestRealGap([cron('0 0-23 * * *', 'Europe/Berlin')])).toBe(2 * HOUR);
    expect(largestRealGap([cron('@hourly', 'Australia/Lord_Howe')])).toBe(1.5 * HOUR);
  });

  it(`is the one between the due times of a year, for any schedule (seed ${SEED}; HOLDFAST_TEST_SEED chooses another)`, () => {
    const random = seededRandom(SEED);
    const pick = <T>(...list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const from = Date.UTC(2027, 2, 1);
    for (let n = 0; n < 150; n++) {
      const schedule = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
        const text = [
          pick('0', '30', '15,45'),
          pick('2', '*/6', '8-18/3', '0,23', '*'),
          pick('*', '*', '1', 'L', '10-20', '31'),
          pick('*', '*', '3-10'),
          pick('*', '*', 'mon-fri', 'sun'),
        ].join(' ');
        const fromMinute = Math.floor(random() * 24) * 60;
        return cron(
          text,
          'UTC',
          random() < 0.5 ? { fromMinute, toMinute: (fromMinute + 60 + Math.floor(random() * 22) * 60) % 1440 } : undefined,
        );
      });
      const due = dueBetween(schedule, new Date(from - 1), new Date(from + 400 * DAY - 1), 20_000).map((one) => one.due.getTime());
      const gaps = due.slice(1).map((at, i) => at - due[i]!);
      const rest = from + 400 * DAY - due.at(-1)!;
      const largest = Math.max(...gaps);
      if (rest > largest) continue;
      expect(largestGap(schedule), JSON.stringify(schedule)).toBe(largest);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { type Cron, parseCron } from '../../src/policy/cron.ts';

function parsed(text: string): Cron {
  const answer = parseCron(text);
  if (answer.kind === 'fault') throw new Error(answer.message);
  return answer.cron;
}
const bits = (mask: number): number[] => Array.from({ length: 32 }, (_, n) => n).filter((n) => (mask & (1 << n)) !== 0);

describe('a cron expression', () => {
  it.each<readonly [string, Partial<Record<keyof Cron, unknown>>]>([
    ['5 4 * * *', { minutes: [5], hours: [4], isEveryHour: false, isEitherDay: false }],
    ['*/15 * * * *', { minutes: [0, 15, 30, 45], isEveryHour: true }],
    ['0 */6 * * *', { hours: [0, 6, 12, 18], isEveryHour: true }],
    ['0 0-23/6 * * *', { hours: [0, 6, 12, 18], isEveryHour: false }],
    ['50/5 1,3-5 * * *', { minutes: [50, 55], hours: [1, 3, 4, 5] }],
    ['0 0 L * *', { hasLastDay: true, isEitherDay: false }],
    ['0 0 1,L * mon', { hasLastDay: true, isEitherDay: true }],
    ['  @Daily ', { minutes: [0], hours: [0], isEveryHour: false }],
    ['@hourly', { minutes: [0], isEveryHour: true }],
  ])('%j is understood', (text, fields) => expect(parsed(text)).toMatchObject(fields));

  it.each([
    ['0 0 31 * *', 'monthDays', [31]],
    ['0 0 * JAN-mar,12 *', 'months', [1, 2, 3, 12]],
    ['0 0 * * mon-FRI', 'weekDays', [1, 2, 3, 4, 5]],
    ['0 0 * * 7', 'weekDays', [0]],
    ['0 0 * * fri-sun', 'weekDays', [0, 5, 6]],
    ['0 0 * * 5-7', 'weekDays', [0, 5, 6]],
    ['0 0 * * *', 'weekDays', [0, 1, 2, 3, 4, 5, 6]],
    ['0 0 * * */2', 'weekDays', [0, 2, 4, 6]],
    ['@weekly', 'weekDays', [0]],
    ['@monthly', 'monthDays', [1]],
    ['@yearly', 'months', [1]],
  ] as const)('%j has the days %s of %j', (text, field, days) => expect(bits(parsed(text)[field])).toEqual(days));

  it.each([
    ['', '0 fields; five are needed'],
    ['* * * *', '4 fields; five are needed'],
    ['* * * * * *', '6 fields; five are needed'],
    ['60 * * * *', '"60" is no minute: expected 0 to 59'],
    ['* 24 * * *', '"24" is no hour: expected 0 to 23'],
    ['* * 0 * *', '"0" is no day of the month: expected 1 to 31'],
    ['* * * 13 *', '"13" is no month: expected 1 to 12 or jan'],
    ['* * * * 8', '"8" is no day of the week'],
    ['* * * * montag', '"montag" is no day of the week'],
    ['* * * * mon-', '"mon-" is no day of the week'],
    ['1,,2 * * * *', '"" is no minute'],
    ['-1 * * * *', '"-1" is no minute'],
    ['1.5 * * * *', '"1.5" is no minute'],
    ['*/0 * * * *', 'the step of "*/0" must be from 1 to 60'],
    ['*/90 * * * *', 'the step of "*/90" must be from 1 to 60'],
    ['30-10 * * * *', 'goes backwards'],
    ['*-5 * * * *', '"*-5" is no minute'],
    ['* * L-3 * *', 'is no day of the month'],
    ['L * * * *', '"l" is no minute'],
    ['* * * * L', '"l" is no day of the week'],
    ['0 0 30 2 *', 'never comes'],
    ['0 0 31 4,6,9,11 *', 'never comes'],
    ['@sometimes', 'is none of @hourly'],
    ['٣ * * * *', 'is no minute'],
    [`${'1,'.repeat(200)}1 * * * *`, 'at most 200 characters'],
  ])('%j is refused, and it is said why', (text, message) => {
    const answer = parseCron(text);
    expect(answer.kind === 'fault' ? answer.message : 'understood').toContain(message);
  });

  it('of the 30th of February or a Monday comes on Mondays', () => {
    expect(parsed('0 0 30 2 mon').isEitherDay).toBe(true);
  });
});

import { expect, it } from 'vitest';
import { steadyClock } from '../../src/base/steady-clock.ts';

it('a steady clock tells the time of day, and goes on evenly when the clock of the host is set', () => {
  let wall = Date.parse('2026-03-01T10:00:00Z');
  let boot = 5_000;
  const clock = steadyClock(
    () => new Date(wall),
    () => boot,
  );
  expect(clock().toISOString()).toBe('2026-03-01T10:00:00.000Z');
  [wall, boot] = [wall - 86_400_000, boot + 1_500];
  expect(clock().toISOString()).toBe('2026-03-01T10:00:01.500Z');
});

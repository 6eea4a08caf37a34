import { describe, expect, it } from 'vitest';
import { effectivePolicy } from '../../src/policy/effective-policy.ts';
import type { PolicyDocument } from '../../src/policy/policy-document.ts';
import { bandwidthAt, tasksOf } from '../../src/policy/policy-tasks.ts';

const policy = (says: Omit<PolicyDocument, 'name'>) =>
  effectivePolicy([{ level: 'asset', document: { name: 'x', ...says } }]).policy;

describe('the tasks of a policy', () => {
  it('are those that it asks for, with what their runs need', () => {
    const tasks = tasksOf(
      policy({
        schedule: [{ cron: '@hourly' }, { cron: '@daily' }],
        verify: {
          sampled: { every: '1d', share: '5%' },
          restoreTest: { every: '7d' },
          scrub: { every: '2d' },
          full: { every: '30d' },
        },
        prune: { every: '7d', window: { from: '20:00', to: '06:00' } },
      }),
    );
    expect(tasks.map(({ name, kind, schedules, parameters }) => [name, kind, schedules.length, parameters])).toEqual([
      ['backup', 'backup', 2, {}],
      ['restore-test', 'restore-test', 1, { target: 'scratch' }],
      ['verify-scrub', 'verify', 1, { mode: 'scrub' }],
      ['verify-sampled', 'verify', 1, { mode: 'sampled', share: 0.05 }],
      ['verify-full', 'verify', 1, { mode: 'full' }],
      ['prune', 'prune', 1, {}],
    ]);
    expect(tasks.at(-1)!.schedules[0]).toEqual({
      kind: 'every',
      everyMs: 7 * 86_400_000,
      timeZone: 'UTC',
      window: { fromMinute: 1200, toMinute: 360 },
    });
    expect(tasksOf(policy({}))).toEqual([]);
  });
});

describe('the bandwidth at a moment', () => {
  const limited = policy({
    timeZone: 'Asia/Shanghai',
    limits: {
      bandwidth: [
        { upload: '100MiB' },
        { from: '08:00', to: '18:00', days: ['mon', 'tue', 'wed', 'thu', 'fri'], upload: '10MiB', download: '50MiB' },
        { from: '22:00', to: '02:00', days: ['fri'], upload: '1MiB' },
      ],
    },
  });
  const MIB = 2 ** 20;

  it.each([
    // 2026-11-20 is a Friday; Shanghai is 8 hours ahead.
    ['2026-11-20T00:00:00Z', { uploadBytesPerSecond: 10 * MIB, downloadBytesPerSecond: 50 * MIB }],
    ['2026-11-20T09:59:59Z', { uploadBytesPerSecond: 10 * MIB, downloadBytesPerSecond: 50 * MIB }],
    ['2026-11-20T10:00:00Z', { uploadBytesPerSecond: 100 * MIB }],
    ['2026-11-20T14:00:00Z', { uploadBytesPerSecond: MIB }],
    ['2026-11-20T17:59:00Z', { uploadBytesPerSecond: MIB }],
    ['2026-11-20T18:00:00Z', { uploadBytesPerSecond: 100 * MIB }],
    ['2026-11-21T01:00:00Z', { uploadBytesPerSecond: 100 * MIB }],
    ['2026-11-21T14:30:00Z', { uploadBytesPerSecond: 100 * MIB }],
    ['2026-11-19T17:30:00Z', { uploadBytesPerSecond: 100 * MIB }],
  ])('%s is the smallest that applies', (at, expected) => expect(bandwidthAt(limited, new Date(at))).toEqual(expected));

  it('is not limited when no rule says so', () => {
    expect(bandwidthAt(policy({}), new Date())).toEqual({});
  });
});

import { describe, expect, test } from 'vitest';
import { median, medians, report } from '../../bench/report.ts';
import type { Sample } from '../../bench/rounds.ts';

const MIB = 1024 * 1024;

function sample(contender: string, operation: Sample['operation'], wallSeconds: number, more: Partial<Sample> = {}): Sample {
  return {
    set: 'tree',
    contender,
    operation,
    round: 0,
    wallSeconds,
    userSeconds: wallSeconds,
    systemSeconds: 0,
    peakBytes: 100 * MIB,
    foreignShare: 0,
    isNoisy: false,
    storedBytes: 10 * MIB,
    ...more,
  };
}

describe('the medians', () => {
  test('are the middle, or the mean of the two in the middle', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });

  test('leave noisy runs out as long as there are quiet ones, and say how many those are', () => {
    const [one] = medians([sample('restic', 'first', 1), sample('restic', 'first', 9, { isNoisy: true })]);
    expect(one).toMatchObject({ wallSeconds: 1, n: 1 });
    const [other] = medians([sample('restic', 'first', 9, { isNoisy: true })]);
    expect(other).toMatchObject({ wallSeconds: 9, n: 0 });
  });
});

describe('the report', () => {
  const extents = new Map([['tree', { files: 2, bytes: 600 * MIB, allocatedBytes: 600 * MIB }]] as const);
  const samples = [
    sample('restic', 'first', 12),
    sample('holdfast', 'first', 3),
    sample('restic', 'unchanged', 2, { storedBytes: 11 * MIB }),
    sample('holdfast', 'unchanged', 0.5, { storedBytes: 10 * MIB }),
    sample('restic', 'changed', 2, { storedBytes: 51 * MIB }),
    sample('holdfast', 'changed', 1, { storedBytes: 18 * MIB }),
  ];

  test('divides the peer by ours, in time and in bytes added by the second state', () => {
    const text = report(samples, extents, ['restic', 'borg'], []);
    expect(text).toContain('| first backup | 3.00 (200) | 12.0 (50) | 4.0x |');
    expect(text).toContain('| added by the second state | 8.00 | 40.0 | 5.0x |');
  });

  test('needs neither ours nor the peers', () => {
    expect(
      report(
        samples.filter((s) => s.contender === 'restic'),
        extents,
        ['restic', 'borg'],
        [],
      ),
    ).toContain('| first backup | 12.0 (50) |');
  });
});

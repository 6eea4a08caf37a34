import { describe, expect, it } from 'vitest';
import { recoveryWindow, type WindowFacts } from '../../src/api/recovery-window.ts';
import type { RecoveryPoint } from '../../src/model/recovery-point.ts';
import type { Run } from '../../src/model/run.ts';

const HOUR_MS = 3_600_000;
const at = (hour: number): string => new Date(Date.UTC(2026, 10, 20, hour)).toISOString();
const point = (hour: number, more: Partial<RecoveryPoint> = {}): RecoveryPoint => ({
  snapshot: String(hour).padStart(20, '0'),
  tenantId: 'ten_x',
  assetId: 'ast_x',
  assetName: 'x',
  startedAt: at(hour),
  endedAt: at(hour),
  bytesScanned: 1,
  bytesStored: 1,
  hasWarnings: false,
  tags: [],
  isHeld: false,
  isSound: true,
  ...more,
});
const failed = (hour: number, code = 'STORE_FULL'): Run =>
  ({
    id: `run_${hour}`,
    kind: 'backup',
    state: 'failed',
    dueAt: at(hour),
    endedAt: at(hour),
    fault: { code, message: 'no room', hint: '' },
  }) as unknown as Run;
const window = (facts: Partial<WindowFacts>, hour: number) =>
  recoveryWindow(
    { assetId: 'ast_x', createdAt: at(0), isPaused: false, points: [], failures: [], rpoMs: 2 * HOUR_MS, ...facts },
    new Date(at(hour)),
  );

describe('a recovery window', () => {
  it('is one interval while snapshots follow each other within the RPO, and says what proves it', () => {
    const points = [point(5), point(1), point(3, { provenAt: at(4), proof: 'verify' })];
    const { intervals, gaps, earliest, latest, missing } = window({ points }, 6);
    expect(intervals).toEqual([
      {
        from: at(1),
        to: at(5),
        points: 3,
        longestStepSeconds: 7200,
        evidence: { proven: 1, newestProof: { snapshot: point(3).snapshot, provenAt: at(4), proof: 'verify' }, withWarnings: 0 },
      },
    ]);
    expect([gaps, missing, earliest, latest]).toEqual([[], [], at(1), at(5)]);
  });

  it('has a gap where a backup failed, with its fault as the cause', () => {
    const { intervals, gaps } = window({ points: [point(1), point(3), point(9)], failures: [failed(5), failed(7)] }, 10);
    expect(intervals.map(({ from, to }) => [from, to])).toEqual([
      [at(1), at(3)],
      [at(9), at(9)],
    ]);
    expect(gaps).toEqual([
      {
        from: at(3),
        to: at(9),
        seconds: 6 * 3600,
        isOpen: false,
        cause: '2 backups did not succeed; the last: no room [STORE_FULL]',
        runs: ['run_5', 'run_7'],
        damaged: [],
      },
    ]);
  });

  it('has a gap where snapshots turned out to be damaged: they are no points', () => {
    const { points, gaps } = window({ points: [point(1), point(3, { isSound: false }), point(5)] }, 6);
    expect(points).toBe(2);
    expect(gaps[0]).toMatchObject({
      from: at(1),
      to: at(5),
      damaged: [point(3).snapshot],
      cause: 'a snapshot in it turned out to be damaged',
    });
  });

  it('ends in an open gap when nothing came for longer than the RPO', () => {
    expect(window({ points: [point(1)] }, 3).gaps).toEqual([]);
    expect(window({ points: [point(1)] }, 4).gaps).toMatchObject([
      { from: at(1), to: at(4), isOpen: true, cause: 'no backup was made in this time' },
    ]);
    expect(window({ points: [point(1)], isPaused: true }, 4).gaps[0]!.cause).toBe('the asset is paused');
  });

  it('of an asset without any point is a gap since it was made', () => {
    const { intervals, gaps, missing, earliest } = window({}, 5);
    expect([intervals, earliest]).toEqual([[], undefined]);
    expect(gaps).toMatchObject([{ from: at(0), to: at(5), isOpen: true }]);
    expect(missing).toEqual(['there is no sound recovery point at all']);
  });

  it('without a promise is one interval from the first to the last', () => {
    const { rpoMs: _, ...facts } = { rpoMs: 1, points: [point(1), point(20)] };
    const shown = recoveryWindow({ assetId: 'x', createdAt: at(0), isPaused: false, failures: [], ...facts }, new Date(at(23)));
    expect(shown.intervals).toHaveLength(1);
    expect(shown.gaps).toEqual([]);
  });

  it('says when it does not reach as far back as was promised, once it could', () => {
    const proven = { provenAt: at(9) };
    expect(window({ points: [point(9, proven)], windowMs: 6 * HOUR_MS }, 10).missing[0]).toContain('the promised window begins');
    expect(window({ points: [point(9, proven)], windowMs: 12 * HOUR_MS }, 10).missing).toEqual([]);
  });
});

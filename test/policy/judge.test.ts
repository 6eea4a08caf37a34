import { describe, expect, it } from 'vitest';
import type { AssetFacts, JudgedPoint } from '../../src/policy/asset-facts.ts';
import { effectivePolicy } from '../../src/policy/effective-policy.ts';
import { type Judgement, judgeAsset, judgementText } from '../../src/policy/judge.ts';
import type { PolicyDocument } from '../../src/policy/policy-document.ts';

const NOW = new Date('2026-11-21T12:00:00.000Z');
const ago = (hours: number): string => new Date(NOW.getTime() - hours * 3_600_000).toISOString();

function point(hoursAgo: number, more: Partial<JudgedPoint> = {}): JudgedPoint {
  return { snapshot: `s${hoursAgo}`, startedAt: ago(hoursAgo), endedAt: ago(hoursAgo - 0.1), isSound: true, ...more };
}

const HEALTHY: AssetFacts = {
  assetId: 'ast_1',
  state: 'active',
  createdAt: ago(2000),
  firstBackupAt: ago(1999),
  points: [point(0.5), point(24), point(720)],
  lastRuns: [],
  agent: { label: 'web1', state: 'active', lastSeenAt: ago(0.001) },
  nextBackupAt: ago(-0.5),
  copies: [],
};

function judge(says: Omit<PolicyDocument, 'name'>, facts: Partial<AssetFacts> = {}): readonly Judgement[] {
  return judgeAsset(effectivePolicy([{ level: 'asset', document: { name: 'x', ...says } }]).policy, { ...HEALTHY, ...facts }, NOW);
}
const RPO = { objectives: { rpo: '1h' } };
const WINDOW = { objectives: { rpo: '24h' }, recoveryWindow: '30d' };
const PROOF = { objectives: { proofAge: '7d' } };
const COPIES = { copies: [{ site: 'east', maxLag: '2h', immutability: '30d' }] };
/** The last of them: of the objective that is tested. */
const one = (says: Omit<PolicyDocument, 'name'>, facts: Partial<AssetFacts> = {}): Judgement => judge(says, facts).at(-1)!;

describe('an asset', () => {
  it('is judged on what is promised, in a fixed order, and on nothing else', () => {
    expect(judge({})).toEqual([]);
    expect(
      judge({ ...COPIES, recoveryWindow: '1d', objectives: { rpo: '1h', proofAge: '7d', rto: '1h' } }).map((j) => j.objective),
    ).toEqual(['rpo', 'window', 'proof', 'copies']);
  });

  it('that is retired is owed nothing', () => {
    expect(judge(RPO, { state: 'retired', points: [] })).toEqual([]);
  });
});

describe('the recovery point objective', () => {
  it('is kept while the newest sound point is young enough, and says until when', () => {
    expect(one(RPO)).toEqual({
      assetId: 'ast_1',
      objective: 'rpo',
      isKept: true,
      measured: 1800,
      promised: 3600,
      turnsAt: ago(-0.5),
    });
    expect(one(RPO, { points: [point(1)] }).isKept).toBe(true);
    expect(one(RPO, { points: [point(2), point(-24)] }), 'dated by a clock that was ahead').toMatchObject({
      isKept: false,
      measured: 7200,
    });
    expect(one(RPO, { points: [point(2), point(-0.05)] }).isKept, 'a host a little ahead').toBe(true);
    expect(one(RPO, { points: [point(1.001)] }).isKept).toBe(false);
  });

  it('counts from the beginning of a backup: what changed while it ran is not in it', () => {
    expect(one(RPO, { points: [point(1.5, { endedAt: ago(0.1) })] })).toMatchObject({ isKept: false, measured: 5400 });
  });

  it('of an asset without a point is measured from its making', () => {
    expect(one(RPO, { points: [], createdAt: ago(0.9) })).toMatchObject({ isKept: true, measured: 3240 });
    expect(one(RPO, { points: [], createdAt: ago(3) })).toMatchObject({ isKept: false, measured: 10_800, turnsAt: ago(2) });
  });

  it('does not count a damaged point', () => {
    expect(one(RPO, { points: [point(0.5, { isSound: false }), point(5)] })).toMatchObject({
      isKept: false,
      measured: 18_000,
      cause: 'The newest recovery point, s0.5, is damaged',
    });
  });

  const old = [point(5)];
  const fault = { code: 'STORE_DENIED', message: 'The store refused the key', hint: 'Check the key.' };
  const run = { id: 'run_1', kind: 'backup', dueAt: ago(2), startedAt: ago(1.5) } as const;

  it.each<readonly [cause: string, facts: Partial<AssetFacts>, action: string]>([
    ['The asset is paused', { state: 'paused' }, 'Resume it'],
    ['The asset has no agent', { agent: undefined as never }, 'Enrol an agent'],
    ['The agent web1 is revoked', { agent: { label: 'web1', state: 'revoked' } }, 'Enrol the host again'],
    ['The agent web1 was never heard of', { agent: { label: 'web1', state: 'active' } }, 'Start "holdfast agent"'],
    [
      'The agent web1 has been silent for 3h',
      { agent: { label: 'web1', state: 'active', lastSeenAt: ago(3) } },
      'Check that its host is up',
    ],
    [
      'The last backup (run_1) failed: The store refused the key [STORE_DENIED]',
      { lastRuns: [{ ...run, state: 'failed', fault }] },
      'Check the key.',
    ],
    ['The last backup (run_1) was canceled', { lastRuns: [{ ...run, state: 'canceled' }] }, 'Start the backup again'],
    ['The backup run_1 has been running for 1h30m', { lastRuns: [{ ...run, state: 'running' }] }, 'begin earlier'],
    ['The backup run_1 has been waiting for 2h', { lastRuns: [{ ...run, state: 'queued' }] }, 'limits of concurrency'],
    ['No backup is scheduled for this asset', { nextBackupAt: undefined as never }, 'Attach a policy with a schedule'],
    ['No backup was ever made; the next backup is due in 30m', {}, 'the schedule is rarer'],
    ['The next backup is due in 30m', { lastRuns: [{ ...run, state: 'succeeded' }] }, 'the schedule is rarer'],
  ])('when broken is explained: %s', (cause, facts, action) => {
    const judged = one(RPO, { points: old, ...facts });
    expect(judged).toMatchObject({ isKept: false, cause });
    expect(judged.action).toContain(action);
  });

  it('is not blamed on the failure of another kind of run', () => {
    const judged = one(RPO, { points: old, lastRuns: [{ ...run, kind: 'verify', state: 'failed', fault }] });
    expect(judged.cause).toContain('the next backup is due');
  });
});

describe('the recovery window', () => {
  it('is kept when the oldest point reaches back far enough, one rpo more or less', () => {
    expect(one(WINDOW, { points: [point(1), point(720)] })).toMatchObject({
      isKept: true,
      measured: 720 * 3600,
      promised: 720 * 3600,
    });
    expect(one(WINDOW, { points: [point(1), point(697)] }).isKept).toBe(true);
    expect(one(WINDOW, { points: [point(1), point(695)] }).isKept).toBe(false);
  });

  it('owes a young asset its own age only', () => {
    expect(one(WINDOW, { firstBackupAt: ago(100), createdAt: ago(2000), points: [point(1), point(100)] }).isKept).toBe(true);
    expect(one(WINDOW, { firstBackupAt: ago(100), points: [point(1), point(50)] })).toMatchObject({ isKept: false });
  });

  it('is broken when points that must be there are gone, however the rest looks', () => {
    const judged = one(WINDOW, { points: [point(1), point(24)] });
    expect(judged).toMatchObject({ isKept: false, measured: 86_400 });
    expect(judged.cause).toContain('s24');
    expect(one(WINDOW, { points: [] })).toMatchObject({ isKept: false, measured: 0, cause: 'There is no recovery point at all' });
  });

  it('is broken by a damaged point within it, not by one before it', () => {
    expect(one(WINDOW, { points: [point(1), point(300, { isSound: false }), point(720)] })).toMatchObject({
      isKept: false,
      cause: '1 of 3 recovery points are damaged: s300',
    });
    expect(one(WINDOW, { points: [point(1), point(720), point(800, { isSound: false })] }).isKept).toBe(true);
  });
});

describe('the age of the last proof', () => {
  it('is that of the youngest proof of a point that still is sound', () => {
    const points = [point(1), point(24, { provenAt: ago(20) }), point(48, { provenAt: ago(47) })];
    expect(one(PROOF, { points })).toMatchObject({ objective: 'proof', isKept: true, measured: 20 * 3600 });
    expect(
      one(PROOF, { points: [point(24, { provenAt: ago(20), isSound: false }), point(48, { provenAt: ago(200) })] }),
    ).toMatchObject({
      isKept: false,
      measured: 200 * 3600,
    });
  });

  it('counts from the first backup when nothing was ever proved', () => {
    expect(one(PROOF, { firstBackupAt: ago(100) }).isKept).toBe(true);
    expect(one(PROOF, { firstBackupAt: ago(200) })).toMatchObject({
      isKept: false,
      cause: 'Nothing was ever proved, and no restore test or full verification has run since',
    });
  });

  it('when broken tells of the rehearsal that failed', () => {
    const fault = { code: 'TARGET_FULL', message: 'No room', hint: 'Free space.' };
    const lastRuns = [{ id: 'run_2', kind: 'restore-test', state: 'failed', dueAt: ago(3), fault }] as const;
    expect(one(PROOF, { lastRuns })).toMatchObject({
      cause: 'Nothing was ever proved. The last restore-test (run_2) failed: No room [TARGET_FULL]',
      action: 'Free space.',
    });
  });
});

describe('copies', () => {
  const held = { site: 'east', immutabilityMs: 30 * 86_400_000 };

  it('are in place when the site has the newest point, locked long enough', () => {
    expect(one(COPIES, { copies: [{ ...held, newestPointAt: ago(0.5) }] })).toMatchObject({
      objective: 'copies',
      isKept: true,
      measured: 0,
    });
  });

  it('may lag, counted from the end of the oldest backup that is missing there', () => {
    const points = [point(0.5), point(1.5), point(24)];
    expect(one(COPIES, { points, copies: [{ ...held, newestPointAt: ago(24) }] })).toMatchObject({
      isKept: true,
      measured: 1.4 * 3600,
    });
    expect(one(COPIES, { points: [...points, point(3)], copies: [{ ...held, newestPointAt: ago(24) }] })).toMatchObject({
      isKept: false,
      measured: 2.9 * 3600,
      cause: 'The site "east" lacks 3 recovery points and is 2h54m behind',
    });
  });

  it('of which nothing is known are not in place, nor are those that can be deleted', () => {
    expect(one(COPIES)).toMatchObject({ isKept: false, cause: 'Nothing is known of a copy at the site "east"' });
    expect(one(COPIES, { copies: [{ site: 'east', newestPointAt: ago(0.5), immutabilityMs: 86_400_000 }] })).toMatchObject({
      isKept: false,
      cause: 'What lies at the site "east" can be deleted too early',
    });
  });

  it('of a log may lag as well: counted from when the site had all of it', () => {
    const log = { earliestAt: ago(20), latestAt: ago(0.1) };
    const at = (asOf: string) => ({ log, copies: [{ ...held, newestPointAt: ago(0.5), asOf }] });
    expect(one(COPIES, at(ago(0.05)))).toMatchObject({ isKept: true, measured: 0 });
    expect(one(COPIES, at(ago(1)))).toMatchObject({ isKept: true, measured: 3600 });
    expect(one(COPIES, at(ago(3)))).toMatchObject({
      isKept: false,
      measured: 3 * 3600,
      cause: 'The site "east" is 3h behind with the log',
    });
  });

  it('are all needed: one of two is not enough', () => {
    const both = { copies: [...COPIES.copies, { site: 'west' }] };
    expect(one(both, { copies: [{ ...held, newestPointAt: ago(0.5) }] })).toMatchObject({
      isKept: false,
      cause: 'Nothing is known of a copy at the site "west"',
    });
  });
});

describe('a judgement', () => {
  it('reads as a line', () => {
    expect(judgementText(one(RPO, { points: [point(5)] }))).toBe('recovery point broken: 5h, promised 1h');
  });

  it('never lacks a cause and an action when it is broken', () => {
    const all = judge(
      { ...COPIES, recoveryWindow: '30d', objectives: { rpo: '1h', proofAge: '7d' } },
      { points: [point(400, { isSound: false })] },
    );
    expect(all.map(({ isKept }) => isKept)).toEqual([false, false, false, false]);
    for (const { cause, action } of all) {
      expect(cause).toMatch(/^[A-Z0-9]/);
      expect(action).toMatch(/\.$/);
    }
  });
});

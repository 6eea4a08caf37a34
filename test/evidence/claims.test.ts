import { describe, expect, it } from 'vitest';
import { type Claim, type Claims, claimsOf } from '../../src/evidence/claims.ts';
import { GBT_20988_2007 } from '../../src/evidence/gbt-20988.ts';
import { provenLevel } from '../../src/evidence/level.ts';
import { decodePack } from '../../src/evidence/pack.ts';
import { renderReport } from '../../src/evidence/report.ts';
import { verifyEvidence } from '../../src/evidence/verify-pack.ts';
import {
  at,
  chainOf,
  detailsOf,
  FAILOVER,
  forged,
  LEVEL_FACTS,
  PAIR,
  type PackOptions,
  PLAN,
  packText,
  type Told,
} from '../support/evidence.ts';

const claims = (options: PackOptions = {}): Claims => claimsOf(detailsOf(options));
const valueIn = (made: Claims, id: Claim['id']) => made.claims.find((one) => one.id === id)!.value;
const member = (asset: string) => ({ asset, kind: 'postgres' as const, replayLimit: '1m', startLimit: '1m' });
const without = (kind: string): Told[] => FAILOVER.filter(([one]) => one !== kind);

describe('what was lost and how long it took', () => {
  it('is counted from the heartbeat in the recovered data to the disaster, and from the declaration to the first write', () => {
    const made = claims();
    expect(valueIn(made, 'rpo')).toEqual({ ms: 4000, objectiveMs: 10_000, isKept: true });
    expect(valueIn(made, 'rto')).toEqual({ ms: 45_000, objectiveMs: 40 * 60_000, isKept: true });
    expect(valueIn(made, 'outcome')).toMatchObject({ outcome: 'succeeded' });
    expect(made.phases.map(({ state, ms }) => [state, ms])).toEqual([
      ['fenced', 9000],
      ['sealed', 2000],
      ['promoted', 17_000],
    ]);
    expect(made.claims.find(({ id }) => id === 'rpo')!.from).toEqual(['m2', 'm7', 'm9']);
  });

  it('is that of the worst asset, whatever the others say', () => {
    const second: Told[] = [
      ['heartbeat', 'pg/other', { newest: at(-20), sequence: 1, isSigned: true }],
      ['first-write', 'pg/other', { at: at(500), position: '0/1' }],
    ];
    const made = claims({ told: [...FAILOVER, ...second] });
    expect(valueIn(made, 'rpo')).toMatchObject({ ms: 20_000, isKept: false });
    expect(valueIn(made, 'rto')).toMatchObject({ ms: 470_000 });
  });

  it('is not claimed without a measurement, nor of a heartbeat that is not signed', () => {
    expect(valueIn(claims({ told: without('heartbeat') }), 'rpo')).toMatchObject({ ms: null, isKept: false });
    const unsigned: Told[] = [...FAILOVER, ['heartbeat', 'pg/other', { newest: at(-1), sequence: 1, isSigned: false }]];
    expect(valueIn(claims({ told: unsigned }), 'rpo')).toMatchObject({ ms: null, isKept: false });
    const made = claims({ told: without('first-write') });
    expect(valueIn(made, 'rto')).toMatchObject({ ms: null });
    expect(valueIn(made, 'outcome')).toMatchObject({ outcome: 'failed' });
  });

  it('is not claimed of a plan while one of its members was not measured', () => {
    const withoutFiles = FAILOVER.filter(([, of]) => of !== 'files/portal-uploads');
    expect(valueIn(claims({ told: withoutFiles }), 'rpo')).toMatchObject({ ms: null, isKept: false });
    const plan = { ...PLAN, groups: [{ ...PLAN.groups[0]!, members: [...PLAN.groups[0]!.members, member('pg/other')] }] };
    expect(valueIn(claims({ plan }), 'rto')).toMatchObject({ ms: null, isKept: false });
    // Of a pack that was made when nobody asked for it, the sums are done as they were then.
    const then = claimsOf(detailsOf({ told: withoutFiles }), 1);
    expect(then).toMatchObject({ rules: 1 });
    expect(valueIn(then, 'rpo')).toMatchObject({ ms: 4000, isKept: true });
    const text = forged(packText({ told: withoutFiles }), (pack) => Object.assign(pack.body, { claims: then }), PAIR);
    expect(verifyEvidence({ text: Buffer.from(text), trusted: [], attachment: () => undefined }).problems).toEqual([]);
  });

  it('counts a test for the runs that the plan holds it in, and none at all for no success', () => {
    const only = (kind: 'planned' | 'unplanned') => ({
      ...PLAN,
      smokeTests: PLAN.smokeTests.map((test) => (test.name === 'submit' ? { ...test, only: [kind] } : test)),
    });
    const told = FAILOVER.filter(([kind, of]) => kind !== 'smoke' || of !== 'submit');
    expect(valueIn(claims({ kind: 'unplanned', plan: only('planned'), told }), 'outcome')).toMatchObject({ outcome: 'succeeded' });
    expect(valueIn(claims({ kind: 'unplanned', plan: only('unplanned'), told }), 'outcome')).toMatchObject({ outcome: 'failed' });
    const none = { ...PLAN, smokeTests: PLAN.smokeTests.map((test) => ({ ...test, only: ['planned' as const] })) };
    expect(valueIn(claims({ kind: 'unplanned', plan: none, told: without('smoke') }), 'outcome')).toMatchObject({
      outcome: 'failed',
    });
    // Of a pack that was made before, the sums are done as they were then.
    expect(valueIn(claimsOf(detailsOf({ kind: 'unplanned', plan: only('planned'), told }), 2), 'outcome')).toMatchObject({
      outcome: 'failed',
    });
  });

  it('is no success when a test of the application failed or was left out, or an action failed', () => {
    const failing: Told[] = [...FAILOVER, ['smoke', 'login', { status: 1, text: 'no' }]];
    expect(valueIn(claims({ told: failing }), 'outcome')).toMatchObject({ outcome: 'failed' });
    const skipped = FAILOVER.filter(([kind, of]) => kind !== 'smoke' || of !== 'submit');
    expect(valueIn(claims({ told: skipped }), 'outcome')).toMatchObject({ outcome: 'failed' });
    const action: Told = ['action', 'x', { action: 'x', state: 'routed', startedAt: at(1), endedAt: at(2), outcome: 'failed' }];
    expect(valueIn(claims({ told: [...FAILOVER, action] }), 'outcome')).toMatchObject({ outcome: 'failed', failed: 1 });
  });

  it('names break-glass as what it is: no proof', () => {
    const told: Told[] = [...FAILOVER, ['fencing', 'site-a', { proof: 'break-glass', text: 'two people' }]];
    expect(valueIn(claims({ told }), 'fencing')).toEqual({ proof: 'break-glass', isProven: false });
  });
});

describe('between the members of a group', () => {
  const held = (declared: object, ...values: readonly Told[2][]) => {
    const group = { ...PLAN.groups[0]!, members: ['pg/a', 'pg/b'].map(member), ...declared };
    const told = values.map((value, i): Told => ['recovered', ['pg/a', 'pg/b'][i]!, value]);
    return valueIn(claims({ plan: { ...PLAN, groups: [group] }, told }), 'consistency');
  };
  const at1 = { at: at(1), isWhole: false, point: null, isQuiet: false };
  const at3 = { ...at1, at: at(3) };
  const point = { ...at1, point: 'nightly', isQuiet: true };

  it.each<[string, object, readonly Told[2][], object]>([
    [
      'their spread is told when nothing is declared',
      { consistency: 'none' },
      [at1, at3],
      { reached: 'none', spreadMs: 2000, isKept: true },
    ],
    ['a time is kept', { consistency: 'epsilon', epsilon: '2s' }, [at1, at3], { reached: 'epsilon', isKept: true }],
    ['a time is not kept', { consistency: 'epsilon', epsilon: '1s' }, [at1, at3], { reached: 'none', isKept: false }],
    [
      'an instant that nobody knows keeps nothing',
      { consistency: 'epsilon', epsilon: '1h' },
      [at1, { ...at1, at: null }],
      { spreadMs: null, isKept: false },
    ],
    [
      'nor one of a member that was not measured',
      { consistency: 'epsilon', epsilon: '1h' },
      [at1],
      { spreadMs: null, isKept: false },
    ],
    [
      'one restore point is a barrier',
      { consistency: 'barrier' },
      [point, point],
      { reached: 'barrier', point: 'nightly', isKept: true },
    ],
    ['two of them are none', { consistency: 'barrier' }, [point, { ...point, point: 'other' }], { reached: 'none', isKept: false }],
    [
      'nor one with commits before the last of it',
      { consistency: 'barrier' },
      [point, { ...point, isQuiet: false }],
      { isKept: false },
    ],
    ['closeness is no barrier', { consistency: 'barrier' }, [at1, at1], { reached: 'none', spreadMs: 0, isKept: false }],
    [
      'what lost nothing belongs together',
      { consistency: 'barrier' },
      [
        { ...at1, isWhole: true },
        { ...at3, isWhole: true },
      ],
      { reached: 'whole', spreadMs: 0, isKept: true },
    ],
  ])('%s', (_, declared, values, expected) => {
    expect(held({ epsilon: undefined, ...declared }, ...values)).toMatchObject(expected);
  });
});

describe('a drill', () => {
  const probes = PLAN.drill!.probes.map((address): Told => ['probe', address, { address, method: 'tcp', isReached: false }]);
  const good: Told[] = [
    ...without('fencing'),
    ...probes,
    ['fingerprint', 'production', { before: 'aa', after: 'aa' }],
    ['standby', 'pg/portal', { before: 100, after: 200 }],
    ['destruction', 'clone', { isGone: true, text: '' }],
  ];
  const outcome = (told: readonly Told[]) => valueIn(claims({ kind: 'drill', told }), 'outcome').outcome;

  it('that was isolated and is gone succeeds', () => {
    expect(outcome(good)).toBe('succeeded');
  });

  it.each<[string, readonly Told[]]>([
    ['a probe reached something', [...good, ['probe', 'x', { address: 'x', method: 'tcp', isReached: true }]]],
    ['an address of the plan was not probed', good.filter(([, of]) => of !== PLAN.drill!.probes[0])],
    ['something of production changed', [...good, ['fingerprint', 'routes', { before: 'aa', after: 'bb' }]]],
    ['nobody looked at production', good.filter(([kind]) => kind !== 'fingerprint')],
    ['the standby stopped', [...good, ['standby', 'pg/other', { before: 7, after: 7 }]]],
  ])('is void when %s', (_, told) => {
    expect(outcome(told)).toBe('void');
  });

  it('that left something behind has failed', () => {
    expect(outcome([...good, ['destruction', 'volume', { isGone: false, text: 'busy' }]])).toBe('failed');
    expect(outcome(good.filter(([kind]) => kind !== 'destruction'))).toBe('failed');
  });
});

describe('the level of GB/T 20988', () => {
  const level = (told: readonly Told[], when = at(0)) => provenLevel(GBT_20988_2007, chainOf(told), when);

  it('is the lowest of the seven elements, and never one without any loss', () => {
    const best = level(LEVEL_FACTS);
    expect(best.level).toBe(5);
    expect(best.elements).toEqual({ data: 5, processing: 6, network: 6, premises: 6, support: 6, operation: 6, plan: 6 });
    expect(best.gaps).toEqual([{ element: 'data', level: 6, requirement: 'data.no-loss' }]);
    const claimed: Told[] = [
      ...LEVEL_FACTS,
      ['attestation', 'x', { requirement: 'data.no-loss', by: 'chief', validUntil: at(9e6) }],
    ];
    expect(level(claimed).level).toBe(5);
  });

  it('falls with one element, and says what is missing there and what was found', () => {
    const stale: Told[] = [...LEVEL_FACTS, ['fact', 'replica', { name: 'replicaLagSeconds', value: 600 }]];
    expect(level(stale)).toMatchObject({
      level: 4,
      gaps: [{ element: 'data', level: 5, requirement: 'data.real-time', found: 600 }],
    });
    const untested = LEVEL_FACTS.filter(([, , { name }]) => name !== 'planRunAgeSeconds');
    expect(level(untested)).toMatchObject({ level: 0, elements: { plan: 0 } });
    expect(level([])).toMatchObject({ level: 0, from: [] });
  });

  it('is not rehearsed by a run that has failed', () => {
    const failed: Told = ['smoke', 'login', { status: 1, text: 'no' }];
    expect(claims({ told: [...FAILOVER, ...LEVEL_FACTS] }).levels[0]).toMatchObject({ level: 5 });
    const { levels } = claims({ told: [...FAILOVER, failed, ...LEVEL_FACTS] });
    expect(levels[0]).toMatchObject({ level: 0, elements: { plan: 0, operation: 0, data: 5 } });
    const text = forged(
      packText({ told: [...FAILOVER, failed, ...LEVEL_FACTS] }),
      (pack) => Object.assign(pack.body, { claims: claimsOf(detailsOf({ told: [...FAILOVER, failed, ...LEVEL_FACTS] }), 2) }),
      PAIR,
    );
    expect(verifyEvidence({ text: Buffer.from(text), trusted: [], attachment: () => undefined }).problems).toEqual([]);
  });

  it("does not count a person's word that has expired", () => {
    expect(level(LEVEL_FACTS, at(86_401)).level).toBe(0);
  });

  it('asks for nothing that is not described, and describes nothing that is not asked for', () => {
    const asked = new Set(Object.values(GBT_20988_2007.requires).flat(2));
    expect([...asked].sort()).toEqual(GBT_20988_2007.requirements.map(({ id }) => id).sort());
    for (const levels of Object.values(GBT_20988_2007.requires)) expect(levels).toHaveLength(6);
  });
});

describe('a report', () => {
  it.each(['en', 'zh'] as const)('in "%s" shows the claims with what they rest on, the timeline and the level', (language) => {
    const pack = decodePack(JSON.parse(packText({ told: [...FAILOVER, ...LEVEL_FACTS] })));
    const html = renderReport(pack, language);
    for (const part of ['<svg', 'm2, m7, m9', '4 s', '45 s', 'GB/T 20988-2007', language === 'zh' ? '第 5 级' : 'level 5'])
      expect(html).toContain(part);
    // Nothing comes from elsewhere, and nothing runs.
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|<link|@import|url\(/);
  });

  it.each([
    ['en', 'UTC', 'from the newest heartbeat', 'What is missing for level 6', 'each in its last try'],
    ['zh', 'UTC', '从恢复出的数据中最新的心跳', '达到第 6 级所缺', '每一步以最后一次执行为准'],
  ] as const)(
    'in "%s" tells the zone of its times, what each figure is counted between and what which level lacks',
    (language, ...parts) => {
      const html = renderReport(decodePack(JSON.parse(packText({ told: [...FAILOVER, ...LEVEL_FACTS] }))), language);
      for (const part of parts) expect(html).toContain(part);
      // Moments of one second can be read beside each other, and their times stand below.
      const labels = [...html.matchAll(/<text x="[\d.]+" y="([\d.]+)" text-anchor="end">([^<]+)<\/text>/g)].map(([, y, text]) => ({
        y,
        text,
      }));
      expect(labels.length).toBeGreaterThan(4);
      expect(new Set(labels.map(({ y }) => y)).size).toBe(labels.length);
      for (const { text } of labels.slice(0, 4))
        expect(html).toMatch(new RegExp(`<td>${text}</td><td>\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z</td>`));
    },
  );

  it('cannot be changed by what was measured', () => {
    const told: Told[] = [
      ...FAILOVER,
      ['smoke', '<script>alert(1)</script>', { status: 0, text: '"><img src=x onerror=y>' }],
      // Whoever may write into the database says what its heartbeat is; this is a time to Date.parse.
      ['heartbeat', 'pg/ledger', { newest: '2026-01-01 00:00:00 (<img src=x onerror=y>)', sequence: 1, isSigned: false }],
    ];
    const html = renderReport(decodePack(JSON.parse(packText({ told }))), 'en');
    expect(html).not.toMatch(/<script|<img/);
  });
});

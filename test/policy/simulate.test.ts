import { describe, expect, it } from 'vitest';
import { effectivePolicy } from '../../src/policy/effective-policy.ts';
import { policyDiff } from '../../src/policy/policy-diff.ts';
import type { PolicyDocument } from '../../src/policy/policy-document.ts';
import type { EffectivePolicy } from '../../src/policy/policy-terms.ts';
import { planForget } from '../../src/policy/retention.ts';
import { SIMULATED_RUNS_MAX, simulatePolicy } from '../../src/policy/simulate.ts';
import { timelineSvg } from '../../src/policy/timeline-svg.ts';
import { timelineText } from '../../src/policy/timeline-text.ts';
import { seededRandom } from '../support/seeded-random.ts';

const policy = (says: Omit<PolicyDocument, 'name'>): EffectivePolicy =>
  effectivePolicy([{ level: 'asset', document: { name: 'x', ...says } }]).policy;
const FROM = new Date('2026-01-01T00:00Z');
const dayNumber = (days: number): Date => new Date(FROM.getTime() + days * 86_400_000);
const DAILY = { schedule: [{ cron: '@daily' }] };
const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);

describe('a simulation', () => {
  it('runs what is due from the first moment on, and not at the last', () => {
    const { tasks, points } = simulatePolicy(policy(DAILY), FROM, dayNumber(3));
    expect(tasks.map(({ name, runs }) => [name, runs.map(({ due }) => due.toISOString().slice(0, 10))])).toEqual([
      ['backup', ['2026-01-01', '2026-01-02', '2026-01-03']],
    ]);
    expect(points.map(({ at }) => at.getTime())).toEqual([dayNumber(0), dayNumber(1), dayNumber(2)].map((at) => at.getTime()));
  });

  it('keeps what the retention keeps, and says why', () => {
    const { points, reachMs } = simulatePolicy(policy({ ...DAILY, retention: { keepLast: 1, weekly: 2 } }), FROM, dayNumber(14));
    expect(points.filter(({ reasons }) => reasons.length > 0)).toEqual([
      { at: dayNumber(10), reasons: ['the newest of the week 2026-W02'] },
      { at: dayNumber(13), reasons: ['the newest', 'the newest of the week 2026-W03'] },
    ]);
    expect(reachMs).toBe(4 * 86_400_000);
  });

  it('of a policy without retention, or under a legal hold, forgets nothing', () => {
    for (const retention of [undefined, { daily: 0 }, { keepLast: 1, legalHold: true }]) {
      const { points } = simulatePolicy(
        policy({ ...DAILY, ...(retention === undefined ? {} : { retention }) }),
        FROM,
        dayNumber(10),
      );
      expect(points.filter(({ reasons }) => reasons.length > 0)).toHaveLength(10);
    }
  });

  it('of a policy that schedules nothing is empty', () => {
    expect(simulatePolicy(policy({}), FROM, dayNumber(10))).toEqual({
      from: FROM,
      to: dayNumber(10),
      tasks: [],
      points: [],
      reachMs: 0,
    });
  });

  it('says so when there are more runs than it looks at', () => {
    const { tasks } = simulatePolicy(policy({ schedule: [{ cron: '* * * * *' }] }), FROM, dayNumber(100));
    expect(tasks[0]).toMatchObject({ isCut: true });
    expect(tasks[0]!.runs).toHaveLength(SIMULATED_RUNS_MAX);
  });

  it(`keeps the same as forgetting after each backup does (seed ${SEED}; HOLDFAST_TEST_SEED chooses another)`, () => {
    const random = seededRandom(SEED);
    const some = (most: number): number => Math.floor(random() * most);
    for (let n = 0; n < 12; n++) {
      const retention = {
        keepLast: some(4),
        hourly: some(10),
        daily: 1 + some(10),
        weekly: some(5),
        monthly: some(4),
        within: `${some(5)}d`,
      };
      const subject = policy({ schedule: [{ cron: ['0 */6 * * *', '@daily', '0 3,15 * * mon-fri'][some(3)]! }], retention });
      const { points } = simulatePolicy(subject, FROM, dayNumber(60), `ast_${n}`);
      const { timeZone, legalHold: _, ...rules } = subject.retention;
      let left: { id: string; asset: string; startedAt: string; tags: string[] }[] = [];
      for (const { at } of points) {
        left.push({ id: at.toISOString(), asset: '', startedAt: at.toISOString(), tags: [] });
        const kept = new Set(planForget(left, rules, { timeZone }).groups[0]!.kept.map(({ snapshot }) => snapshot.id));
        left = left.filter(({ id }) => kept.has(id));
      }
      expect(
        points.filter(({ reasons }) => reasons.length > 0).map(({ at }) => at.toISOString()),
        JSON.stringify(retention),
      ).toEqual(left.map(({ id }) => id));
    }
  });
});

describe('the picture', () => {
  const simulation = simulatePolicy(
    policy({ ...DAILY, recoveryWindow: '7d', retention: { within: '7d' }, prune: { every: '5d' } }),
    FROM,
    dayNumber(20),
    'ast_1',
  );

  it('in text has a lane for each kind of work and for what is kept and forgotten, as wide as asked', () => {
    expect(timelineText(simulation, 40)).toEqual([
      '           2026-01-01     2026-01-11     2026-01-21',
      `backup     ${'█ '.repeat(20)}  20`,
      expect.stringMatching(/^prune {6}[ █]{40} {2}4$/),
      `kept       ${' '.repeat(24)}${'█ '.repeat(8)}  8`,
      `forgotten  ${'█ '.repeat(12)}${' '.repeat(16)}  12`,
    ]);
  });

  it('in text may be narrow, or of nothing', () => {
    for (const line of timelineText(simulation, 10)) expect(line.length).toBeLessThan(40);
    expect(timelineText(simulatePolicy(policy({}), FROM, dayNumber(1)), 40)).toHaveLength(1);
  });

  it('as SVG is well-formed, says what it shows, and lets no text out of its place', () => {
    const svg = timelineSvg(simulation, 'A & B <script>alert("x")</script>\u0000');
    expect(svg).toContain('<title>A &amp; B &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;</title>');
    expect(svg).not.toContain('<script');
    expect(svg).not.toContain('\u0000');
    expect(svg).toContain('2026-01-01 to 2026-01-21; one can return 8d back, 7d promised');
    for (const name of ['backup', 'prune', 'kept', 'forgotten']) expect(svg).toContain(`>${name}</text>`);
    const open: string[] = [];
    for (const [, slash, name, end] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
      if (slash === '/') expect(open.pop()).toBe(name);
      else if (end !== '/') open.push(name!);
    }
    expect(open).toEqual([]);
    expect(svg).not.toContain('NaN');
  });

  it('as SVG does not grow with the runs', () => {
    const dense = simulatePolicy(policy({ schedule: [{ cron: '* * * * *' }] }), FROM, dayNumber(10));
    expect(timelineSvg(dense, 'x').length).toBeLessThan(60_000);
  });
});

describe('a difference of policies', () => {
  const differences = (a: Omit<PolicyDocument, 'name'>, b: Omit<PolicyDocument, 'name'>) => policyDiff(policy(a), policy(b));

  it('is one of meaning, not of writing', () => {
    expect(
      differences(
        {
          objectives: { rpo: '60m' },
          verify: { sampled: { every: '24h', share: '5.0%' } },
          limits: { bandwidth: [{ upload: '1024KiB' }] },
        },
        {
          objectives: { rpo: '1h' },
          verify: { sampled: { every: '1d', share: '5%' } },
          limits: { bandwidth: [{ upload: '1MiB' }] },
        },
      ),
    ).toEqual([]);
  });

  it('says what is stricter, what is weaker and what is neither', () => {
    expect(
      differences(
        {
          objectives: { rpo: '1h', rto: '1h' },
          schedule: [{ cron: '0 2 * * *' }],
          limits: { priority: 10 },
          hooks: { before: [{ command: ['/a', 'b'], timeout: '1m' }] },
        },
        { objectives: { rpo: '2h', proofAge: '7d' }, schedule: [{ cron: '0 3 * * *', jitter: '5m' }], prune: { every: '7d' } },
      ),
    ).toEqual([
      { field: 'objectives.rpo', before: '1h', after: '2h', effect: 'weaker' },
      { field: 'objectives.rto', before: '1h', effect: 'weaker' },
      { field: 'objectives.proofAge', after: '7d', effect: 'stricter' },
      {
        field: 'schedule',
        before: '"0 2 * * *" UTC (at most 1d apart)',
        after: '"0 3 * * *" UTC (at most 1d apart)',
        effect: 'other',
      },
      { field: 'schedule.jitter', after: '5m', effect: 'other' },
      { field: 'limits.priority', before: '10', after: '50', effect: 'other' },
      { field: 'hooks.before', before: '/a b (1m, then fail)', effect: 'other' },
      { field: 'prune.every', after: '7d', effect: 'other' },
    ]);
  });
});

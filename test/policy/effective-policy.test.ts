import { describe, expect, it } from 'vitest';
import { effectivePolicy, isWeaker, type PolicyLevel, weakenings } from '../../src/policy/effective-policy.ts';
import { withBases } from '../../src/policy/policy-bases.ts';
import type { PolicyDocument } from '../../src/policy/policy-document.ts';
import { measuresOf } from '../../src/policy/policy-measures.ts';
import type { EffectivePolicy } from '../../src/policy/policy-terms.ts';
import { seededRandom } from '../support/seeded-random.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type Says = Omit<PolicyDocument, 'name'>;
const LEVELS = ['city', 'district', 'tenant', 'asset'] as const;

/** Highest first. */
function levels(...documents: readonly Says[]): PolicyLevel[] {
  return documents.map((says, i) => ({ level: LEVELS[i]!, document: { name: `p${i}`, ...says } }));
}
const effective = (...documents: readonly Says[]) => effectivePolicy(levels(...documents));
const policy = (...documents: readonly Says[]): EffectivePolicy => effective(...documents).policy;
const problems = (...documents: readonly Says[]): string[] => effective(...documents).problems.map(({ field }) => field);

describe('what a level does not say', () => {
  it('is inherited, from the nearest that says it', () => {
    const { policy: all, problems: found } = effective(
      { objectives: { rpo: '24h', rto: '1d' }, recoveryWindow: '30d', timeZone: 'Asia/Shanghai' },
      { objectives: { rpo: '8h' } },
      {},
      { schedule: [{ cron: '@hourly' }] },
    );
    expect(found).toEqual([]);
    expect(all).toMatchObject({
      name: 'p3',
      objectives: { rpoMs: 8 * HOUR, rtoMs: DAY },
      recoveryWindowMs: 30 * DAY,
      schedule: [{ cron: '@hourly', timeZone: 'Asia/Shanghai' }],
    });
    expect(all.origins).toMatchObject({ 'objectives.rpo': 'district "p1"', recoveryWindow: 'city "p0"', schedule: 'asset "p3"' });
  });

  it('by no level at all promises nothing, and drops nothing', () => {
    expect(effectivePolicy([])).toEqual({
      policy: {
        name: 'none',
        objectives: {},
        schedule: [],
        retention: { timeZone: 'UTC', legalHold: false },
        copies: [],
        verify: {},
        limits: { bandwidth: [], priority: 50 },
        hooks: { before: [], after: [] },
        origins: {},
      },
      problems: [],
    });
  });
});

describe('a lower level', () => {
  it.each<readonly [what: string, higher: Says, lower: Says]>([
    ['objectives.rpo', { objectives: { rpo: '1h' } }, { objectives: { rpo: '61m' } }],
    ['objectives.rto', { objectives: { rto: '1h' } }, { objectives: { rto: '2h' } }],
    ['objectives.proofAge', { objectives: { proofAge: '7d' } }, { objectives: { proofAge: '8d' } }],
    ['recoveryWindow', { recoveryWindow: '30d' }, { recoveryWindow: '29d' }],
    ['schedule', { schedule: [{ cron: '@hourly' }] }, { schedule: [{ cron: '0 */2 * * *' }] }],
    ['schedule', { schedule: [{ cron: '@hourly' }] }, { schedule: [{ cron: '@hourly', window: { from: '20:00', to: '06:00' } }] }],
    ['schedule.continuousLog', { schedule: [{ cron: '@daily', continuousLog: true }] }, { schedule: [{ cron: '@daily' }] }],
    [
      'schedule.afterLog',
      { schedule: [{ cron: '@daily', afterLog: '1GiB' }] },
      { schedule: [{ cron: '@daily', afterLog: '2GiB' }] },
    ],
    ['retention.keepLast', { retention: { keepLast: 3 } }, { retention: { keepLast: 2 } }],
    ['retention.daily', { retention: { daily: 7 } }, { retention: { daily: 6, weekly: 5 } }],
    ['retention.within', { retention: { within: '30d' } }, { retention: { within: '29d' } }],
    [
      'copies.east.immutability',
      { copies: [{ site: 'east', immutability: '30d' }] },
      { copies: [{ site: 'east', immutability: '1d' }] },
    ],
    ['copies.east.maxLag', { copies: [{ site: 'east', maxLag: '1h' }] }, { copies: [{ site: 'east', maxLag: '2h' }] }],
    ['verify.full.every', { verify: { full: { every: '30d' } } }, { verify: { full: { every: '60d' } } }],
    [
      'verify.sampled.share',
      { verify: { sampled: { every: '1d', share: '5%' } } },
      { verify: { sampled: { every: '1d', share: '4%' } } },
    ],
    ['verify.restoreTest.every', { verify: { restoreTest: { every: '7d' } } }, { verify: { restoreTest: { every: '8d' } } }],
    ['limits.concurrency.perHost', { limits: { concurrency: { perHost: 1 } } }, { limits: { concurrency: { perHost: 2 } } }],
    ['limits.priority', { limits: { priority: 60 } }, { limits: { priority: 61 } }],
  ])('may not loosen %s, the other way is tightening, and the stricter one is in force', (field, higher, lower) => {
    expect(problems(higher, lower)).toEqual([field]);
    expect(problems(lower, higher)).toEqual([]);
    expect(problems(higher, higher)).toEqual([]);
    const measure = (of: EffectivePolicy) => measuresOf(of).find((one) => one.field === field);
    const strict = measure(policy(higher));
    expect(strict).toBeDefined();
    expect(measure(policy(higher, lower))).toEqual(strict);
    expect(measure(policy(lower, higher))).toEqual(strict);
  });

  it('that contradicts is told with both levels and what each says', () => {
    const { problems: found } = effectivePolicy([
      { level: 'district', scope: 'north', document: { name: 'base', objectives: { rpo: '1h' } } },
      { level: 'asset', document: { name: 'lax', objectives: { rpo: '4h' } } },
    ]);
    expect(found).toEqual([
      {
        field: 'objectives.rpo',
        higher: { level: 'district north "base"', value: '1h' },
        lower: { level: 'asset "lax"', value: '4h' },
        message: 'objectives.rpo: district north "base" requires 1h; asset "lax" says 4h, and must say at most that',
      },
    ]);
  });

  it('cannot take away copies, tags, holds, hooks or limits: they are gathered', () => {
    const all = policy(
      {
        copies: [{ site: 'east', maxLag: '2h' }],
        retention: { keepTags: [['audit']], legalHold: true },
        hooks: { before: [{ command: ['/a'], timeout: '1m' }], after: [{ command: ['/a'], timeout: '1m' }] },
        limits: { bandwidth: [{ upload: '10MiB' }] },
      },
      {
        copies: [{ site: 'west' }, { site: 'east', immutability: '30d' }],
        retention: { keepTags: [['audit'], ['x', 'y']], legalHold: false },
        hooks: { before: [{ command: ['/b'], timeout: '1m' }], after: [{ command: ['/b'], timeout: '1m' }] },
        limits: { bandwidth: [{ upload: '20MiB' }] },
      },
    );
    expect(all.copies).toEqual([{ site: 'east', immutabilityMs: 30 * DAY, maxLagMs: 2 * HOUR }, { site: 'west' }]);
    expect(all.retention).toMatchObject({ keepTags: [['audit'], ['x', 'y']], legalHold: true });
    expect(all.hooks.before.map(({ command }) => command[0])).toEqual(['/a', '/b']);
    expect(all.hooks.after.map(({ command }) => command[0])).toEqual(['/b', '/a']);
    expect(all.limits.bandwidth.map(({ uploadBytesPerSecond }) => uploadBytesPerSecond)).toEqual([10 * 2 ** 20, 20 * 2 ** 20]);
  });

  it('may say another time zone: its own entries mean it, those of the level above do not', () => {
    const higher: Says = { timeZone: 'Asia/Shanghai', schedule: [{ cron: '0 2 * * *' }] };
    expect(policy(higher, { timeZone: 'Europe/Berlin' }).schedule[0]?.timeZone).toBe('Asia/Shanghai');
    expect(policy(higher, { timeZone: 'Europe/Berlin', schedule: [{ cron: '0 3 * * *' }] }).schedule[0]?.timeZone).toBe(
      'Europe/Berlin',
    );
    expect(problems(higher, { timeZone: 'Europe/Berlin', schedule: [{ cron: '0 3 * * *' }] })).toEqual([]);
  });

  it('may choose its own priority when no level above has spoken', () => {
    expect(policy({}, { limits: { priority: 90 } }).limits.priority).toBe(90);
  });
});

describe('taking away', () => {
  it('is weaker: an objective, a copy, a schedule, a hold', () => {
    const before = policy({
      objectives: { rpo: '1h' },
      copies: [{ site: 'east' }],
      schedule: [{ cron: '@hourly' }],
      retention: { daily: 7, legalHold: true },
    });
    expect(weakenings(before, policy({})).map(({ message }) => message)).toEqual([
      'objectives.rpo goes from 1h to nothing',
      'schedule goes from "@hourly" UTC (at most 1h apart) to nothing',
      'retention.daily goes from 7 to nothing',
      'retention.legalHold goes from yes to nothing',
      'copies.east goes from yes to nothing',
    ]);
    expect(isWeaker(policy({}), before)).toBe(false);
  });

  it('of limits, hooks and prune is not: they promise nothing', () => {
    const before = policy({
      limits: { concurrency: { perHost: 1 }, priority: 90, bandwidth: [{ upload: '1MiB' }] },
      prune: { every: '1d' },
    });
    expect(isWeaker(before, policy({}))).toBe(false);
  });
});

const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);

describe(`inheritance (seed ${SEED}; HOLDFAST_TEST_SEED chooses another)`, () => {
  it('never ends up weaker than any level by itself, whatever the levels say', () => {
    const random = seededRandom(SEED);
    let contradictions = 0;
    for (let n = 0; n < 300; n++) {
      const list = levels(...Array.from({ length: 1 + Math.floor(random() * 4) }, () => randomSays(random)));
      const { policy: all, problems: found } = effectivePolicy(list);
      contradictions += found.length > 0 ? 1 : 0;
      // A lower level's schedule gives way to a stricter one above; it may be as rare as it likes by itself.
      list.forEach((level, i) => {
        const above = effectivePolicy(list.slice(0, i + 1)).policy;
        expect(weakenings(above, all), JSON.stringify(list)).toEqual([]);
        const alone = weakenings(effectivePolicy([level]).policy, all).filter(({ field }) => !field.startsWith('schedule'));
        expect(alone, JSON.stringify(list)).toEqual([]);
      });
    }
    expect(contradictions).toBeGreaterThan(30);
    expect(contradictions).toBeLessThan(300);
  });
});

function randomSays(random: () => number): Says {
  const pick = <T>(...list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const maybe = <T extends object>(value: T): T | object => (random() < 0.4 ? value : {});
  return {
    ...maybe({ objectives: { ...maybe({ rpo: pick('15m', '1h', '8h') }), ...maybe({ proofAge: pick('7d', '30d') }) } }),
    ...maybe({ recoveryWindow: pick('7d', '30d', '1y') }),
    ...maybe({ schedule: [{ cron: pick('@hourly', '@daily', '0 */6 * * *'), continuousLog: pick(true, false) }] }),
    ...maybe({
      retention: {
        daily: pick(0, 7, 31),
        within: pick('1d', '30d'),
        legalHold: pick(true, false),
        keepTags: pick([['a']], [['b']]),
      },
    }),
    ...maybe({ copies: [{ site: pick('east', 'west'), immutability: pick('1d', '30d'), maxLag: pick('1h', '1d') }] }),
    ...maybe({ verify: { full: { every: pick('7d', '30d') }, sampled: { every: pick('1d', '7d'), share: pick('1%', '10%') } } }),
  } as Says;
}

describe('a policy that extends another', () => {
  const library: Readonly<Record<string, PolicyDocument>> = {
    gold: { name: 'gold', objectives: { rpo: '1h' } },
    web: { name: 'web', extends: 'gold', objectives: { rto: '2h' } },
    lax: { name: 'lax', extends: 'gold', objectives: { rpo: '2h' } },
    a: { name: 'a', extends: 'b' },
    b: { name: 'b', extends: 'a' },
    lost: { name: 'lost', extends: 'nowhere' },
  };
  const open = (name: string) => withBases({ level: 'asset', document: library[name]! }, (other) => library[other]);

  it('stands on it as on a level above, and may only tighten it', () => {
    expect(effectivePolicy(open('web')).policy).toMatchObject({ name: 'web', objectives: { rpoMs: HOUR, rtoMs: 2 * HOUR } });
    expect(effectivePolicy(open('lax')).problems.map(({ message }) => message)).toEqual([
      'objectives.rpo: base "gold" requires 1h; asset "lax" says 2h, and must say at most that',
    ]);
  });

  it('that is not there, or that extends itself in the end, is refused', () => {
    expect(() => open('lost')).toThrow('The policy "lost" extends "nowhere", which does not exist');
    expect(() => open('a')).toThrow('The policy "a" extends itself, by way of "b"');
  });
});

import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { PolicyDocument } from '../../src/policy/policy-document.ts';
import { POLICY_TEXT_BYTES_MAX, parsePolicy, readPolicy, type TextProblem } from '../../src/policy/read-policy.ts';
import { schemaProblems } from '../../src/policy/schema-problems.ts';
import { seededRandom } from '../support/seeded-random.ts';

function problemsOf(text: string): readonly TextProblem[] {
  const read = readPolicy(text);
  if (read.kind === 'policy') throw new Error(`Accepted: ${JSON.stringify(read.document)}`);
  return read.problems;
}
const first = (text: string): string => {
  const { line, column, message } = problemsOf(text)[0]!;
  return `${line}:${column} ${message}`;
};
function documentOf(text: string): PolicyDocument {
  const read = readPolicy(text);
  if (read.kind === 'problems') throw new Error(JSON.stringify(read.problems));
  return read.document;
}

const FULL = `
name: full
label: Everything, once
extends: gold
timeZone: Asia/Shanghai
objectives: { rpo: 15m, rto: 2h, proofAge: 8d }
recoveryWindow: 1y
schedule:
  - cron: "0 2 * * *"
    timeZone: Europe/Berlin
    window: { from: "22:00", to: "06:00" }
    jitter: 30m
    startWithin: 1h30m
    afterLog: 10GiB
    continuousLog: true
retention: { keepLast: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 10, within: 36h, keepTags: [[a, b], [c]], legalHold: true }
copies:
  - { site: east, immutability: 30d, maxLag: 1h }
verify:
  scrub: { every: 7d }
  sampled: { every: 1d, share: 0.5% }
  full: { every: 30d, window: { from: "22:00", to: "06:00" } }
  restoreTest: { every: 7d, target: /srv/rehearsal }
limits:
  bandwidth: [{ from: "08:00", to: "18:00", days: [mon, fri], upload: 10MiB }, { download: 1.5GiB }]
  concurrency: { perHost: 1, perSite: 20 }
  priority: 80
hooks:
  before: [{ command: [/usr/bin/freeze, "--all"], timeout: 30s }]
  after: [{ command: [/usr/bin/thaw], timeout: 30s, onFailure: fail }]
prune: { every: 7d }
`;

describe('a policy', () => {
  it('may say everything, or nothing but its name', () => {
    expect(documentOf(FULL)).toMatchObject({
      name: 'full',
      retention: { keepTags: [['a', 'b'], ['c']] },
      limits: { priority: 80 },
    });
    expect(documentOf('name: x')).toEqual({ name: 'x' });
  });

  it.each([
    ['name: x\nretension: {}', '2:1 the policy has no key "retension"; did you mean "retention"?'],
    ['name: x\nobjectives:\n  RPO: 1h', '3:3 objectives has no key "RPO"; did you mean "rpo"?'],
    ['name: x\nobjectives:\n  zzz: 1h', '3:3 objectives has no key "zzz"; it knows rpo, rto, proofAge'],
    ['label: x', '1:1 the policy needs "name": the name of the policy'],
    ['name: Gold', '1:7 name: expected the name of the policy: lower-case letters, digits and "-", 63 at the most; "Gold" is not'],
    [
      'name: x\nobjectives:\n  rpo: 15 minutes',
      '3:8 objectives.rpo: expected how much work may be lost at the most: a time such as 15m, 36h or 30d; "15 minutes" is not',
    ],
    ['name: x\nobjectives:\n  rpo: 15', '3:8 objectives.rpo: expected how much work'],
    [
      'name: x\nobjectives:\n  rpo:',
      '3:7 objectives.rpo: expected how much work may be lost at the most: a time such as 15m, 36h or 30d; there is nothing',
    ],
    ['name: x\nschedule: daily', '2:11 schedule: expected a list of entries with cron; "daily" is not'],
    ['name: x\nschedule: []', '2:11 schedule is empty: expected a list of entries with cron'],
    ['name: x\nschedule:\n  - jitter: 5m', '3:5 schedule[0] needs "cron": when: minute'],
    ['name: x\nschedule:\n  - cron: "61 * * * *"', '3:11 schedule[0].cron: "61" is no minute: expected 0 to 59'],
    ['name: x\nschedule:\n  - cron: "0 0 30 2 *"', '3:11 schedule[0].cron: "0 0 30 2 *" never comes'],
    ['name: x\ntimeZone: Asia/Beijing', '2:11 timeZone: "Asia/Beijing" is not a time zone'],
    ['name: x\nprune: { every: 0s }', '2:17 prune.every: a period must be a minute at least'],
    ['name: x\nschedule: [{ cron: "@daily", window: { from: "22:00", to: "22:00" } }]', 'is never open'],
    [
      'name: x\nschedule: [{ cron: "@daily", window: { from: 22:00, to: "24:00" } }]',
      'a time of day from "00:00" to "23:59"; "24:00" is not',
    ],
    [
      'name: x\nretention: { daily: -1 }',
      '2:21 retention.daily: expected of how many days: a whole number from 0 to 100000; -1 is not',
    ],
    ['name: x\nretention: { daily: 1.5 }', '1.5 is not'],
    ['name: x\nretention: { legalHold: yes }', 'true or false; "yes" is not'],
    ['name: x\nverify: { sampled: { every: 1d, share: 0% } }', 'a share of 0% proves nothing'],
    ['name: x\nverify: { sampled: { every: 1d, share: 120% } }', '"120%" is not'],
    ['name: x\ncopies: [{ site: a }, { site: a }]', 'the site "a" is named twice'],
    ['name: x\nlimits: { bandwidth: [{ from: "01:00" }] }', 'needs upload, download or both'],
    ['name: x\nlimits: { bandwidth: [{ upload: 1B }] }', 'less than 1KiB a second'],
    ['name: x\nhooks: { before: [{ command: [rm, -rf], timeout: 1m }] }', 'a hook names its program by an absolute path'],
    ['name: x\nextends: x', 'a policy cannot extend itself'],
    ['- a', '1:1 the policy: expected a policy; a list is not'],
    ['', '1:1 the policy: expected a policy; there is nothing'],
    ['# nothing', 'there is nothing'],
  ])('%j is refused: %s', (text, expected) => expect(first(text)).toContain(expected));

  it('has all of its problems told at once', () => {
    expect(
      problemsOf('nam: x\nobjectives: { rpo: soon, rto: 1h, rtoo: 1h }\n').map(({ field, line }) => `${line} ${field}`),
    ).toEqual(['1 nam', '2 objectives.rpo', '2 objectives.rtoo', '1 ']);
  });

  it('is refused by parsePolicy with a fault that tells the places', () => {
    expect(() => parsePolicy('name: x\nzzz: 1', 'gold.yaml')).toThrow(
      'gold.yaml is not valid:\n  line 2, column 1: the policy has no key "zzz"',
    );
  });
});

describe('a promise that the policy cannot keep', () => {
  const warningsOf = (text: string): string[] => {
    const read = readPolicy(text);
    if (read.kind === 'problems') throw new Error(JSON.stringify(read.problems));
    return read.warnings.map(({ line, message }) => `${line} ${message}`);
  };

  it('is warned of: an rpo without or between backups', () => {
    expect(warningsOf('name: x\nobjectives:\n  rpo: 1h')).toEqual([
      '3 objectives.rpo: an rpo of 1h is promised, but nothing is scheduled',
    ]);
    expect(warningsOf('name: x\nobjectives: { rpo: 24h }\nschedule: [{ cron: "@daily" }]')[0]).toContain('up to 1d apart');
    expect(warningsOf('name: x\nobjectives: { rpo: 26h }\nschedule: [{ cron: "@daily" }]')).toEqual([]);
  });

  it('is warned of: the night with 25 hours is seen', () => {
    const night = 'name: x\ntimeZone: Europe/Berlin\nobjectives: { rpo: 24h30m }\nschedule: [{ cron: "30 1 * * *" }]';
    expect(warningsOf(night)[0]).toContain('up to 1d1h apart');
  });

  it('is warned of: a window that the retention does not reach', () => {
    expect(warningsOf('name: x\nrecoveryWindow: 30d\nretention: { daily: 30 }')[0]).toContain('reach back 29d only');
    expect(warningsOf('name: x\nrecoveryWindow: 30d\nretention: { daily: 31 }')).toEqual([]);
    expect(warningsOf('name: x\nrecoveryWindow: 30d\nretention: { keepLast: 1000 }')[0]).toContain('reach back 0s only');
  });

  it('is warned of: proofs that are rarer than promised', () => {
    expect(warningsOf('name: x\nobjectives: { proofAge: 7d }\nverify: { full: { every: 7d } }')[0]).toContain(
      'nothing in "verify" proves so often',
    );
    expect(warningsOf('name: x\nobjectives: { proofAge: 7d }\nverify: { restoreTest: { every: 6d } }')).toEqual([]);
  });
});

describe('a hostile text', () => {
  it.each([
    ['an alias', 'name: x\na: &a [1]\nb: *a', 'anchors'],
    [
      'a bomb of aliases',
      `name: x\n${Array.from({ length: 20 }, (_, i) => `a${i}: &a${i} [${'*a'.concat(String(i - 1), ',').repeat(9)}]`).join('\n')}`,
      '',
    ],
    ['ten thousand lists in each other', `name: x\na: ${'['.repeat(10_000)}${']'.repeat(10_000)}`, 'nested too deeply'],
    ['fifteen thousand in a line', `name: x\na:\n  ${'- '.repeat(15_000)}x`, 'nested too deeply'],
    ['a tag', 'name: !js x', ''],
    ['a key that is a map', '? {a: 1}\n: b', 'a key must be a plain text'],
    ['a key that is a number', '1: x', 'a key must be a plain text'],
    ['two documents', 'name: x\n---\nname: y', 'a second document begins'],
    ['a key twice', 'name: x\nname: y', 'unique'],
    ['a prototype', '__proto__: { name: x }', 'has no key "__proto__"'],
    ['a constructor', 'name: x\nconstructor: 1', 'has no key "constructor"'],
    ['what is no YAML', 'name: [x', ''],
    ['a tab', 'name:\n\tx', ''],
    ['a control character in a message', 'name: "\\e[31m\\u202e"', '"?[31m?" is not'],
  ])('with %s is refused', (_what, text, expected) => expect(first(text)).toContain(expected));

  it.each([
    ['brackets', '['.repeat(32_000)],
    ['matched brackets', '['.repeat(16_000) + ']'.repeat(16_000)],
    ['dashes', '- '.repeat(16_000)],
    ['question marks', '? '.repeat(16_000)],
    ['braces', '{a: '.repeat(8_000)],
    ['anchors', '&a '.repeat(10_000)],
    ['quotes', '"'.repeat(32_000)],
    ['keys', Array.from({ length: 3000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['list', `name: x\nretention: { keepTags: [${'[a],'.repeat(8_000)}] }`],
    ['long names', `${'x'.repeat(32_000)}: 1`],
    ['zeros', String.raw`name: "\0"`.repeat(3000)],
  ])('of very many %s is refused with few words', (_what, text) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(50);
    expect(problems.map(({ message }) => message).join('').length).toBeLessThan(50 * 400);
  });

  it('that is longer than a policy may be is not even looked at', () => {
    expect(first(`name: x\n#${'é'.repeat(POLICY_TEXT_BYTES_MAX / 2)}`)).toBe('1:1 a policy has at most 32 KiB');
  });
});

const SEED = Number(process.env.HOLDFAST_TEST_SEED ?? 20261121);

describe(`the words for people (seed ${SEED}; HOLDFAST_TEST_SEED chooses another)`, () => {
  it('accept exactly what the schema accepts, however a policy is mangled', () => {
    const random = seededRandom(SEED);
    const full = documentOf(FULL);
    let accepted = 0;
    for (let n = 0; n < 2000; n++) {
      const mangled = mangle(structuredClone(full) as unknown as Json, random);
      const isValid = Value.Check(PolicyDocument, mangled);
      accepted += isValid ? 1 : 0;
      expect(schemaProblems(PolicyDocument, mangled).length === 0, JSON.stringify(mangled)).toBe(isValid);
    }
    expect(accepted).toBeGreaterThan(100);
    expect(accepted).toBeLessThan(1900);
  });

  it('never throw, and tell a place within the text, however the text is mangled', () => {
    const random = seededRandom(SEED + 1);
    for (let n = 0; n < 600; n++) {
      const at = Math.floor(random() * FULL.length);
      const piece = ['[', '}', ': ', '\n', '  ', '"', '&a ', '*a', '- ', '!', '\u0000', '#', '|\n', 'é', ''][
        Math.floor(random() * 15)
      ]!;
      const text = FULL.slice(0, at) + piece + FULL.slice(at + Math.floor(random() * 6));
      const read = readPolicy(text);
      if (read.kind === 'policy') continue;
      for (const { line, column, message } of read.problems) {
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(text.split('\n').length + 1);
        expect(column).toBeGreaterThanOrEqual(1);
        expect(message).not.toBe('');
      }
    }
  });

  it('read back what was written', () => {
    expect(documentOf(stringify(documentOf(FULL)))).toEqual(documentOf(FULL));
  });
});

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Changes one part: takes it away, adds to it, or puts something else there. */
function mangle(root: Json, random: () => number): Json {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  let node: Json = root;
  for (;;) {
    const children = Object.keys(node as object);
    if (children.length === 0) return root;
    const key = pick(children) as never;
    const child = (node as Record<string, Json>)[key] as Json;
    if (typeof child === 'object' && child !== null && random() < 0.8) {
      node = child;
      continue;
    }
    const others: readonly Json[] = [
      null,
      '',
      'x',
      'é',
      0,
      1,
      -1,
      1.5,
      1e9,
      true,
      [],
      {},
      ['a'],
      [['a']],
      '15m',
      '1d12h',
      '10GiB',
      '22:00',
      'mon',
      '5%',
      'a'.repeat(300),
      'scratch',
      '/x',
      'a\nb',
    ];
    if (random() < 0.15 && !Array.isArray(node)) delete (node as Record<string, Json>)[key];
    else if (random() < 0.1 && !Array.isArray(node))
      (node as Record<string, Json>)[pick(['rpo', 'zzz', 'toString', 'every'])] = pick(others);
    else (node as Record<string, Json>)[key] = pick(others);
    return root;
  }
}

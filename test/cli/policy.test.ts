import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newHoldfast } from './holdfast.ts';

const POLICIES = resolve(import.meta.dirname, '../../policies');

describe('holdfast policy validate', () => {
  it('accepts the shipped policies, and what they extend', () => {
    const holdfast = newHoldfast();
    const files = ['gold', 'silver', 'bronze', 'website', 'mail', 'office'].map((name) => join(POLICIES, `${name}.yaml`));
    expect(holdfast.summary(['policy', 'validate', ...files])).toEqual({
      kind: 'summary',
      verb: 'policy validate',
      files: 6,
      problems: 0,
      warnings: 0,
    });
  });

  it('names file, line and column of every problem, and fails', () => {
    const holdfast = newHoldfast();
    const good = holdfast.file('good.yaml', 'name: good\n');
    const bad = holdfast.file('bad.yaml', 'name: bad\nobjectives:\n  rpo: soon\nretension: {}\n');
    const { status, stdout, stderr } = holdfast.run(['policy', 'validate', good, bad]);
    expect(status).toBe(2);
    expect(stdout.split('\n')).toEqual([
      `${good}: valid`,
      expect.stringContaining(`${bad}:3:8: objectives.rpo: expected how much work may be lost at the most`),
      `${bad}:4:1: the policy has no key "retension"; did you mean "retention"?`,
      '',
    ]);
    expect(stderr).toContain('2 problems in 1 of 2 files');
    expect(holdfast.fault(['policy', 'validate', bad]).code).toBe('POLICY_INVALID');
  });

  it('warns of a promise that cannot be kept, with a status of its own', () => {
    const holdfast = newHoldfast();
    const file = holdfast.file('hasty.yaml', 'name: hasty\nobjectives: { rpo: 1h }\nschedule: [{ cron: "@daily" }]\n');
    const lines = holdfast.lines(['policy', 'validate', file], { status: 3 });
    expect(lines[0]).toMatchObject({ kind: 'promise', file, line: 2, field: 'objectives.rpo' });
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', warnings: 1, problems: 0 });
  });

  it('holds a policy against the levels above it', () => {
    const holdfast = newHoldfast();
    const city = holdfast.file('city.yaml', 'name: city\nobjectives: { rpo: 24h }\nschedule: [{ cron: "0 */12 * * *" }]\n');
    const lax = holdfast.file('lax.yaml', 'name: lax\nobjectives:\n  rpo: 2d\n');
    const strict = holdfast.file('strict.yaml', 'name: strict\nobjectives: { rpo: 13h }\n');
    const { status, stdout } = holdfast.run(['policy', 'validate', lax, strict, '--above', city]);
    expect(status).toBe(2);
    expect(stdout).toContain(`${lax}:3:3: objectives.rpo: base ${city} "city" requires 1d; asset ${lax} "lax" says 2d`);
    expect(stdout).toContain(`${strict}: valid`);
  });

  it('tells of a policy that is extended and is not there, and of a file that is not', () => {
    const holdfast = newHoldfast();
    const lost = holdfast.file('lost.yaml', 'name: lost\nextends: nowhere\n');
    expect(holdfast.run(['policy', 'validate', lost]).stdout).toContain(
      `${lost}:2:1: The policy "lost" extends "nowhere", which does not exist`,
    );
    expect(holdfast.fault(['policy', 'validate', holdfast.path('no.yaml')]).code).toBe('USAGE');
    expect(holdfast.run(['policy', 'validate', '/dev/zero']).stdout).toContain('/dev/zero:1:1: a policy has at most 32 KiB');
  });

  it('reads standard input as "-"', () => {
    expect(newHoldfast().ok(['policy', 'validate', '-'], { input: 'name: x\n' })).toBe('-: valid\n');
  });
});

describe('holdfast policy simulate', () => {
  const YEAR = ['--from', '2026-01-01', '--span', '365d'];

  it('shows a table, a picture and what is kept', () => {
    const holdfast = newHoldfast();
    const text = holdfast.ok(['policy', 'simulate', join(POLICIES, 'bronze.yaml'), ...YEAR]);
    expect(text).toMatch(/^backup +365 {2}2026-01-01 13:00Z {2}2026-12-31 13:00Z {2}1d$/m);
    expect(text).toMatch(/^kept .*█/m);
    expect(text).toContain('of 365 snapshots are kept');
    expect(text).toContain('the newest of the month 2026-11');
  });

  it('writes the picture as SVG, and tells programs every point', () => {
    const holdfast = newHoldfast();
    const svg = holdfast.path('x.svg');
    const lines = holdfast.lines([
      'policy',
      'simulate',
      join(POLICIES, 'website.yaml'),
      '--from',
      '2026-06-01T00:00Z',
      '--span',
      '40d',
      '--svg',
      svg,
    ]);
    const points = lines.filter(({ kind }) => kind === 'point');
    expect(lines.at(-1)).toMatchObject({ policy: 'website', backups: points.length, to: '2026-07-11T00:00:00.000Z' });
    expect(points.filter(({ isKept }) => isKept)).toHaveLength(lines.at(-1)!.kept as number);
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [\s\S]*Policy Web site[\s\S]*<\/svg>\n$/);
  });

  it.each([
    [['--from', 'yesterday'], '--from must be a time'],
    [['--from', '2026-13-01'], '--from must be a time'],
    [['--span', '3 months'], '--span must be a time'],
    [['--span', '51y'], '--span must be a time'],
    [['--span', '1d', '--svg', '/dev/null/x.svg'], 'cannot be written'],
  ])('refuses %j', (more, message) => {
    const { status, stderr } = newHoldfast().run(['policy', 'simulate', join(POLICIES, 'gold.yaml'), ...more]);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('holdfast policy diff', () => {
  it('marks what is promised less, and says that two people must approve it', () => {
    const holdfast = newHoldfast();
    const args = ['policy', 'diff', join(POLICIES, 'gold.yaml'), join(POLICIES, 'silver.yaml')];
    const { stdout, stderr } = holdfast.run(args);
    expect(stdout).toMatch(/^! {2}objectives\.rpo +1h +6h$/m);
    expect(stderr).toContain('two people must approve');
    expect(holdfast.summary(args)).toMatchObject({ stricter: 0 });
    expect(holdfast.ok(['policy', 'diff', args[2]!, args[2]!])).toBe('Both mean the same.\n');
  });
});

describe('holdfast policy schema', () => {
  it('prints what is shipped', () => {
    const shipped = readFileSync(join(POLICIES, 'policy.schema.json'), 'utf8');
    const holdfast = newHoldfast();
    expect(holdfast.ok(['policy', 'schema'])).toBe(shipped);
    expect(holdfast.lines(['policy', 'schema'])[0]).toEqual({ kind: 'schema', schema: JSON.parse(shipped) });
  });
});

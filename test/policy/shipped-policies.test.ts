import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { effectivePolicy, weakenings } from '../../src/policy/effective-policy.ts';
import { withBases } from '../../src/policy/policy-bases.ts';
import { checkPromises } from '../../src/policy/policy-checks.ts';
import type { PolicyDocument } from '../../src/policy/policy-document.ts';
import { policySchemaText } from '../../src/policy/policy-schema.ts';
import { tasksOf } from '../../src/policy/policy-tasks.ts';
import { readPolicy } from '../../src/policy/read-policy.ts';

const POLICIES = join(import.meta.dirname, '../../policies');
const names = readdirSync(POLICIES)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -5));

function textOf(name: string): string {
  return readFileSync(join(POLICIES, `${name}.yaml`), 'utf8');
}

function documentOf(name: string): PolicyDocument {
  const read = readPolicy(textOf(name));
  if (read.kind === 'problems') throw new Error(`${name}: ${JSON.stringify(read.problems)}`);
  expect(read.warnings, name).toEqual([]);
  return read.document;
}

const effective = (name: string) => effectivePolicy(withBases({ level: 'asset', document: documentOf(name) }, documentOf));

describe('the shipped policies', () => {
  it('are these', () => {
    expect(names.sort()).toEqual(['bronze', 'gold', 'mail', 'office', 'silver', 'website']);
  });

  it.each(names)('%s is valid, called as its file, and can keep what it promises', (name) => {
    expect(documentOf(name).name).toBe(name);
    const { policy, problems } = effective(name);
    expect(problems).toEqual([]);
    expect(checkPromises(policy)).toEqual([]);
  });

  it.each(names)('%s promises everything that is judged without a second site, and says how', (name) => {
    const { policy } = effective(name);
    expect(policy.objectives.rpoMs).toBeGreaterThan(0);
    expect(policy.objectives.rtoMs).toBeGreaterThan(0);
    expect(policy.objectives.proofAgeMs).toBeGreaterThan(0);
    expect(policy.recoveryWindowMs).toBeGreaterThan(0);
    expect(tasksOf(policy).map((task) => task.name)).toEqual(
      expect.arrayContaining(['backup', 'restore-test', 'verify-scrub', 'verify-sampled', 'prune']),
    );
  });

  it.each(names)('%s begins with the line by which editors find the schema', (name) => {
    expect(textOf(name).split('\n')[0]).toBe('# yaml-language-server: $schema=./policy.schema.json');
  });

  it('stand in order: gold promises more than silver, and silver more than bronze', () => {
    const [gold, silver, bronze] = ['gold', 'silver', 'bronze'].map((name) => effective(name).policy);
    for (const [better, worse] of [
      [gold!, silver!],
      [silver!, bronze!],
    ] as const) {
      expect(better.objectives.rpoMs).toBeLessThan(worse.objectives.rpoMs!);
      expect(better.objectives.rtoMs).toBeLessThan(worse.objectives.rtoMs!);
      expect(better.objectives.proofAgeMs).toBeLessThan(worse.objectives.proofAgeMs!);
      expect(better.recoveryWindowMs).toBeGreaterThan(worse.recoveryWindowMs!);
      expect(better.limits.priority).toBeGreaterThan(worse.limits.priority);
      expect(weakenings(worse, better), 'an asset that is promoted loses nothing').toEqual([]);
    }
  });
});

describe('policies/policy.schema.json', () => {
  it('is what the type says now; "npm run build:policy-schema" writes it', () => {
    expect(readFileSync(join(POLICIES, 'policy.schema.json'), 'utf8')).toBe(policySchemaText());
  });

  it('tells people of every key what it is, and lets nothing unknown pass', () => {
    const silent: string[] = [];
    const open: string[] = [];
    const walk = (schema: Record<string, unknown>, path: string): void => {
      if (typeof schema.description !== 'string') silent.push(path);
      if (schema.type === 'object' && !isDeepStrictEqual(schema.additionalProperties, false)) open.push(path);
      for (const [key, child] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>))
        walk(child, `${path}.${key}`);
      if (schema.items !== undefined) walk(schema.items as Record<string, unknown>, `${path}[]`);
    };
    walk(JSON.parse(policySchemaText()), 'policy');
    expect(silent).toEqual([]);
    expect(open).toEqual([]);
  });
});

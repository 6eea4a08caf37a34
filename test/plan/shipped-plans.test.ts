// The plans that are shipped, and the runbooks that are made of them. `bin/holdfast plan render FILE --language en` makes a golden one anew.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PLAN_RUN_KINDS } from '../../src/model/failover-kind.ts';
import { planRun, STATES } from '../../src/plan/plan-run.ts';
import { planSchemaText } from '../../src/plan/plan-schema.ts';
import { parsePlan, readPlan } from '../../src/plan/read-plan.ts';
import { renderRunbook } from '../../src/plan/runbook.ts';
import { LANGUAGES } from '../../src/plan/runbook-texts.ts';

const ROOT = join(import.meta.dirname, '../..');
const PLANS = join(ROOT, 'policies/plans');
const names = readdirSync(PLANS).map((name) => name.replace(/\.yaml$/, ''));
const textOf = (name: string): string => readFileSync(join(PLANS, `${name}.yaml`), 'utf8');

describe('the shipped plans', () => {
  it('are these', () => {
    expect(names.sort()).toEqual(['citizen-portal']);
  });

  it.each(names)('%s is valid, called as its file, and keeps what it promises', (name) => {
    expect(readPlan(textOf(name))).toMatchObject({ kind: 'plan', plan: { name }, warnings: [] });
  });

  it.each(names.flatMap((name) => LANGUAGES.map((language) => [name, language] as const)))(
    'the runbook of %s in "%s" is the golden one',
    (name, language) => {
      const golden = readFileSync(join(ROOT, `test/plan/runbooks/${name}.${language}.md`), 'utf8');
      expect(renderRunbook(parsePlan(textOf(name)), language)).toBe(golden);
    },
  );

  it.each(names)('the runbook of %s has one line for everything that is carried out, in its order', (name) => {
    const plan = parsePlan(textOf(name));
    const numbers = renderRunbook(plan, 'en')
      .split('\n')
      .flatMap((line) => /^\| (\d+) \|/.exec(line)?.slice(1) ?? []);
    expect(numbers).toEqual(PLAN_RUN_KINDS.flatMap((kind) => planRun(plan, kind).map((_, n) => String(n + 1))));
  });

  it.each(names.flatMap((name) => PLAN_RUN_KINDS.map((kind) => [name, kind] as const)))(
    '%s as %s runs through the states in their order, under ids of its own',
    (name, kind) => {
      const actions = planRun(parsePlan(textOf(name)), kind);
      const states = actions.map(({ state }) => STATES.indexOf(state));
      expect(states).toEqual([...states].sort((a, b) => a - b));
      expect(new Set(actions.map(({ id }) => id)).size).toBe(actions.length);
    },
  );

  it('have a schema for editors that is up to date (ops/write-policy-schema)', () => {
    expect(readFileSync(join(ROOT, 'policies/plan.schema.json'), 'utf8')).toBe(planSchemaText());
  });
});

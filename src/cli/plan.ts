// Plans without a service: validate, render, diff, schema.

import { readFileSync } from 'node:fs';
import { EXIT, Fault } from '../base/faults.ts';
import { planDiff } from '../plan/plan-diff.ts';
import { planDigest } from '../plan/plan-digest.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { planSchemaText } from '../plan/plan-schema.ts';
import { PLAN_TEXT_BYTES_MAX, parsePlan, readPlan } from '../plan/read-plan.ts';
import { renderRunbook } from '../plan/runbook.ts';
import type { Language } from '../plan/runbook-texts.ts';
import { usage } from './option.ts';
import { tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

export async function planValidate({ args, output }: Invocation): Promise<number> {
  let [problems, warnings] = [0, 0];
  for (const file of args) {
    const read = readPlan(textOf(file));
    const found = read.kind === 'plan' ? read.warnings : read.problems;
    const mark = read.kind === 'plan' ? 'warning: ' : '';
    for (const { line, column, field, message } of found) {
      output.record(read.kind === 'plan' ? 'promise' : 'problem', { file, line, column, field, message });
      output.line(`${file}:${line}:${column}: ${mark}${message}`);
    }
    if (read.kind === 'plan') warnings += found.length;
    else problems += found.length;
    if (found.length === 0) output.line(`${file}: valid`);
  }
  if (problems > 0)
    throw new Fault('PLAN_INVALID', `${problems} ${problems === 1 ? 'problem' : 'problems'} in ${args.length} files`);
  output.summary('plan validate', { files: args.length, problems, warnings });
  return warnings > 0 ? EXIT.warnings : 0;
}

export async function planRender({ args, options, output }: Invocation): Promise<number> {
  const plan = planOf(args[0]!);
  const language = (options.text('language') ?? 'en') as Language;
  const text = renderRunbook(plan, language);
  if (output.isJson) output.summary('plan render', { name: plan.name, version: plan.version, digest: planDigest(plan), text });
  else for (const line of text.trimEnd().split('\n')) output.line(line);
  return 0;
}

export async function planDiffOf({ args, output }: Invocation): Promise<number> {
  const [before, after] = args.map(planOf) as [PlanDocument, PlanDocument];
  const differences = planDiff(before, after);
  for (const difference of differences) output.record('difference', difference);
  if (differences.length === 0) output.line('Both mean the same.');
  else {
    const rows = differences.map((one) => [one.effect === 'weaker' ? '!' : '~', one.field, one.before ?? '-', one.after ?? '-']);
    for (const line of tableLines([{ title: '' }, { title: 'field' }, { title: 'A' }, { title: 'B' }], rows)) output.line(line);
  }
  const weaker = differences.filter(({ effect }) => effect === 'weaker').length;
  output.summary('plan diff', { differences: differences.length, weaker });
  return 0;
}

export async function planSchema({ output }: Invocation): Promise<number> {
  output.line(planSchemaText().trimEnd());
  output.record('schema', { schema: JSON.parse(planSchemaText()) });
  output.summary('plan schema', {});
  return 0;
}

export function planOf(file: string): PlanDocument {
  return parsePlan(textOf(file), file);
}

function textOf(file: string): string {
  try {
    const bytes = readFileSync(file);
    return bytes.subarray(0, PLAN_TEXT_BYTES_MAX + 1).toString('utf8');
  } catch (error) {
    throw usage(`The plan ${file} cannot be read: ${(error as Error).message}`);
  }
}

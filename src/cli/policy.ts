// Policies without a service: validate, diff, schema. Simulate is in policy-simulate.ts.

import { EXIT, Fault, isFault } from '../base/faults.ts';
import { effectivePolicy } from '../policy/effective-policy.ts';
import { checkPromises } from '../policy/policy-checks.ts';
import { type PolicyDifference, policyDiff } from '../policy/policy-diff.ts';
import { policySchemaText } from '../policy/policy-schema.ts';
import type { EffectivePolicy } from '../policy/policy-terms.ts';
import type { ReadPolicy } from '../policy/read-policy.ts';
import { fieldText } from '../policy/schema-problems.ts';
import type { Output } from './output.ts';
import { levelsOf, readPolicyFile, validDocument } from './policy-files.ts';
import { tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

type Finding = { readonly line: number; readonly column: number; readonly field: string; readonly message: string };
type Findings = { readonly problems: readonly Finding[]; readonly warnings: readonly Finding[] };

export async function validate({ args, options, output }: Invocation): Promise<number> {
  const above = options.texts('above');
  let [problems, warnings, invalid] = [0, 0, 0];
  for (const file of args) {
    const found = findingsOf(file, above);
    for (const finding of found.problems) tell(output, 'problem', file, finding);
    for (const finding of found.warnings) tell(output, 'promise', file, finding);
    if (found.problems.length === 0 && found.warnings.length === 0) output.line(`${file}: valid`);
    problems += found.problems.length;
    warnings += found.warnings.length;
    invalid += found.problems.length > 0 ? 1 : 0;
  }
  if (problems > 0)
    throw new Fault('POLICY_INVALID', `${counted(problems, 'problem')} in ${invalid} of ${counted(args.length, 'file')}`);
  output.summary('policy validate', { files: args.length, problems, warnings });
  return warnings > 0 ? EXIT.warnings : 0;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function tell(output: Output, kind: 'problem' | 'promise', file: string, { line, column, field, message }: Finding): void {
  output.record(kind, { file, line, column, field, message });
  output.line(`${file}:${line}:${column}: ${kind === 'promise' ? 'warning: ' : ''}${message}`);
}

function findingsOf(file: string, above: readonly string[]): Findings {
  const read = readPolicyFile(file);
  if (read.kind === 'problems') return { problems: read.problems, warnings: [] };
  try {
    return inheritedFindings(file, read, above);
  } catch (error) {
    // About a file that this one needs, or one that is not there: it is told where it is asked for.
    if (!isFault(error, 'POLICY_INVALID', 'POLICY_NOT_FOUND')) throw error;
    return { problems: [{ ...read.placeOf(['extends']), field: 'extends', message: error.message }], warnings: [] };
  }
}

function inheritedFindings(file: string, read: Extract<ReadPolicy, { kind: 'policy' }>, above: readonly string[]): Findings {
  const { policy, problems } = effectivePolicy(levelsOf(file, read.document, above));
  const placed = (field: string): Pick<Finding, 'line' | 'column'> => read.placeOf(field.split('.'));
  return {
    problems: problems.map(({ field, message }) => ({ ...placed(field), field, message })),
    warnings: checkPromises(policy).map(({ path, message }) => ({
      ...read.placeOf(path),
      field: fieldText(path),
      message: `${fieldText(path)}: ${message}`,
    })),
  };
}

const MARKS: Readonly<Record<PolicyDifference['effect'], string>> = { stricter: '+', weaker: '!', other: '~' };

export async function diff({ args, output }: Invocation): Promise<number> {
  const [before, after] = args.map(effectiveOf) as [EffectivePolicy, EffectivePolicy];
  const differences = policyDiff(before, after);
  for (const difference of differences) output.record('difference', difference);
  if (differences.length === 0) output.line('Both mean the same.');
  else {
    const rows = differences.map((one) => [MARKS[one.effect], one.field, one.before ?? '-', one.after ?? '-']);
    for (const line of tableLines([{ title: '' }, { title: 'field' }, { title: 'A' }, { title: 'B' }], rows)) output.line(line);
  }
  const count = (effect: PolicyDifference['effect']): number => differences.filter((one) => one.effect === effect).length;
  const weaker = count('weaker');
  if (weaker > 0) output.notice(`B promises less in ${counted(weaker, 'field')}: two people must approve such a change.`);
  output.summary('policy diff', { differences: differences.length, stricter: count('stricter'), weaker, other: count('other') });
  return 0;
}

function effectiveOf(file: string): EffectivePolicy {
  return effectivePolicy(levelsOf(file, validDocument(file), [])).policy;
}

export async function schema({ output }: Invocation): Promise<number> {
  output.line(policySchemaText().trimEnd());
  output.record('schema', { schema: JSON.parse(policySchemaText()) });
  return 0;
}

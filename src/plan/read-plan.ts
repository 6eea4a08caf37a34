// YAML -> a plan, or all that is wrong with it and where: first what is no YAML, then what the closed schema does not allow, then what means
// nothing. As read-policy.ts does for policies.

import { Fault } from '../base/faults.ts';
import type { TextProblem } from '../policy/read-policy.ts';
import { fieldText, type Path, schemaProblems } from '../policy/schema-problems.ts';
import { yamlValue } from '../policy/yaml-value.ts';
import { checkPlan, checkPlanPromises } from './plan-checks.ts';
import { PlanDocument } from './plan-document.ts';

export const PLAN_TEXT_BYTES_MAX = 256 * 1024;
const PROBLEMS_MAX = 50;

export type ReadPlan =
  | {
      readonly kind: 'plan';
      readonly plan: PlanDocument;
      /** Promises that the plan by itself does not keep. */
      readonly warnings: readonly TextProblem[];
    }
  | { readonly kind: 'problems'; readonly problems: readonly TextProblem[] };

/** Never throws for what the text says. At most 50 problems are told. */
export function readPlan(text: string): ReadPlan {
  const refused = (problems: readonly TextProblem[]): ReadPlan => ({ kind: 'problems', problems: problems.slice(0, PROBLEMS_MAX) });
  if (Buffer.byteLength(text) > PLAN_TEXT_BYTES_MAX)
    return refused([{ line: 1, column: 1, field: '', message: `a plan has at most ${PLAN_TEXT_BYTES_MAX / 1024} KiB` }]);
  const yaml = yamlValue(text);
  if (yaml.problems.length > 0)
    return refused(yaml.problems.map(({ line, column, path, message }) => ({ line, column, field: fieldText(path), message })));
  const place = (path: Path, message: string, at: 'key' | 'value' = 'value'): TextProblem => ({
    ...yaml.positionOf(path, at),
    field: fieldText(path),
    message,
  });
  const withField = ({ path, message }: { readonly path: Path; readonly message: string }): TextProblem =>
    place(path, path.length === 0 ? message : `${fieldText(path)}: ${message}`);
  const problems = schemaProblems(PlanDocument, yaml.value);
  if (problems.length > 0)
    return refused(problems.map(({ path, at, message }) => place(path, message.replace(/^the policy\b/, 'the plan'), at)));
  const plan = yaml.value as PlanDocument;
  const findings = checkPlan(plan);
  if (findings.length > 0) return refused(findings.map(withField));
  return { kind: 'plan', plan, warnings: checkPlanPromises(plan).map(withField) };
}

/** Throws PLAN_INVALID with all problems in its message. `name`: what the text is called, e.g. its file. */
export function parsePlan(text: string, name = 'the plan'): PlanDocument {
  const read = readPlan(text);
  if (read.kind === 'plan') return read.plan;
  const lines = read.problems.map(({ line, column, message }) => `\n  line ${line}, column ${column}: ${message}`);
  throw new Fault('PLAN_INVALID', `${name} is not valid:${lines.join('')}`);
}

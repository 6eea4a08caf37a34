// YAML -> a policy document, or all that is wrong with it and where: first what is no YAML, then what the closed schema does not allow, then
// what means nothing. Warnings are about promises that the policy by itself cannot keep; one that inherits is checked with what it inherits.

import { Fault } from '../base/faults.ts';
import { effectivePolicy } from './effective-policy.ts';
import { checkPromises, checkValues } from './policy-checks.ts';
import { PolicyDocument } from './policy-document.ts';
import { fieldText, type Path, schemaProblems } from './schema-problems.ts';
import { type YamlValue, yamlValue } from './yaml-value.ts';

export const POLICY_TEXT_BYTES_MAX = 32 * 1024;
const PROBLEMS_MAX = 50;

/** `line` and `column` count from 1. */
export type TextProblem = {
  readonly line: number;
  readonly column: number;
  /** "objectives.rpo"; '' for the whole text. */
  readonly field: string;
  /** What is wrong, what was expected, and the nearest key when one is unknown. */
  readonly message: string;
};

export type ReadPolicy =
  | {
      readonly kind: 'policy';
      readonly document: PolicyDocument;
      /** Promises that cannot be kept so. None for a document that extends another. */
      readonly warnings: readonly TextProblem[];
      /** Where a part of the document stands in the text. */
      readonly placeOf: (path: Path) => Pick<TextProblem, 'line' | 'column'>;
    }
  | { readonly kind: 'problems'; readonly problems: readonly TextProblem[] };

/** Never throws for what the text says. At most 50 problems are told. */
export function readPolicy(text: string): ReadPolicy {
  if (Buffer.byteLength(text) > POLICY_TEXT_BYTES_MAX)
    return refused([{ line: 1, column: 1, field: '', message: `a policy has at most ${POLICY_TEXT_BYTES_MAX / 1024} KiB` }]);
  const yaml = yamlValue(text);
  if (yaml.problems.length > 0)
    return refused(yaml.problems.map(({ line, column, path, message }) => ({ line, column, field: fieldText(path), message })));
  const place = placer(yaml);
  const problems = schemaProblems(PolicyDocument, yaml.value);
  if (problems.length > 0) return refused(problems.map(({ path, at, message }) => place(path, message, at)));
  const document = yaml.value as PolicyDocument;
  const values = checkValues(document);
  if (values.length > 0) return refused(values.map(({ path, message }) => place(path, `${fieldText(path)}: ${message}`)));
  const warnings = document.extends === undefined ? checkPromises(effectivePolicy([{ level: 'asset', document }]).policy) : [];
  return {
    kind: 'policy',
    document,
    warnings: warnings.map(({ path, message }) => place(path, `${fieldText(path)}: ${message}`)),
    placeOf: (path) => yaml.positionOf(path, 'key'),
  };
}

function refused(problems: readonly TextProblem[]): ReadPolicy {
  return { kind: 'problems', problems: problems.slice(0, PROBLEMS_MAX) };
}

function placer(yaml: YamlValue): (path: Path, message: string, at?: 'key' | 'value') => TextProblem {
  return (path, message, at = 'value') => ({ ...yaml.positionOf(path, at), field: fieldText(path), message });
}

/** Throws POLICY_INVALID with all problems in its message. `name`: what the text is called, e.g. its file. */
export function parsePolicy(text: string, name = 'the policy'): PolicyDocument {
  const read = readPolicy(text);
  if (read.kind === 'policy') return read.document;
  const lines = read.problems.map(({ line, column, message }) => `\n  line ${line}, column ${column}: ${message}`);
  throw new Fault('POLICY_INVALID', `${name} is not valid:${lines.join('')}`);
}

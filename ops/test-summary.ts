// Prints "N passed, N failed, N skipped" from the results that vitest's JSON reporter wrote. A test file that could not be loaded counts
// as one failed test, so that it cannot hide. Names the tests that passed at a second try only.

import { readFileSync } from 'node:fs';

type Test = { readonly status: string; readonly fullName: string; readonly failureMessages: readonly string[] };
type Results = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly Test[] }[];
};

const LINES_MAX = 25;

/** Of what a failed test said: what a program told last stands at the end, before the stack. */
function lastWords(message: string): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('    at '));
  return lines
    .slice(-LINES_MAX)
    .map((line) => `  ${line}`)
    .join('\n');
}

const text = readFileSync(process.argv[2]!, 'utf8');
if (text === '') {
  console.log('0 passed, 1 failed, 0 skipped');
  process.exit(1);
}
const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(text) as Results;
const broken = testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
);
const failed = numFailedTests + broken.length;
for (const { status, fullName, failureMessages } of testResults.flatMap(({ assertionResults }) => assertionResults))
  if (status === 'passed' && failureMessages.length > 0)
    console.log(`passed at a second try only: ${fullName}\n${lastWords(failureMessages[0]!)}`);
console.log(`${numPassedTests} passed, ${failed} failed, ${numPendingTests + numTodoTests} skipped`);
process.exit(failed === 0 && numPassedTests > 0 ? 0 : 1);

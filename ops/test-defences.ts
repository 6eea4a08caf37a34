// Takes away one defence against a failure of recoveries after the other (test/defences/table.ts), in a copy of the checkout, and sees that its
// test fails then. All of them take the better part of an hour: `bin/node ops/test-defences.ts [FAILURE ...]`.

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFENCES, type Defence } from '../test/defences/table.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const COPIED = ['agents', 'bin', 'ops', 'src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const LINKED = ['node_modules', 'test/servers/node_modules'];
/** A test that waits for what never comes ends by itself before that. */
const TEST_MS_MAX = 400_000;

type Outcome = { readonly failed: number; readonly passed: number; readonly said: string };

function copyOfCheckout(): string {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-defences-'));
  // Servers run as another user, and start programs of it.
  chmodSync(copy, 0o755);
  const filter = (path: string): boolean => !path.endsWith('/node_modules');
  for (const name of COPIED) cpSync(join(CHECKOUT, name), join(copy, name), { recursive: true, filter, verbatimSymlinks: true });
  for (const name of LINKED) symlinkSync(join(CHECKOUT, name), join(copy, name));
  return copy;
}

/** Answers what is to be put back. */
function takeAway(copy: string, { cuts }: Defence): Map<string, string> {
  const whole = new Map<string, string>();
  for (const { file, line, without } of cuts) {
    const path = join(copy, file);
    const text = readFileSync(path, 'utf8');
    if (!whole.has(path)) whole.set(path, text);
    if (text.split(line).length !== 2) throw new Error(`${file}: "${line}" does not stand there once`);
    writeFileSync(
      path,
      text.replace(line, () => without),
    );
  }
  return whole;
}

function runTest(copy: string, [file, name]: Defence['test']): Outcome {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const pattern = name.replace(/[^\w ]/g, '.');
  const words = [
    'node_modules/vitest/vitest.mjs',
    'run',
    file,
    '-t',
    pattern,
    '--retry=0',
    '--reporter=json',
    `--outputFile=${report}`,
  ];
  spawnSync('bin/node', words, { cwd: copy, stdio: 'ignore', timeout: TEST_MS_MAX, killSignal: 'SIGKILL' });
  try {
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const said = testResults.flatMap((one: { assertionResults: { failureMessages: string[] }[] }) => one.assertionResults);
    const [first = ''] = said.flatMap(({ failureMessages }: { failureMessages: string[] }) => failureMessages);
    return { failed: numFailedTests, passed: numPassedTests, said: String(first).split('\n')[0]!.slice(0, 160) };
  } catch {
    return { failed: 0, passed: 0, said: 'the test did not end' };
  }
}

const wanted = process.argv.slice(2).map(Number);
const copy = copyOfCheckout();
let isWhole = true;
try {
  for (const one of DEFENCES.filter(({ failure }) => wanted.length === 0 || wanted.includes(failure))) {
    const whole = takeAway(copy, one);
    const { failed, passed, said } = runTest(copy, one.test);
    for (const [path, text] of whole) writeFileSync(path, text);
    const isSeen = failed > 0 && passed === 0;
    isWhole &&= isSeen;
    console.log(
      `${isSeen ? 'red  ' : 'GREEN'} ${String(one.failure).padStart(2)}  ${one.defence}\n          ${one.test[0]}: ${said}`,
    );
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.exitCode = isWhole ? 0 : 1;

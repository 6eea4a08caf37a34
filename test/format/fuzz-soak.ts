// The long form of the fuzzing: `bin/node test/format/fuzz-soak.ts --seeds 100000 [--from 1] [--target "entries leaf"]`. Ends with 1 at the first
// seed that fails, and says which.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const HEAP_MIB = 128;
const SEEDS_PER_CHILD = 2000;
const TIMEOUT_MS = 600_000;
const CHILD = fileURLToPath(new URL('./fuzz-child.ts', import.meta.url));

export type FuzzReport = {
  readonly tallies: Readonly<Record<string, { readonly taken: number; readonly refused: number; readonly slowestMs: number }>>;
  readonly failure?: { readonly target: string; readonly seed: number; readonly error: string };
  readonly peakBytes: number;
};

/** Runs some seeds in a process of their own. Throws, naming target and seed, when one fails or the process dies of it. */
export function fuzz(from: number, seeds: number, target = ''): FuzzReport {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
  try {
    const at = join(directory, 'at');
    const args = [`--max-old-space-size=${HEAP_MIB}`, CHILD, at, String(from), String(seeds), target];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
    if (status !== 0) throw new Error(`died (${signal ?? status}) at ${readFileSync(at, 'utf8').trim()}\n${stderr.slice(0, 2000)}`);
    const report = JSON.parse(stdout) as FuzzReport;
    if (report.failure !== undefined) throw new Error(`${report.failure.target} ${report.failure.seed}: ${report.failure.error}`);
    return report;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function main(): void {
  const { values } = parseArgs({
    options: { seeds: { type: 'string', default: '100000' }, from: { type: 'string', default: '1' }, target: { type: 'string' } },
  });
  const end = Number(values.from) + Number(values.seeds);
  for (let from = Number(values.from); from < end; from += SEEDS_PER_CHILD) {
    const { tallies, peakBytes } = fuzz(from, Math.min(SEEDS_PER_CHILD, end - from), values.target);
    const slowest = Object.entries(tallies).sort(([, a], [, b]) => b.slowestMs - a.slowestMs)[0];
    const worst = slowest === undefined ? '' : `, slowest ${slowest[0]} ${slowest[1].slowestMs.toFixed(0)} ms`;
    process.stdout.write(
      `seeds ${from} to ${Math.min(from + SEEDS_PER_CHILD, end) - 1} hold${worst}, peak ${Math.round(peakBytes / 2 ** 20)} MiB\n`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

// Process entry: the only reader of the environment. It stays tiny, and everything else is imported after the compile cache is on: stripping
// types costs 100 ms and 40 MiB without it. bin/holdfast has turned it on already, for this file and for threads, and chosen its place; here
// it is for who starts this file without that.

import 'node:crypto';
import 'node:fs';
import 'node:fs/promises';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import 'node:perf_hooks'; // the global `performance`
import 'node:timers/promises';
import 'node:tty';
import 'node:util';
import { setFlagsFromString } from 'node:v8';
import 'node:zlib';

const { env } = process;
// Of bin/holdfast, for this process: a database server that is started here keeps to small pages.
if (env.GLIBC_TUNABLES === 'glibc.malloc.hugetlb=1') delete env.GLIBC_TUNABLES;

// Set here and not where Node is started, because what Node has compiled of its own modules counts only under default flags (25 ms of a
// short command). So those that nearly every verb needs are loaded above, and after this only our own.
// - Memory (measured on a backup of 60,000 files: 300 MiB without, 205 with): heaps are collected before they have doubled. Yet below 24 MiB a
//   thread's is not marked: V8 would do so while it loads its code (10 ms for each thread of a restore).
// - A run is short, and each of its threads compiles for itself: V8's two optimizing compilers are for functions that are called often indeed
//   (measured on a restore of 60,000 files: 0.39 CPU seconds with counts of 400 and 10,000, 0.12 with these, and no more in what they compile).
// - The last one keeps V8 from aborting: see bin/node.
const LATE_FLAGS = [
  '--heap-growing-percent=30',
  '--initial-old-space-size=24',
  '--invocation-count-for-maglev=2000',
  '--invocation-count-for-turbofan=100000',
  '--wasm-wrapper-tiering-budget=1000000000',
];
if (!process.execArgv.some((flag) => flag.startsWith('--invocation-count-'))) {
  for (const flag of LATE_FLAGS) setFlagsFromString(flag);
}

const cacheDirectory = env.HOLDFAST_CACHE_DIR || `${env.XDG_CACHE_HOME || `${homedir()}/.cache`}/holdfast`;
enableCompileCache(`${cacheDirectory}/code`);
const { resolveNeighboursFast } = await import('./base/module-paths.ts');
resolveNeighboursFast();
const { run } = await import('./cli/run.ts');
process.exit(await run({ argv: process.argv.slice(2), variables: env, cacheDirectory }));

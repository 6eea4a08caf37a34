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
import 'node:zlib';
import { setLateFlags } from './base/late-flags.ts';

const { env } = process;
// Of bin/holdfast, for this process: a database server that is started here keeps to small pages.
if (env.GLIBC_TUNABLES === 'glibc.malloc.hugetlb=1') delete env.GLIBC_TUNABLES;

if (!process.execArgv.some((flag) => flag.startsWith('--invocation-count-'))) setLateFlags();

const cacheDirectory = env.HOLDFAST_CACHE_DIR || `${env.XDG_CACHE_HOME || `${homedir()}/.cache`}/holdfast`;
enableCompileCache(`${cacheDirectory}/code`);
const { resolveNeighboursFast } = await import('./base/module-paths.ts');
resolveNeighboursFast();
const { run } = await import('./cli/run.ts');
process.exit(await run({ argv: process.argv.slice(2), variables: env, cacheDirectory }));

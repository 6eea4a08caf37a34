// Process entry: the only reader of the environment. It stays tiny, and everything else is imported after the compile cache is on: stripping
// types costs 100 ms and 40 MiB without it. bin/holdfast has turned it on already, for this file and for threads, and chosen its place; here
// it is for who starts this file without that.

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';

const { env } = process;
const cacheDirectory = env.HOLDFAST_CACHE_DIR || `${env.XDG_CACHE_HOME || `${homedir()}/.cache`}/holdfast`;
enableCompileCache(`${cacheDirectory}/code`);
const { resolveNeighboursFast } = await import('./base/module-paths.ts');
resolveNeighboursFast();
const { run } = await import('./cli/run.ts');
process.exit(await run({ argv: process.argv.slice(2), variables: env, cacheDirectory }));

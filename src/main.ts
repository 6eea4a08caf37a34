// Process entry: the only reader of the environment. It stays tiny because it is the one module that Node cannot take from its compile
// cache; everything else is imported after the cache is on (stripping types costs 100 ms and 40 MiB when it is not).

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';

const { env } = process;
const cacheDirectory = env.HOLDFAST_CACHE_DIR || `${env.XDG_CACHE_HOME || `${homedir()}/.cache`}/holdfast`;
enableCompileCache(`${cacheDirectory}/code`);
const { run } = await import('./cli/run.ts');
process.exit(await run({ argv: process.argv.slice(2), variables: env, cacheDirectory }));

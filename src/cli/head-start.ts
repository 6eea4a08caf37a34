// What is begun before the code of a verb is loaded, because it takes long and runs on threads of its own.

import { READ_THREAD, WarmThreads } from '../worker/thread-pool.ts';
import { deriveEarly } from './early-key.ts';
import type { Environment } from './environment.ts';
import type { OptionValues } from './option.ts';
import { threadsOf } from './threads.ts';
import type { HeadStart, Verb } from './verb.ts';

/** For a verb that opens a repository. */
export function headStart(verb: Verb, options: OptionValues, environment: Environment): HeadStart {
  const derive = deriveEarly(options, environment);
  // Where the key has no head start, something is missing or not at hand; then nobody waits for threads.
  if (derive === undefined || verb.readsPacks?.(options) !== true) return { derive };
  return { derive, readThreads: new WarmThreads(READ_THREAD, threadsOf(options)) };
}

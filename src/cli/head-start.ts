// What is begun before the code of a verb is loaded, because it takes long and runs on threads of its own. Only where everything for it is
// at hand: a repository in a directory, and a passphrase in a variable or a regular file (what can be read only once is not touched here).

import { statSync } from 'node:fs';
import { deriveEarly } from '../repository/early-key.ts';
import { parseLocation } from '../store/location.ts';
import type { Environment } from './environment.ts';
import type { OptionValues } from './option.ts';
import { REPOSITORY_PASSPHRASE, statedPassphrase } from './passphrase.ts';
import type { HeadStart, Verb } from './verb.ts';

/** For a verb that opens a repository. */
export async function headStart(verb: Verb, options: OptionValues, environment: Environment): Promise<HeadStart> {
  const derive = derivation(options, environment);
  // Where the key has no head start, something is missing or not at hand; then nobody waits for threads.
  if (derive === undefined || verb.readsPacks?.(options) !== true) return { derive };
  const [{ warmReadThreads }, { threadsOf }] = await Promise.all([import('../engine/reading-pool.ts'), import('./threads.ts')]);
  return { derive, readThreads: warmReadThreads(threadsOf(options)) };
}

function derivation(options: OptionValues, environment: Environment): HeadStart['derive'] {
  const { variables, cacheDirectory } = environment;
  try {
    const location = parseLocation(options.text('repo') ?? variables['HOLDFAST_REPO'] ?? '');
    const given = options.text('passphrase-file');
    const file = given ?? variables[REPOSITORY_PASSPHRASE.fileVariable];
    if (location.kind !== 'directory' || (file && !statSync(file).isFile())) return undefined;
    const passphrase = statedPassphrase({ ...REPOSITORY_PASSPHRASE, file: given }, environment);
    return passphrase === undefined
      ? undefined
      : deriveEarly(location.path, passphrase, options.text('cache-dir') ?? cacheDirectory);
  } catch {
    return undefined; // What is wrong is told when it is needed.
  }
}

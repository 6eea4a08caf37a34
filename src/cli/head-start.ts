// What is begun before the code of a verb is loaded, because it takes long and runs on threads of its own. Only where everything for it is
// at hand: the repository is named, and its passphrase is in a variable or a regular file (what can be read only once is not touched here).

import { statSync } from 'node:fs';
import { deriveEarly } from '../repository/early-key.ts';
import { formatLocation, parseLocation } from '../store/location.ts';
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
    if (file && !statSync(file).isFile()) return undefined;
    const passphrase = statedPassphrase({ ...REPOSITORY_PASSPHRASE, file: given }, environment);
    if (passphrase === undefined) return undefined;
    const cache = options.text('cache-dir') ?? cacheDirectory;
    return deriveEarly(formatLocation(location), passphrase, cache);
  } catch {
    return undefined; // What is wrong is told when it is needed.
  }
}

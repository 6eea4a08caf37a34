// A head start for the slowest part of opening a repository: the key from the passphrase takes a tenth of a second on a thread of its
// own, and the code of the verb can be loaded meanwhile. It begins only where everything for it is at hand: a repository in a directory,
// and a passphrase in a regular file or a variable. It decides nothing: what is missing or wrong here is left to the real opening, which
// looks at everything again and uses the result only for the very same passphrase, salt and cost.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Derive, deriveFromPassphrase, isScryptCostBearable } from '../codec/derive.ts';
import { decodeKeyObject } from '../format/key-object.ts';
import { recall } from '../repository/remembered.ts';
import { parseLocation } from '../store/location.ts';
import type { Environment } from './environment.ts';
import type { OptionValues } from './option.ts';
import { REPOSITORY_PASSPHRASE, statedPassphrase } from './passphrase.ts';

const KEY_FILE_BYTES_MAX = 1024 * 1024;

/** Begins to derive the key that will most likely be asked for. Undefined when nobody can tell which. */
export function deriveEarly(options: OptionValues, environment: Environment): Derive | undefined {
  try {
    return begin(options, environment);
  } catch {
    return undefined;
  }
}

function begin(options: OptionValues, environment: Environment): Derive | undefined {
  const { variables } = environment;
  const location = parseLocation(options.text('repo') ?? variables['HOLDFAST_REPO'] ?? '');
  const file = options.text('passphrase-file') ?? variables[REPOSITORY_PASSPHRASE.fileVariable];
  // What can be read only once (a pipe) is not touched here.
  if (location.kind !== 'directory' || (file && !statSync(file).isFile())) return undefined;
  const passphrase = statedPassphrase({ ...REPOSITORY_PASSPHRASE, file: options.text('passphrase-file') }, environment);
  if (passphrase === undefined) return undefined;
  const id = likelyKey(location.path, options.text('cache-dir') ?? environment.cacheDirectory);
  if (id === undefined) return undefined;
  const path = join(location.path, 'keys', id);
  if (statSync(path).size > KEY_FILE_BYTES_MAX) return undefined;
  const { salt, cost } = decodeKeyObject(readFileSync(path), id);
  if (!isScryptCostBearable(cost)) return undefined;
  const started = deriveFromPassphrase(passphrase, salt, cost);
  started.catch(() => {});
  return (asked, askedSalt, askedCost) => {
    const isSame =
      Buffer.compare(asked, passphrase) === 0 &&
      Buffer.compare(askedSalt, salt) === 0 &&
      askedCost.n === cost.n &&
      askedCost.r === cost.r &&
      askedCost.p === cost.p;
    return isSame ? started : deriveFromPassphrase(asked, askedSalt, askedCost);
  };
}

/** The only key; of several the one that opened the repository last time. */
function likelyKey(repository: string, cacheDirectory: string): string | undefined {
  const ids = readdirSync(join(repository, 'keys'));
  if (ids.length < 2) return ids[0];
  const { id } = JSON.parse(readFileSync(join(repository, 'repository'), 'utf8')) as { readonly id: unknown };
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  const { keyId } = recall(join(cacheDirectory, id));
  return keyId !== undefined && ids.includes(keyId) ? keyId : undefined;
}

// A head start for the slowest part of opening a repository: the key from the passphrase takes a tenth of a second on a thread of its
// own, and code can be loaded meanwhile. It begins only for a repository in a directory. It decides nothing: what is missing or wrong here
// is left to the real opening, which looks at everything again and uses the result only for the very same passphrase, salt and cost.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Derive, deriveFromPassphrase, isScryptCostBearable } from '../codec/derive.ts';
import { decodeKeyObject, KEY_OBJECT_BYTES_MAX } from '../format/key-object.ts';
import { recall } from './remembered.ts';

/** Begins to derive the key that will most likely be asked for. Undefined when nobody can tell which.
 *  `cacheDirectory`: of all repositories. */
export function deriveEarly(directory: string, passphrase: Uint8Array, cacheDirectory: string): Derive | undefined {
  try {
    const id = likelyKey(directory, cacheDirectory);
    const path = id === undefined ? undefined : join(directory, 'keys', id);
    if (path === undefined || statSync(path).size > KEY_OBJECT_BYTES_MAX) return undefined;
    return begin(readFileSync(path), passphrase);
  } catch {
    return undefined;
  }
}

function begin(keyObject: Uint8Array, passphrase: Uint8Array): Derive | undefined {
  const { salt, cost } = decodeKeyObject(keyObject, 'A key');
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
function likelyKey(directory: string, cacheDirectory: string): string | undefined {
  const ids = readdirSync(join(directory, 'keys'));
  if (ids.length < 2) return ids[0];
  const { id } = JSON.parse(readFileSync(join(directory, 'repository'), 'utf8')) as { readonly id: unknown };
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  const { keyId } = recall(join(cacheDirectory, id));
  return keyId !== undefined && ids.includes(keyId) ? keyId : undefined;
}

// A head start for the slowest part of opening a repository: the key from the passphrase takes a tenth of a second on a thread of its
// own, and code can be loaded meanwhile. What the repository's key asked for when it was derived last is remembered (salt and cost, no
// secrets). It decides nothing: what is missing or wrong here is left to the real opening, which looks at everything again and uses the result
// only for the very same passphrase, salt and cost.

import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';
import { type Derive, deriveFromPassphrase, isScryptCostBearable, type ScryptCost } from '../codec/derive.ts';

/** Begins with what was asked for last time, if that is known here, and remembers what is asked for now. `cacheDirectory`: of all
 *  repositories. */
export function deriveEarly(location: string, passphrase: Uint8Array, cacheDirectory: string): Derive {
  const path = join(cacheDirectory, 'asked', `${createHash('sha256').update(location).digest('hex')}.json`);
  let known = recallAsked(path);
  const derive = (known === undefined ? undefined : begin(known, passphrase)) ?? deriveFromPassphrase;
  return (asked, salt, cost) => {
    if (known === undefined || !isSameQuestion(known, { salt, cost })) {
      known = { salt, cost };
      rememberAsked(path, known);
    }
    return derive(asked, salt, cost);
  };
}

/** What a key asks of who has its passphrase. */
type Question = { readonly salt: Uint8Array; readonly cost: ScryptCost };

function isSameQuestion(one: Question, other: Question): boolean {
  return (
    Buffer.compare(one.salt, other.salt) === 0 &&
    one.cost.n === other.cost.n &&
    one.cost.r === other.cost.r &&
    one.cost.p === other.cost.p
  );
}

function recallAsked(path: string): Question | undefined {
  try {
    const { salt, n, r, p } = JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, unknown>>;
    if (typeof salt !== 'string' || typeof n !== 'number' || typeof r !== 'number' || typeof p !== 'number') return undefined;
    return { salt: Buffer.from(salt, 'hex'), cost: { n, r, p } };
  } catch {
    return undefined;
  }
}

function rememberAsked(path: string, { salt, cost }: Question): void {
  try {
    makeDirectory(dirname(path), { mode: 0o700 });
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, JSON.stringify({ salt: Buffer.from(salt).toString('hex'), ...cost }));
    renameSync(draft, path);
  } catch {
    // A cache.
  }
}

/** Undefined when it asks for too much. */
function begin({ salt, cost }: Question, passphrase: Uint8Array): Derive | undefined {
  if (!isScryptCostBearable(cost)) return undefined;
  const started = deriveFromPassphrase(passphrase, salt, cost);
  started.catch(() => {});
  return (asked, askedSalt, askedCost) => {
    const isSame = Buffer.compare(asked, passphrase) === 0 && isSameQuestion({ salt: askedSalt, cost: askedCost }, { salt, cost });
    return isSame ? started : deriveFromPassphrase(asked, askedSalt, askedCost);
  };
}

// Where sorts and sets of one repository spill to. Files there have no names: nothing is left when the process dies.

import { join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';

/** `cacheDirectory` of the repository. */
export function sortDirectory(cacheDirectory: string): string {
  const directory = join(cacheDirectory, 'sort');
  makeDirectory(directory, { mode: 0o700 });
  return directory;
}

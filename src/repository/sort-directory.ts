// Where sorts and sets of one repository spill to. Files there have no names: nothing is left when the process dies.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** `cacheDirectory` of the repository. */
export function sortDirectory(cacheDirectory: string): string {
  const directory = join(cacheDirectory, 'sort');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

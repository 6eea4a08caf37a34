// Where sorts and sets of one repository spill to. Files there have no names: nothing is left when the process dies.

import { join } from 'node:path';
import { makeCacheDirectory } from '../index/cache-file.ts';

/** `cacheDirectory` of the repository. INDEX_CACHE_FULL, INDEX_CACHE_DENIED. */
export function sortDirectory(cacheDirectory: string): string {
  const directory = join(cacheDirectory, 'sort');
  makeCacheDirectory(directory);
  return directory;
}

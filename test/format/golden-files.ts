// The files of golden repositories and their hashes.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentHash } from './golden-expected.ts';

export const GOLDEN_DIRECTORY = join(import.meta.dirname, '../golden');
export const MANIFEST = join(GOLDEN_DIRECTORY, 'manifest.json');

export function goldenNames(): string[] {
  const entries = readdirSync(GOLDEN_DIRECTORY, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** BLAKE3 of every file of a golden repository, by path below test/golden. */
export function goldenFiles(name: string): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const entry of readdirSync(join(GOLDEN_DIRECTORY, name), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    hashes[path.slice(GOLDEN_DIRECTORY.length + 1)] = contentHash(readFileSync(path));
  }
  return hashes;
}

// What is remembered of a repository between runs, in its cache directory. Without it the next run tries the keys in turn and knows no
// older head.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../base/make-directory.ts';

export type Remembered = {
  readonly keyId?: string;
  /** By the place where it was seen: a replica of a repository is behind it, and that is no roll-back. */
  readonly sequences?: Readonly<Record<string, number>>;
};

const PLACES_MAX = 16;

const FILE = 'remembered.json';

export function recall(directory: string): Remembered {
  try {
    const value = JSON.parse(readFileSync(join(directory, FILE), 'utf8')) as Record<string, unknown>;
    const { keyId, sequences } = value;
    const places = typeof sequences === 'object' && sequences !== null ? Object.entries(sequences) : [];
    return {
      ...(typeof keyId === 'string' ? { keyId } : {}),
      sequences: Object.fromEntries(places.filter((place): place is [string, number] => Number.isSafeInteger(place[1]))),
    };
  } catch {
    return {};
  }
}

export type Seen = { readonly keyId: string; readonly location: string; readonly sequence: number };

/** `processId` keeps drafts of processes apart. */
export function remember(directory: string, { keyId, location, sequence }: Seen, processId: number): void {
  try {
    const others = Object.entries(recall(directory).sequences ?? {}).filter(([place]) => place !== location);
    const sequences = Object.fromEntries([...others, [location, sequence] as const].slice(-PLACES_MAX));
    makeDirectory(directory, { mode: 0o700 });
    const path = join(directory, FILE);
    const draft = `${path}.${processId}`;
    writeFileSync(draft, JSON.stringify({ keyId, sequences }));
    renameSync(draft, path);
  } catch {
    // A cache.
  }
}

// What is remembered of a repository between runs, in its cache directory. Without it the next run tries the keys in turn and knows no
// older head.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Remembered = { readonly keyId?: string; readonly sequence?: number };

const FILE = 'remembered.json';

export function recall(directory: string): Remembered {
  try {
    const value = JSON.parse(readFileSync(join(directory, FILE), 'utf8')) as Record<string, unknown>;
    const { keyId, sequence } = value;
    return {
      ...(typeof keyId === 'string' ? { keyId } : {}),
      ...(Number.isSafeInteger(sequence) ? { sequence: sequence as number } : {}),
    };
  } catch {
    return {};
  }
}

/** `processId` keeps drafts of processes apart. */
export function remember(directory: string, remembered: Remembered, processId: number): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, FILE);
    const draft = `${path}.${processId}`;
    writeFileSync(draft, JSON.stringify(remembered));
    renameSync(draft, path);
  } catch {
    // A cache.
  }
}

// Small files that are there whole or not at all, on disk before anybody relies on them, and never replaced: keys, passphrases.

import { closeSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** 'exists': another one is there, and stays. `draftName` keeps two writers apart. */
export function writeOnce(path: string, content: Uint8Array | string, mode: number, draftName: string): 'written' | 'exists' {
  const draft = `${path}.${draftName}`;
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const file = openSync(draft, 'w', mode);
  try {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return linkDurably(draft, path);
  } finally {
    unlinkSync(draft);
  }
}

/** Gives a file, whose content is on disk, a second name in one step. */
export function linkDurably(from: string, to: string): 'written' | 'exists' {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return 'exists';
  }
  flushDirectory(dirname(to));
  return 'written';
}

function flushDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

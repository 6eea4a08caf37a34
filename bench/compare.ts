// Whether a restored directory (or file) is what was backed up: names, kinds, content, modes, owners, times, link targets.

import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';

const PIECE_BYTES = 1024 * 1024;
const DIFFERENCES_MAX = 10;

/** A microsecond: some programs keep no more. */
const TIME_SLACK_MS = 0.001;

function sameContent(first: string, second: string): boolean {
  const [a, b] = [openSync(first, 'r'), openSync(second, 'r')];
  const [left, right] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  try {
    for (let offset = 0; ; ) {
      const length = readSync(a, left, 0, PIECE_BYTES, offset);
      if (readSync(b, right, 0, PIECE_BYTES, offset) !== length) return false;
      if (length === 0) return true;
      if (left.compare(right, 0, length, 0, length) !== 0) return false;
      offset += length;
    }
  } finally {
    closeSync(a);
    closeSync(b);
  }
}

const kindOf = (stats: Stats) => stats.mode & 0o170000;

function differencesOfAttributes(a: Stats, b: Stats): string[] {
  const found: string[] = [];
  if ((a.mode & 0o7777) !== (b.mode & 0o7777))
    found.push(`mode ${(a.mode & 0o7777).toString(8)} / ${(b.mode & 0o7777).toString(8)}`);
  if (a.uid !== b.uid || a.gid !== b.gid) found.push(`owner ${a.uid}:${a.gid} / ${b.uid}:${b.gid}`);
  if (Math.abs(a.mtimeMs - b.mtimeMs) > TIME_SLACK_MS) found.push(`time ${a.mtimeMs} / ${b.mtimeMs}`);
  return found;
}

/** As `differences`, of a volume: what counts is its content. A restored one is private and of now. */
export function volumeDifferences(first: string, second: string): string[] {
  const [a, b] = [lstatSync(first), lstatSync(second, { throwIfNoEntry: false })];
  if (b === undefined || kindOf(a) !== kindOf(b))
    return [`${first}: ${b === undefined ? 'missing' : 'of another kind'} in ${second}`];
  return a.size === b.size && sameContent(first, second) ? [] : [`${first}: other content`];
}

/** What differs between `first` and `second`, in words; empty when nothing does. Stops at ten findings. */
export function differences(first: string, second: string, found: string[] = []): string[] {
  if (found.length >= DIFFERENCES_MAX) return found;
  const [a, b] = [lstatSync(first), lstatSync(second, { throwIfNoEntry: false })];
  if (b === undefined || kindOf(a) !== kindOf(b)) {
    found.push(`${first}: ${b === undefined ? 'missing' : 'of another kind'} in ${second}`);
    return found;
  }
  for (const one of differencesOfAttributes(a, b)) found.push(`${first}: ${one}`);
  if (a.isSymbolicLink() && readlinkSync(first) !== readlinkSync(second)) found.push(`${first}: link to elsewhere`);
  if (a.isFile() && (a.size !== b.size || !sameContent(first, second))) found.push(`${first}: other content`);
  if (!a.isDirectory()) return found;
  const [names, others] = [readdirSync(first), new Set(readdirSync(second))];
  for (const name of names) {
    differences(join(first, name), join(second, name), found);
    others.delete(name);
  }
  for (const name of others) found.push(`${join(second, name)}: not in ${first}`);
  return found;
}

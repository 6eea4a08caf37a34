// Which runs a cache directory holds: numbered files `manifest-<n>`, never changed. Whoever wants to change the list writes the next
// number with link(2), which succeeds for one process only; the others read again and try again. So there is no lock that a dead
// process could leave behind.
//
// The last KEPT manifests stay, so that a process which slept through a few changes loses the race for its number instead of
// winning one that is free again. One that slept longer may win it; then its run is in no list, and is made again some day: every
// process answers from the runs it has itself opened, so a lost entry costs work, never a wrong answer. A damaged manifest counts as
// not there, for the same reason.

import { linkSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import { cacheFault, hexOf, type RandomBytes, unlinkQuietly } from './cache-file.ts';
import { type Checksum, foldChecksum } from './checksum.ts';

export type TableFile = {
  /** In the cache directory. */
  readonly file: string;
  /** The run's own number, 16 hex digits. */
  readonly seed: string;
  readonly records: number;
};

export type RunEntry = {
  readonly chunks: TableFile;
  readonly blocks: TableFile;
  /** Ids of the index objects whose packs are in this run. */
  readonly covers: readonly string[];
};

/** Oldest run first. */
export type Manifest = { readonly number: number; readonly runs: readonly RunEntry[] };

const KEPT = 16;
const TRIES_MAX = 1000;
const PREFIX = 'manifest-';
const VERSION = 1;
const NAME = /^manifest-(\d{12})$/;

/** The newest manifest that is whole; without runs when there is none. Its number is that of the newest, whole or not. */
export function readManifest(directory: string, checksum: Checksum): Manifest {
  const numbers = manifestNumbers(directory);
  for (const number of numbers) {
    const runs = readRuns(join(directory, nameOf(number)), number, checksum);
    if (runs !== undefined) return { number: numbers[0]!, runs };
  }
  return { number: numbers[0] ?? 0, runs: [] };
}

/** Replaces the list of runs by what `change` makes of the newest one; `change` may be asked again, and answers undefined to leave
 *  everything as it is. Answers the list that holds now. Synchronous: threads of one process aside, nobody can come between. */
export function changeManifest(
  directory: string,
  checksum: Checksum,
  randomBytes: RandomBytes,
  change: (runs: readonly RunEntry[]) => readonly RunEntry[] | undefined,
): Manifest {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const current = readManifest(directory, checksum);
    const runs = change(current.runs);
    if (runs === undefined) return current;
    const next = { number: current.number + 1, runs };
    if (!publish(directory, next, checksum, randomBytes)) continue;
    for (const number of manifestNumbers(directory))
      if (number <= next.number - KEPT) unlinkQuietly(join(directory, nameOf(number)));
    return next;
  }
  throw new Fault('INDEX_CACHE_DAMAGED', `The index cache ${directory} is changed by others without end`);
}

/** False when another process has taken the number. */
function publish(directory: string, manifest: Manifest, checksum: Checksum, randomBytes: RandomBytes): boolean {
  const body = Buffer.from(JSON.stringify({ version: VERSION, runs: manifest.runs }));
  const sum = Buffer.alloc(8);
  sum.writeBigUInt64BE(foldChecksum(checksum, body, BigInt(manifest.number)));
  const draft = join(directory, `draft-${process.pid}-${hexOf(randomBytes(8))}`);
  try {
    writeFileSync(draft, Buffer.concat([sum, body]), { flag: 'wx', mode: 0o600 });
    linkSync(draft, join(directory, nameOf(manifest.number)));
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cacheFault(cause);
  } finally {
    unlinkQuietly(draft);
  }
}

function readRuns(path: string, number: number, checksum: Checksum): RunEntry[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  if (bytes.length < 8 || bytes.readBigUInt64BE(0) !== foldChecksum(checksum, bytes.subarray(8), BigInt(number))) return undefined;
  const body = JSON.parse(bytes.subarray(8).toString()) as { readonly version: number; readonly runs: RunEntry[] };
  return body.version === VERSION ? body.runs : undefined;
}

function manifestNumbers(directory: string): number[] {
  const numbers: number[] = [];
  for (const name of readdirSync(directory)) {
    const match = NAME.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => b - a);
}

function nameOf(number: number): string {
  return PREFIX + String(number).padStart(12, '0');
}

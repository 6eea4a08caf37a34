// Which runs a cache directory holds: numbered files `manifest-<n>`, never changed. Whoever wants to change the list writes the next
// number with link(2), which succeeds for one process only; the others read again and try again. So there is no lock that a dead
// process could leave behind.
//
// The last KEPT manifests stay. A process that slept through more changes than that may find its number free again: then it sees
// higher numbers when it has won, and begins anew. So what was published stays until somebody takes it out, and a change may be made
// twice: it must be one that can. A damaged manifest counts as not there: then the list is an older one, which lacks what was added
// since, and every process answers only from runs that it has itself opened and whose index objects are live.

import { constants, copyFileSync, linkSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
const NAME = /^manifest-(\d{12})$/;

/** The newest manifest that is whole; without runs when there is none. Its number is that of the newest, whole or not. */
export function readManifest(directory: string, checksum: Checksum): Manifest {
  let numbers: number[] = [];
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    numbers = manifestNumbers(directory);
    let isOutdated = false;
    for (const number of numbers) {
      const runs = readRuns(join(directory, nameOf(number)), number, checksum);
      // Gone already: there are many newer ones since the directory was listed.
      if (runs === 'gone') isOutdated = true;
      else if (runs !== 'damaged' && !isOutdated) return { number: numbers[0]!, runs };
    }
    if (!isOutdated) break;
  }
  return { number: numbers[0] ?? 0, runs: [] };
}

/** Replaces the list of runs by what `change` makes of the newest one; `change` may be asked again, also when its list was taken
 *  already, and answers undefined to leave everything as it is. Answers the list that holds then. */
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
    const numbers = manifestNumbers(directory);
    const isLate = numbers[0]! >= next.number + KEPT;
    for (const number of numbers) if (number <= numbers[0]! - KEPT) unlinkQuietly(join(directory, nameOf(number)));
    if (!isLate) return next;
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
    publishFile(draft, join(directory, nameOf(manifest.number)));
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cacheFault(cause);
  } finally {
    unlinkQuietly(draft);
  }
}

/** Throws EEXIST when the name is taken. On a file system without hard links the name is taken first and the content comes after: who
 *  looks in between, or after a crash there, finds a damaged manifest. */
function publishFile(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (cause) {
    if (!NO_LINKS.includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    copyFileSync(draft, path, constants.COPYFILE_EXCL);
  }
}

function readRuns(path: string, number: number, checksum: Checksum): readonly RunEntry[] | 'gone' | 'damaged' {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'gone' : 'damaged';
  }
  if (bytes.length < 8 || bytes.readBigUInt64BE(0) !== foldChecksum(checksum, bytes.subarray(8), BigInt(number))) return 'damaged';
  const body = JSON.parse(bytes.subarray(8).toString()) as { readonly version: number; readonly runs: readonly RunEntry[] };
  return body.version === VERSION ? body.runs : 'damaged';
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

// Where a restore goes: looked at before anything is read. What is there already is never overwritten unless the user says --delta.

import { closeSync, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { Fault } from '../base/faults.ts';
import { makeDirectory as makeDirectories } from '../base/make-directory.ts';
import { MIB } from '../base/units.ts';
import { claimTarget } from '../files/claim-target.ts';
import { isPosixError } from '../files/posix-error.ts';
import { realPath } from '../files/real-path.ts';
import { displayPath, joinPaths } from '../model/entry-path.ts';
import type { StoreLocation } from '../store/location.ts';
import { pathOfArgument } from './arguments.ts';

const OCCUPIED_HINT = 'Choose another target, or bring this one up to date with --delta (what differs is overwritten).';
/** A device whose beginning is zero holds nothing. */
const DEVICE_PROBE_BYTES = MIB;

/** All latin1, absolute. */
export type DirectoryTarget = { readonly directory: string };
export type FileTarget = {
  readonly path: string;
  /** Something is there that may be written over. */
  readonly exists: boolean;
};

/** TARGET_OCCUPIED for a target that is the repository's own directory, or in it: nothing but the repository belongs there, and --delta would
 *  write over it. */
export function mustBeOutside(target: string, repository: StoreLocation): void {
  if (repository.kind !== 'directory') return;
  const own = existing(resolveLatin1(pathOfArgument(repository.path)));
  for (let above = existing(resolveLatin1(target)); ; above = dirname(above)) {
    if (above === own)
      throw new Fault('TARGET_OCCUPIED', `The target "${displayPath(target)}" lies in the repository "${repository.path}"`, {
        hint: 'Choose a directory outside of the repository.',
      });
    if (above === '/') return;
  }
}

/** The path without symlinks, or of what is not there (or cannot be seen) the nearest one above. */
function existing(path: string): string {
  try {
    return realPath(path);
  } catch {
    return path === '/' ? path : existing(dirname(path));
  }
}

/** A directory for a tree: made when it is not there, and ours until this process ends. TARGET_OCCUPIED, TARGET_DENIED. */
export async function prepareDirectory(target: string, delta: boolean): Promise<DirectoryTarget> {
  const directory = makeDirectory(target);
  await claimTarget(directory);
  if (!delta && list(directory).length > 0) throw occupied(`The directory "${displayPath(directory)}" is not empty`);
  return { directory };
}

/** A place for one entry in a directory, which is made when it is not there. It is ours until this process ends. */
export async function prepareEntry(target: string, name: string, delta: boolean): Promise<FileTarget & DirectoryTarget> {
  const directory = makeDirectory(target);
  await claimTarget(directory, name);
  const path = joinPaths(directory, name);
  const there = look(path);
  if (there !== undefined && !delta) throw occupied(`There is something at "${displayPath(path)}" already`);
  return { directory, path, exists: there !== undefined };
}

/** The file or block device for a volume or stream: the target itself, or `name` in it when it is a directory. It is ours until this process
 *  ends. */
export async function prepareFile(target: string, name: string, delta: boolean): Promise<FileTarget> {
  const absolute = resolveLatin1(target);
  const stat = look(absolute, true);
  if (target.endsWith('/') || stat?.isDirectory() === true) return prepareEntry(target, name, delta);
  if (stat === undefined) {
    if (look(absolute) !== undefined) throw occupied(`The symlink "${displayPath(absolute)}" leads nowhere`);
    // Without a directory above it there is nothing to claim, and what opens it says so.
    if (look(dirname(absolute), true)?.isDirectory() === true) await claimTarget(dirname(absolute), basename(absolute));
    return { path: absolute, exists: false };
  }
  const path = realPathOf(absolute);
  await claimTarget(dirname(path), basename(path));
  if (stat.isBlockDevice()) {
    if (!delta && !beginsWithZeros(path)) throw occupied(`The device "${displayPath(path)}" is not empty`);
  } else if (!stat.isFile()) throw occupied(`"${displayPath(path)}" is neither a file nor a block device`);
  else if (!delta && stat.size > 0) throw occupied(`There is a file at "${displayPath(path)}" already`);
  return { path, exists: true };
}

function makeDirectory(target: string): string {
  const absolute = resolveLatin1(target);
  try {
    makeDirectories(absolute, { encoding: 'latin1' });
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST' || code === 'ENOTDIR') throw occupied(`"${displayPath(absolute)}" is in the way: it is not a directory`);
    throw denied('make the directory', absolute, error);
  }
  return realPathOf(absolute);
}

function list(directory: string): readonly Buffer[] {
  try {
    return readdirSync(bytesOf(directory), 'buffer');
  } catch (error) {
    throw denied('read the directory', directory, error);
  }
}

function look(path: string, follow = false): Stats | undefined {
  try {
    return lstatSync(bytesOf(follow ? realPath(path) : path));
  } catch (error) {
    const code = isPosixError(error) ? error.code : codeOf(error);
    if (code === 'ENOENT') return undefined;
    throw denied('look at', path, error);
  }
}

function beginsWithZeros(path: string): boolean {
  const begin = Buffer.alloc(DEVICE_PROBE_BYTES);
  try {
    const fd = openSync(bytesOf(path), 'r');
    try {
      readSync(fd, begin, 0, begin.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw denied('read', path, error);
  }
  return begin.every((byte) => byte === 0);
}

function realPathOf(path: string): string {
  try {
    return realPath(path);
  } catch (error) {
    throw denied('look at', path, error);
  }
}

function occupied(message: string): Fault {
  return new Fault('TARGET_OCCUPIED', message, { hint: OCCUPIED_HINT });
}

function denied(action: string, path: string, error: unknown): Fault {
  const code = isPosixError(error) ? error.code : codeOf(error);
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new Fault(isFull ? 'TARGET_FULL' : 'TARGET_DENIED', `Cannot ${action} "${displayPath(path)}": ${code}`, { cause: error });
}

export function resolveLatin1(path: string): string {
  return resolve(Buffer.from(process.cwd()).toString('latin1'), path);
}

function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

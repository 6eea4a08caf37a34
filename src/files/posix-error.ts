// A system call that failed, as a value with a stable code: the name of its errno ("ENOENT"). Callers turn it into a reported problem
// of one entry or into a fault; it does not reach a user as it is.

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { displayPath } from '../model/entry-path.ts';

export class PosixError extends Error {
  override readonly name = 'PosixError';
  /** Name of the errno: 'ENOENT', 'EACCES', ...; 'E117' when it has none here. */
  readonly code: string;
  /** The system call, e.g. 'lstat'. */
  readonly call: string;

  constructor(code: string, call: string, path: string) {
    super(`${call} "${displayPath(path)}": ${messageOf(code)} (${code})`);
    this.code = code;
    this.call = call;
  }
}

export function isPosixError(error: unknown, ...codes: readonly string[]): error is PosixError {
  return error instanceof PosixError && (codes.length === 0 || codes.includes(error.code));
}

// Numbers that Linux uses and Node does not name.
const UNNAMED: Readonly<Record<number, string>> = { 117: 'EUCLEAN', 121: 'EREMOTEIO', 123: 'ENOMEDIUM', 126: 'ENOKEY' };

// Where the system's own words are missing or mislead.
const MESSAGES: Readonly<Record<string, string>> = {
  EUCLEAN: 'the file system is damaged there',
  EREMOTEIO: 'remote i/o error',
  ENOMEDIUM: 'no medium found',
  ENOKEY: 'the key of an encrypted directory is missing',
  ENOTSUP: 'not supported there',
  E2BIG: 'too much for one entry',
  ELOOP: 'a symbolic link is in the way',
  EXDEV: 'it leads out of the directory or file system',
  ESTALE: 'another directory is there now',
};

let names: ReadonlyMap<number, string> | undefined;

/** 2 -> 'ENOENT'. */
export function codeOfErrno(errno: number): string {
  names ??= new Map<number, string>([
    ...Object.entries(UNNAMED).map(([number, name]) => [Number(number), name] as const),
    ...Object.entries(constants.errno).map(([name, number]) => [number, name] as const),
    // Pairs that share a number on Linux: one spelling, always.
    [constants.errno.EAGAIN, 'EAGAIN'],
    [constants.errno.ENOTSUP, 'ENOTSUP'],
  ]);
  return names.get(errno) ?? `E${errno}`;
}

/** 'ENOENT' -> 'no such file or directory'. */
export function messageOf(code: string): string {
  if (MESSAGES[code] !== undefined) return MESSAGES[code];
  const number = (constants.errno as Readonly<Record<string, number>>)[code];
  return (number === undefined ? undefined : getSystemErrorMap().get(-number)?.[1]) ?? 'unknown error';
}

/** What Node's fs throws, as a PosixError. Other errors (a bug, a bad argument) come back as they are. */
export function fromNodeError(error: unknown, call: string, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  const errno = (error as NodeJS.ErrnoException).errno;
  if (!(error instanceof Error) || typeof code !== 'string' || typeof errno !== 'number') return error;
  return new PosixError(errno < 0 ? codeOfErrno(-errno) : code, call, path);
}

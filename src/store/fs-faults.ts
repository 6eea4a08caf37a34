// What the operating system says, in the words of the table of faults.

import { Fault, type FaultCode } from '../base/faults.ts';

const CODES: Readonly<Record<string, FaultCode>> = {
  ENOSPC: 'STORE_FULL',
  EDQUOT: 'STORE_FULL',
  EACCES: 'STORE_DENIED',
  EPERM: 'STORE_DENIED',
  EROFS: 'STORE_DENIED',
  EXDEV: 'STORE_BAD_LOCATION',
  ENAMETOOLONG: 'STORE_BAD_LOCATION',
  ELOOP: 'STORE_BAD_LOCATION',
  EFBIG: 'STORE_TOO_LARGE',
  EMFILE: 'STORE_THROTTLED',
  ENFILE: 'STORE_THROTTLED',
  EAGAIN: 'STORE_THROTTLED',
  EBUSY: 'STORE_THROTTLED',
  ETIMEDOUT: 'STORE_TIMEOUT',
  ENOTCONN: 'STORE_UNREACHABLE',
  ESHUTDOWN: 'STORE_UNREACHABLE',
  EHOSTDOWN: 'STORE_UNREACHABLE',
  ESPIPE: 'FORMAT_DAMAGED', // a FIFO lies where a file was
  ESTALE: 'STORE_UNREACHABLE',
  ENODEV: 'STORE_UNREACHABLE',
  ENXIO: 'STORE_UNREACHABLE',
};

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC:
    'The disk is full, or has no inodes left. Free space on it, then run the command again. Forget and prune do, but need some MiB and inodes themselves before they can delete.',
  EDQUOT:
    'The disk quota is used up. Raise it or free space, then run the command again. Forget and prune do, but need some MiB themselves before they can delete.',
  EACCES: 'Give this user the right to read and write there.',
  EROFS: 'The file system is mounted read-only.',
  EXDEV: 'All of the directory must lie in one file system. Remove mounts and links to other disks from inside it.',
  EMFILE: 'Raise the limit of open files ("ulimit -n"), then run the command again.',
};

/** There is no file; links that lead to each other are none either. */
export const NO_FILE = ['ENOENT', 'ENOTDIR', 'ELOOP'] as const;

/** The name of a system error. Other errors may have a `code` too (a signal's reason, for one), but no number of the system. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'
    ? (error as NodeJS.ErrnoException).code
    : undefined;
}

/** True when `error` is a system error with one of these names. */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  const code = errnoOf(error);
  return code !== undefined && names.includes(code);
}

/** Turns what `node:fs` throws into a fault; faults stay as they are. `action` completes "could not ...". */
export function fsFault(error: unknown, action: string): unknown {
  if (error instanceof Fault) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const hint = HINTS[errno];
  const code = CODES[errno] ?? 'STORE_INTERNAL';
  return new Fault(code, `could not ${action}: ${errno}`, hint === undefined ? { cause: error } : { cause: error, hint });
}

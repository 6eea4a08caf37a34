// What a failed system call on the target means to the person who restores.

import { Fault, type FaultCode } from '../base/faults.ts';
import { displayPath, joinPaths } from '../model/entry-path.ts';
import { messageOf, type PosixError } from './posix-error.ts';

const CODES: Readonly<Record<string, FaultCode>> = {
  ELOOP: 'TARGET_LINK_IN_THE_WAY',
  EXDEV: 'TARGET_PATH_ESCAPES',
  EEXIST: 'TARGET_OCCUPIED',
  ENOTDIR: 'TARGET_OCCUPIED',
  EISDIR: 'TARGET_OCCUPIED',
  ENOTEMPTY: 'TARGET_OCCUPIED',
  ENOSPC: 'TARGET_FULL',
  EDQUOT: 'TARGET_FULL',
  EACCES: 'TARGET_DENIED',
  EPERM: 'TARGET_DENIED',
  EROFS: 'TARGET_DENIED',
  ENOTSUP: 'TARGET_UNSUPPORTED',
  ENOSYS: 'TARGET_UNSUPPORTED',
  EINVAL: 'TARGET_UNSUPPORTED',
  EILSEQ: 'TARGET_UNSUPPORTED',
  ENAMETOOLONG: 'TARGET_UNSUPPORTED',
  EMLINK: 'TARGET_UNSUPPORTED',
  EFBIG: 'TARGET_UNSUPPORTED',
};

/** `path` is relative to `location`; `action` reads like "create the file". */
export function targetFault(error: PosixError, action: string, location: string, path: string): Fault {
  const where = displayPath(joinPaths(location, path));
  return new Fault(CODES[error.code] ?? 'TARGET_FAILED', `Cannot ${action} "${where}": ${messageOf(error.code)} (${error.code})`, {
    cause: error,
  });
}

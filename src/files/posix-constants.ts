// The numbers of `Posix` that both its drivers and its callers use.

import { constants } from 'node:fs';

/** In place of an open directory: names are paths, absolute or relative to the working directory. */
export const HERE = -100;

/** Flags of `open`; the numbers differ between architectures. Every file is opened close-on-exec. */
export const OPEN = {
  read: constants.O_RDONLY,
  write: constants.O_WRONLY,
  readWrite: constants.O_RDWR,
  create: constants.O_CREAT,
  exclusive: constants.O_EXCL,
  /** A fifo in the place of a file would block for ever without it. */
  nonBlocking: constants.O_NONBLOCK,
  /** Leaves no trace of the reading; EPERM for files of others. 0 where there is no such thing. */
  noAccessTime: constants.O_NOATIME ?? 0,
  directory: constants.O_DIRECTORY,
  noFollow: constants.O_NOFOLLOW,
} as const;

/** Type bits of `FileStat.mode` and of `mknod`. */
export const TYPE_MASK = 0o170000;
export const TYPE = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  characterDevice: 0o020000,
  blockDevice: 0o060000,
} as const;

/** C's dev_t, as `stat` prints it. */
export function deviceNumber(major: number, minor: number): number {
  return (major & 0xfff) * 2 ** 8 + (minor & 0xff) + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44;
}

// The system calls that backup and restore of directory trees need, as a port with two drivers: posix-native.ts (libc without a
// compiler, through koffi) and posix-plain.ts (Node's fs, with what that can do). `can` says what a driver lacks, so that a caller reports
// the loss instead of suffering it.
//
// Every call names its object as (at, name): an open directory and a name in it, or `HERE` and a path, or an open file or directory and
// '' for the thing itself. **No call follows a symlink in its last component**, except `openDirectory` when told so. Names are strings
// with one char per byte; a zero byte or a char above 255 is refused (EINVAL), because a name cut short is another file.
//
// Every call is synchronous, throws only PosixError, and repeats itself on EINTR.

export { HERE, OPEN, TYPE, TYPE_MASK } from './posix-constants.ts';

/** Filled by `lstat`; made once and used again, so that a walk makes no garbage. */
export class FileStat {
  /** With the type bits. */
  mode = 0;
  uid = 0;
  gid = 0;
  sizeBytes = 0;
  /** Allocated units of 512 bytes. */
  blocks = 0;
  links = 0;
  /** The inode number in two halves: some file systems use all 64 bits, and a rounded one would make two files one. */
  inodeLow = 0;
  inodeHigh = 0;
  /** As `stat` prints it (the encoding of C's dev_t). */
  device = 0;
  rdevMajor = 0;
  rdevMinor = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
}

export interface Posix {
  readonly driver: 'native' | 'plain';
  readonly can: {
    /** Extended attributes, and with them ACLs and capabilities. Without: lists are empty, setting is ENOTSUP. */
    readonly xattrs: boolean;
    /** Make fifos, sockets and devices. Without: ENOTSUP. */
    readonly nodes: boolean;
    /** See and punch holes. Without: a file is one extent, `punchHole` answers false. */
    readonly holes: boolean;
    /** Set times to the nanosecond. Without: to about a microsecond. */
    readonly nanoseconds: boolean;
    /** Resist somebody who swaps a directory for a symlink during the call. Without: only links that were there before are refused. */
    readonly atomicPaths: boolean;
  };

  lstat(at: number, name: string, into: FileStat): void;
  readlink(at: number, name: string): string;

  /** For `readNames` and as `at`; it can be read. */
  openDirectory(at: number, name: string, links: 'follow' | 'refuse'): number;
  /** Appends the names in a directory, without "." and "..", in no order. Once per opening. Names read before an error are kept. */
  readNames(directory: number, names: string[]): void;
  /** Refuses a symlink as the last component (ELOOP). A new file is made with `mode`, less the umask. `name` may be longer than PATH_MAX. */
  open(at: number, name: string, flags: number, mode: number): number;
  /** As `open`, for a relative path of any length of which no component may be a symlink (ELOOP) or leave `directory` (EXDEV). With
   *  `OPEN.directory` the result can serve as `at`, and needs no permission to be read. */
  openBeneath(directory: number, path: string, flags: number, mode: number): number;
  close(fd: number): void;

  /** Reads at most `length` bytes into `buffer` from `offset` on; repeats short reads, so fewer means the end of the file. */
  pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
  /** As `pread`, from where the last `read` ended: for pipes, and one system call less to think of. One read; fewer bytes do not mean the
   *  end, 0 does. */
  read(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  /** Writes all of it or throws. */
  pwrite(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): void;
  truncate(fd: number, sizeBytes: number): void;
  /** Bytes of a file or a block device. */
  sizeOf(fd: number): number;
  /** Where the first data at or after `from` begins; undefined when only a hole is left. Moves the position of `read`. */
  nextData(fd: number, from: number): number | undefined;
  /** Frees a range, which then reads as zeros; the size stays. False where that cannot be done: write zeros then. */
  punchHole(fd: number, offset: number, length: number): boolean;
  /** Everything written to the file system of `fd` is durable afterwards (plain: only what was written through `fd`). */
  syncFileSystem(fd: number): void;

  mkdir(at: number, name: string, mode: number): void;
  symlink(target: string, at: number, name: string): void;
  link(fromAt: number, fromName: string, at: number, name: string): void;
  /** `mode` with one of TYPE's bits. */
  mknod(at: number, name: string, mode: number, major: number, minor: number): void;
  unlink(at: number, name: string): void;
  rmdir(at: number, name: string): void;
  rename(fromAt: number, fromName: string, at: number, name: string): void;

  chown(at: number, name: string, uid: number, gid: number): void;
  /** Not for symlinks: they have no mode (ENOTSUP). */
  chmod(at: number, name: string, mode: number): void;
  /** Sets the time of modification and leaves that of access. */
  setMtime(at: number, name: string, seconds: number, nanoseconds: number): void;

  /** Names of the extended attributes; none where the file system has no such thing. */
  listXattrs(at: number, name: string): readonly string[];
  /** Undefined when there is none of that name (any more). */
  getXattr(at: number, name: string, attribute: string): Uint8Array | undefined;
  setXattr(at: number, name: string, attribute: string, value: Uint8Array): void;
  /** Removing what is not there succeeds. */
  removeXattr(at: number, name: string, attribute: string): void;
}

// The C prototypes of `posix-native.ts`, bound to the running process. All are plain libc (glibc 2.28 or musl 1.2 and newer).

import { cLibrary } from '../base/ffi.ts';
import { PosixError } from './posix-error.ts';

// Flags that Node does not name; the same on every architecture that is served here.
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
/** With the zero at its end. */
export const PATH_BYTES_MAX = 4096;

type C = number;
type Bytes = Uint8Array | Uint32Array;

/** Each answers what the C function does: -1 and an errno when it failed. */
export type PosixBinding = {
  readonly errno: () => C;
  readonly statx: (at: C, path: Bytes, flags: C, mask: C, into: Bytes) => C;
  readonly getdents: (fd: C, into: Bytes, size: C) => C;
  readonly openat: (at: C, path: Bytes, flags: C, mode: C) => C;
  /** Undefined where the kernel or a seccomp filter has none. */
  readonly openat2: ((at: C, path: Bytes, how: Bytes) => C) | undefined;
  readonly close: (fd: C) => C;
  readonly read: (fd: C, into: Bytes, size: C) => C;
  readonly pread: (fd: C, into: Bytes, size: C, position: C) => C;
  readonly pwrite: (fd: C, from: Bytes, size: C, position: C) => C;
  readonly lseek: (fd: C, offset: C, whence: C) => C;
  readonly ftruncate: (fd: C, size: C) => C;
  readonly fallocate: (fd: C, mode: C, offset: C, length: C) => C;
  readonly syncfs: (fd: C) => C;
  readonly readlinkat: (at: C, path: Bytes, into: Bytes, size: C) => C;
  readonly mkdirat: (at: C, path: Bytes, mode: C) => C;
  readonly symlinkat: (target: Bytes, at: C, path: Bytes) => C;
  readonly linkat: (fromAt: C, from: Bytes, at: C, path: Bytes, flags: C) => C;
  readonly mknodat: (at: C, path: Bytes, mode: C, device: C) => C;
  readonly unlinkat: (at: C, path: Bytes, flags: C) => C;
  readonly renameat: (fromAt: C, from: Bytes, at: C, path: Bytes) => C;
  readonly fchownat: (at: C, path: Bytes, uid: C, gid: C, flags: C) => C;
  readonly fchmod: (fd: C, mode: C) => C;
  readonly fchmodat: (at: C, path: Bytes, mode: C, flags: C) => C;
  readonly utimensat: (at: C, path: Bytes, times: Bytes, flags: C) => C;
  readonly futimens: (fd: C, times: Bytes) => C;
  readonly llistxattr: (path: Bytes, into: Bytes, size: C) => C;
  readonly flistxattr: (fd: C, into: Bytes, size: C) => C;
  readonly lgetxattr: (path: Bytes, name: Bytes, into: Bytes, size: C) => C;
  readonly fgetxattr: (fd: C, name: Bytes, into: Bytes, size: C) => C;
  readonly lsetxattr: (path: Bytes, name: Bytes, from: Bytes, size: C, flags: C) => C;
  readonly fsetxattr: (fd: C, name: Bytes, from: Bytes, size: C, flags: C) => C;
  readonly lremovexattr: (path: Bytes, name: Bytes) => C;
  readonly fremovexattr: (fd: C, name: Bytes) => C;
};

const PATH = 'const void *path';
const XATTR = 'const void *name';
const LONG = 'int64_t';
const PROTOTYPES: { readonly [name in keyof Omit<PosixBinding, 'errno' | 'openat2' | 'getdents'>]: string } = {
  statx: `int statx(int at, ${PATH}, int flags, unsigned int mask, void *into)`,
  openat: `int openat(int at, ${PATH}, int flags, unsigned int mode)`,
  close: 'int close(int fd)',
  read: `${LONG} read(int fd, void *into, size_t size)`,
  pread: `${LONG} pread64(int fd, void *into, size_t size, ${LONG} position)`,
  pwrite: `${LONG} pwrite64(int fd, const void *from, size_t size, ${LONG} position)`,
  lseek: `${LONG} lseek64(int fd, ${LONG} offset, int whence)`,
  ftruncate: `int ftruncate64(int fd, ${LONG} size)`,
  fallocate: `int fallocate64(int fd, int mode, ${LONG} offset, ${LONG} length)`,
  syncfs: 'int syncfs(int fd)',
  readlinkat: `${LONG} readlinkat(int at, ${PATH}, void *into, size_t size)`,
  mkdirat: `int mkdirat(int at, ${PATH}, unsigned int mode)`,
  symlinkat: `int symlinkat(const void *target, int at, ${PATH})`,
  linkat: `int linkat(int from_at, const void *from, int at, ${PATH}, int flags)`,
  mknodat: `int mknodat(int at, ${PATH}, unsigned int mode, uint64_t device)`,
  unlinkat: `int unlinkat(int at, ${PATH}, int flags)`,
  renameat: `int renameat(int from_at, const void *from, int at, ${PATH})`,
  fchownat: `int fchownat(int at, ${PATH}, unsigned int uid, unsigned int gid, int flags)`,
  fchmod: 'int fchmod(int fd, unsigned int mode)',
  fchmodat: `int fchmodat(int at, ${PATH}, unsigned int mode, int flags)`,
  utimensat: `int utimensat(int at, ${PATH}, const void *times, int flags)`,
  futimens: 'int futimens(int fd, const void *times)',
  llistxattr: `${LONG} llistxattr(${PATH}, void *into, size_t size)`,
  flistxattr: `${LONG} flistxattr(int fd, void *into, size_t size)`,
  lgetxattr: `${LONG} lgetxattr(${PATH}, ${XATTR}, void *into, size_t size)`,
  fgetxattr: `${LONG} fgetxattr(int fd, ${XATTR}, void *into, size_t size)`,
  lsetxattr: `int lsetxattr(${PATH}, ${XATTR}, const void *from, size_t size, int flags)`,
  fsetxattr: `int fsetxattr(int fd, ${XATTR}, const void *from, size_t size, int flags)`,
  lremovexattr: `int lremovexattr(${PATH}, ${XATTR})`,
  fremovexattr: `int fremovexattr(int fd, ${XATTR})`,
};

// Declared without "..." although C's `syscall` is variadic: for integers and pointers the convention is the same on x86-64 and arm64.
const SYS_OPENAT2 = 437;
const SYS_GETDENTS64: Readonly<Record<string, number>> = { x64: 217, arm64: 61 };

/** The calls of this process; undefined where one is missing or the byte order is another than that of the structs we read. */
export function bindPosix(): PosixBinding | undefined {
  const library = cLibrary;
  if (library === undefined || process.platform !== 'linux' || new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1)
    return undefined;
  const bound: Record<string, unknown> = { errno: library.errno };
  for (const [name, prototype] of Object.entries(PROTOTYPES)) {
    // musl has no names with "64": its own are that wide already.
    const call = library.bind(prototype) ?? library.bind(prototype.replace(/64\(/, '('));
    if (call === undefined) return undefined;
    bound[name] = call;
  }
  const getdents = bindGetdents(library.bind);
  if (getdents === undefined) return undefined;
  return { ...bound, getdents, openat2: bindOpenat2(library.bind) } as PosixBinding;
}

type Bind = NonNullable<typeof cLibrary>['bind'];

function bindGetdents(bind: Bind): PosixBinding['getdents'] | undefined {
  const direct = bind(`${LONG} getdents64(int fd, void *into, size_t size)`);
  if (direct !== undefined) return direct;
  const number = SYS_GETDENTS64[process.arch];
  const syscall = number === undefined ? undefined : bind(`${LONG} syscall(${LONG} number, int fd, void *into, size_t size)`);
  return syscall === undefined ? undefined : (fd, into, size) => syscall(number, fd, into, size);
}

function bindOpenat2(bind: Bind): PosixBinding['openat2'] {
  const syscall = bind(`${LONG} syscall(${LONG} number, int at, ${PATH}, const void *how, size_t size)`);
  return syscall === undefined ? undefined : (at, path, how) => syscall(SYS_OPENAT2, at, path, how, how.byteLength);
}

/** `path` as a C string in `buffer`. A zero byte or a char above 255 would name another file: refused. */
export function cString(buffer: Buffer, path: string, call: string): Buffer {
  const n = path.length;
  if (n >= buffer.length) throw new PosixError('ENAMETOOLONG', call, path);
  for (let i = 0; i < n; i++) {
    const byte = path.charCodeAt(i);
    if (byte === 0 || byte > 255) throw new PosixError('EINVAL', call, path);
    buffer[i] = byte;
  }
  buffer[n] = 0;
  return buffer;
}

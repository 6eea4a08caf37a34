// `Posix` on libc. Paths and results go through buffers that are made once per thread, so a call costs the system call and some 100 ns.

import type { FileStat, Posix } from './posix.ts';
import { bindPosix, cString, O_CLOEXEC, O_PATH, PATH_BYTES_MAX, type PosixBinding } from './posix-binding.ts';
import { deviceNumber, HERE, OPEN } from './posix-constants.ts';
import { codeOfErrno, PosixError } from './posix-error.ts';
import { isSymlink, OpenBeneath, openFailed } from './posix-open-beneath.ts';

const XATTR_BYTES_MAX = 65_536; // the kernel's limit of a list and of a value
const NAMES_BYTES = 65_536;

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const UTIME_OMIT = 0x3ffffffe;
const PUNCH_HOLE_AND_KEEP_SIZE = 3;
const SEEK_END = 2;
const SEEK_DATA = 3;

const DOT = 46;
const TWO_32 = 2 ** 32;

/** The native driver for this thread, or undefined where koffi or one of the calls is missing. `openat2: false` is for tests of how
 *  kernels before 5.6 are served. */
export function nativePosix(options: { readonly openat2?: false } = {}): Posix | undefined {
  const binding = bindPosix();
  return binding === undefined
    ? undefined
    : new NativePosix(options.openat2 === false ? { ...binding, openat2: undefined } : binding);
}

class NativePosix implements Posix {
  readonly driver = 'native';
  readonly can = { xattrs: true, nodes: true, holes: true, nanoseconds: true, atomicPaths: true };
  readonly #c: PosixBinding;
  readonly #path = Buffer.allocUnsafeSlow(PATH_BYTES_MAX);
  readonly #otherPath = Buffer.allocUnsafeSlow(PATH_BYTES_MAX);
  readonly #attribute = Buffer.allocUnsafeSlow(PATH_BYTES_MAX);
  readonly #names = Buffer.allocUnsafeSlow(NAMES_BYTES);
  readonly #statx = new Uint32Array(64);
  readonly #times = new Uint32Array(8);
  #xattr: Buffer | undefined;
  readonly #beneath: OpenBeneath;

  constructor(binding: PosixBinding) {
    this.#c = binding;
    this.#beneath = new OpenBeneath(binding);
  }

  lstat(at: number, name: string, into: FileStat): void {
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name === '' ? AT_EMPTY_PATH : 0);
    const x = this.#statx;
    if (this.#c.statx(at, cString(this.#path, name, 'lstat'), flags, STATX_BASIC_STATS, x) !== 0) this.#fail('lstat', name);
    into.links = x[4]!;
    into.uid = x[5]!;
    into.gid = x[6]!;
    into.mode = x[7]! & 0xffff;
    into.inodeLow = x[8]!;
    into.inodeHigh = x[9]!;
    into.sizeBytes = x[11]! * TWO_32 + x[10]!;
    into.blocks = x[13]! * TWO_32 + x[12]!;
    into.ctimeSec = (x[25]! | 0) * TWO_32 + x[24]!;
    into.ctimeNsec = x[26]!;
    into.mtimeSec = (x[29]! | 0) * TWO_32 + x[28]!;
    into.mtimeNsec = x[30]!;
    into.rdevMajor = x[32]!;
    into.rdevMinor = x[33]!;
    into.device = deviceNumber(x[34]!, x[35]!);
  }

  readlink(at: number, name: string): string {
    const into = this.#otherPath;
    const n = this.#c.readlinkat(at, cString(this.#path, name, 'readlink'), into, PATH_BYTES_MAX);
    if (n < 0) this.#fail('readlink', name);
    return into.toString('latin1', 0, n);
  }

  openDirectory(at: number, name: string, links: 'follow' | 'refuse'): number {
    const path = cString(this.#path, name === '' ? '.' : name, 'opendir');
    const flags = O_CLOEXEC | OPEN.directory | (links === 'refuse' ? OPEN.noFollow : 0);
    let fd = this.#c.openat(at, path, flags | OPEN.noAccessTime, 0);
    if (fd < 0) fd = this.#c.openat(at, path, flags, 0); // only the owner may leave the access time alone
    if (fd < 0) throw openFailed(this.#c, 'opendir', at, name);
    return fd;
  }

  readNames(directory: number, names: string[]): void {
    const buffer = this.#names;
    for (;;) {
      const end = this.#c.getdents(directory, buffer, NAMES_BYTES);
      if (end < 0) this.#fail('readdir', '');
      if (end === 0) return;
      // struct linux_dirent64: u64 inode, s64 offset, u16 length of the record, u8 type, the name, zero, up to 7 bytes of padding.
      for (let record = 0, length: number; record < end; record += length) {
        length = buffer[record + 16]! | (buffer[record + 17]! << 8);
        const start = record + 19;
        let stop = Math.max(start, record + length - 8);
        while (buffer[stop] !== 0) stop++;
        const dots = buffer[start] === DOT && (stop === start + 1 || (stop === start + 2 && buffer[start + 1] === DOT));
        if (!dots) names.push(buffer.toString('latin1', start, stop));
      }
    }
  }

  open(at: number, name: string, flags: number, mode: number): number {
    const wanted = flags | OPEN.noFollow | O_CLOEXEC;
    if (name.length >= PATH_BYTES_MAX) return this.#beneath.openLong(at, name, wanted, mode);
    const path = cString(this.#path, name, 'open');
    for (;;) {
      const fd = this.#c.openat(at, path, wanted, mode);
      if (fd >= 0) return fd;
      this.#failUnlessInterrupted('open', name);
    }
  }

  openBeneath(directory: number, path: string, flags: number, mode: number): number {
    return this.#beneath.open(directory, path, flags, mode);
  }

  close(fd: number): void {
    if (this.#c.close(fd) !== 0 && codeOfErrno(this.#c.errno()) !== 'EINTR') this.#fail('close', '');
  }

  pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const at = offset + done;
      const n = this.#c.pread(fd, at === 0 ? buffer : buffer.subarray(at), length - done, position + done);
      if (n === 0) break;
      if (n < 0) this.#failUnlessInterrupted('read', '');
      else done += n;
    }
    return done;
  }

  read(fd: number, buffer: Uint8Array, offset: number, length: number): number {
    for (;;) {
      const n = this.#c.read(fd, offset === 0 ? buffer : buffer.subarray(offset), length);
      if (n >= 0) return n;
      this.#failUnlessInterrupted('read', '');
    }
  }

  pwrite(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): void {
    let done = 0;
    while (done < length) {
      const at = offset + done;
      const n = this.#c.pwrite(fd, at === 0 ? buffer : buffer.subarray(at), length - done, position + done);
      if (n === 0) throw new PosixError('EIO', 'write', '');
      if (n < 0) this.#failUnlessInterrupted('write', '');
      else done += n;
    }
  }

  truncate(fd: number, sizeBytes: number): void {
    while (this.#c.ftruncate(fd, sizeBytes) !== 0) this.#failUnlessInterrupted('truncate', '');
  }

  sizeOf(fd: number): number {
    const size = this.#c.lseek(fd, 0, SEEK_END);
    if (size < 0) this.#fail('lseek', '');
    return Number(size);
  }

  nextData(fd: number, from: number): number | undefined {
    const at = this.#c.lseek(fd, from, SEEK_DATA);
    if (at >= 0) return Number(at);
    const code = codeOfErrno(this.#c.errno());
    if (code === 'ENXIO') return undefined;
    if (code === 'EINVAL' || code === 'ENOTSUP') return from < this.sizeOf(fd) ? from : undefined;
    throw new PosixError(code, 'lseek', '');
  }

  punchHole(fd: number, offset: number, length: number): boolean {
    while (this.#c.fallocate(fd, PUNCH_HOLE_AND_KEEP_SIZE, offset, length) !== 0) {
      const code = codeOfErrno(this.#c.errno());
      if (code === 'ENOTSUP' || code === 'ENOSYS' || code === 'EINVAL' || code === 'EPERM') return false;
      if (code !== 'EINTR') throw new PosixError(code, 'fallocate', '');
    }
    return true;
  }

  syncFileSystem(fd: number): void {
    if (this.#c.syncfs(fd) !== 0) this.#fail('syncfs', '');
  }

  mkdir(at: number, name: string, mode: number): void {
    if (this.#c.mkdirat(at, cString(this.#path, name, 'mkdir'), mode) !== 0) this.#fail('mkdir', name);
  }

  symlink(target: string, at: number, name: string): void {
    const to = cString(this.#otherPath, target, 'symlink');
    if (this.#c.symlinkat(to, at, cString(this.#path, name, 'symlink')) !== 0) this.#fail('symlink', name);
  }

  link(fromAt: number, fromName: string, at: number, name: string): void {
    const from = cString(this.#otherPath, fromName, 'link');
    if (this.#c.linkat(fromAt, from, at, cString(this.#path, name, 'link'), 0) !== 0) this.#fail('link', name);
  }

  mknod(at: number, name: string, mode: number, major: number, minor: number): void {
    // Above these the kernel would cut bits off and make another device.
    if (major > 0xfff || minor > 0xfffff) throw new PosixError('EINVAL', 'mknod', name);
    if (this.#c.mknodat(at, cString(this.#path, name, 'mknod'), mode, deviceNumber(major, minor)) !== 0) this.#fail('mknod', name);
  }

  unlink(at: number, name: string): void {
    if (this.#c.unlinkat(at, cString(this.#path, name, 'unlink'), 0) !== 0) this.#fail('unlink', name);
  }

  rmdir(at: number, name: string): void {
    if (this.#c.unlinkat(at, cString(this.#path, name, 'rmdir'), AT_REMOVEDIR) !== 0) this.#fail('rmdir', name);
  }

  rename(fromAt: number, fromName: string, at: number, name: string): void {
    const from = cString(this.#otherPath, fromName, 'rename');
    if (this.#c.renameat(fromAt, from, at, cString(this.#path, name, 'rename')) !== 0) this.#fail('rename', name);
  }

  chown(at: number, name: string, uid: number, gid: number): void {
    const flags = AT_SYMLINK_NOFOLLOW | (name === '' ? AT_EMPTY_PATH : 0);
    if (this.#c.fchownat(at, cString(this.#path, name, 'chown'), uid, gid, flags) !== 0) this.#fail('chown', name);
  }

  chmod(at: number, name: string, mode: number): void {
    if (name === '') {
      if (this.#c.fchmod(at, mode) !== 0) this.#fail('chmod', name);
      return;
    }
    const path = cString(this.#path, name, 'chmod');
    if (this.#c.fchmodat(at, path, mode, AT_SYMLINK_NOFOLLOW) === 0) return;
    const code = codeOfErrno(this.#c.errno());
    if (code !== 'ENOTSUP') throw new PosixError(code, 'chmod', name);
    // glibc before 2.32 does not know the flag. An O_PATH descriptor pins what is there, a symlink too, whose chmod the kernel refuses.
    const fd = this.#c.openat(at, path, O_PATH | OPEN.noFollow | O_CLOEXEC, 0);
    if (fd < 0) this.#fail('chmod', name);
    try {
      if (isSymlink(this.#c, fd, '') || this.#c.fchmodat(HERE, cString(this.#path, `/proc/self/fd/${fd}`, 'chmod'), mode, 0) !== 0)
        throw new PosixError('ENOTSUP', 'chmod', name);
    } finally {
      this.close(fd);
    }
  }

  setMtime(at: number, name: string, seconds: number, nanoseconds: number): void {
    const t = this.#times;
    t[2] = UTIME_OMIT;
    t[4] = seconds; // modulo 2^32
    t[5] = Math.floor(seconds / TWO_32);
    t[6] = nanoseconds;
    const failed =
      name === '' ? this.#c.futimens(at, t) : this.#c.utimensat(at, cString(this.#path, name, 'utimensat'), t, AT_SYMLINK_NOFOLLOW);
    if (failed !== 0) this.#fail('utimensat', name);
  }

  listXattrs(at: number, name: string): readonly string[] {
    const into = (this.#xattr ??= Buffer.allocUnsafeSlow(XATTR_BYTES_MAX));
    const n =
      name === ''
        ? this.#c.flistxattr(at, into, XATTR_BYTES_MAX)
        : this.#c.llistxattr(this.#xattrPath(at, name, 'listxattr'), into, XATTR_BYTES_MAX);
    if (n > 0) return into.toString('latin1', 0, n - 1).split('\0');
    if (n === 0) return NONE;
    const code = codeOfErrno(this.#c.errno());
    if (code === 'ENOTSUP') return NONE;
    throw new PosixError(code, 'listxattr', name);
  }

  getXattr(at: number, name: string, attribute: string): Uint8Array | undefined {
    const into = (this.#xattr ??= Buffer.allocUnsafeSlow(XATTR_BYTES_MAX));
    const key = cString(this.#attribute, attribute, 'getxattr');
    const n =
      name === ''
        ? this.#c.fgetxattr(at, key, into, XATTR_BYTES_MAX)
        : this.#c.lgetxattr(this.#xattrPath(at, name, 'getxattr'), key, into, XATTR_BYTES_MAX);
    if (n >= 0) return new Uint8Array(into.subarray(0, n));
    const code = codeOfErrno(this.#c.errno());
    if (code === 'ENODATA') return undefined;
    throw new PosixError(code, 'getxattr', name);
  }

  setXattr(at: number, name: string, attribute: string, value: Uint8Array): void {
    const key = cString(this.#attribute, attribute, 'setxattr');
    const failed =
      name === ''
        ? this.#c.fsetxattr(at, key, value, value.length, 0)
        : this.#c.lsetxattr(this.#xattrPath(at, name, 'setxattr'), key, value, value.length, 0);
    if (failed !== 0) this.#fail('setxattr', name);
  }

  removeXattr(at: number, name: string, attribute: string): void {
    const key = cString(this.#attribute, attribute, 'removexattr');
    const failed =
      name === '' ? this.#c.fremovexattr(at, key) : this.#c.lremovexattr(this.#xattrPath(at, name, 'removexattr'), key);
    if (failed !== 0 && codeOfErrno(this.#c.errno()) !== 'ENODATA') this.#fail('removexattr', name);
  }

  /** These calls have no form with a directory before Linux 6.13; /proc's name of the open directory stands in for it. */
  #xattrPath(at: number, name: string, call: string): Buffer {
    return cString(this.#path, at === HERE ? name : `/proc/self/fd/${at}/${name}`, call);
  }

  #failUnlessInterrupted(call: string, name: string): void {
    const code = codeOfErrno(this.#c.errno());
    if (code !== 'EINTR') throw new PosixError(code, call, name);
  }

  #fail(call: string, name: string): never {
    throw new PosixError(codeOfErrno(this.#c.errno()), call, name);
  }
}

const NONE: readonly string[] = Object.freeze([]);

// `Posix` on Node's fs, for platforms without koffi. An open directory is a descriptor whose path is remembered, because Node cannot
// name things relative to a descriptor: paths end at PATH_MAX, and somebody who renames directories during a run can mislead it.

import fs from 'node:fs';
import { joinPaths } from '../model/entry-path.ts';
import type { FileStat, Posix } from './posix.ts';
import { HERE, OPEN, TYPE, TYPE_MASK } from './posix-constants.ts';
import { fromNodeError, PosixError } from './posix-error.ts';

const BILLION = 1_000_000_000n;

export function plainPosix(): Posix {
  return new PlainPosix();
}

class PlainPosix implements Posix {
  readonly driver = 'plain';
  readonly can = { xattrs: false, nodes: false, holes: false, nanoseconds: false, atomicPaths: false };
  readonly #directories = new Map<number, string>();

  lstat(at: number, name: string, into: FileStat): void {
    const s = attempt('lstat', name, () =>
      name === '' ? fs.fstatSync(at, { bigint: true }) : fs.lstatSync(this.#bytes(at, name), { bigint: true }),
    );
    into.mode = Number(s.mode);
    into.uid = Number(s.uid);
    into.gid = Number(s.gid);
    into.sizeBytes = Number(s.size);
    into.blocks = Number(s.blocks);
    into.links = Number(s.nlink);
    into.inodeLow = Number(s.ino & 0xffff_ffffn);
    into.inodeHigh = Number(s.ino >> 32n);
    into.device = Number(s.dev);
    into.rdevMajor = Number(((s.rdev >> 8n) & 0xfffn) | ((s.rdev >> 32n) & 0xffff_f000n));
    into.rdevMinor = Number((s.rdev & 0xffn) | ((s.rdev >> 12n) & 0xffff_ff00n));
    into.mtimeNsec = Number(((s.mtimeNs % BILLION) + BILLION) % BILLION);
    into.mtimeSec = Number((s.mtimeNs - BigInt(into.mtimeNsec)) / BILLION);
    into.ctimeNsec = Number(((s.ctimeNs % BILLION) + BILLION) % BILLION);
    into.ctimeSec = Number((s.ctimeNs - BigInt(into.ctimeNsec)) / BILLION);
  }

  readlink(at: number, name: string): string {
    return attempt('readlink', name, () => fs.readlinkSync(this.#bytes(at, name), 'buffer').toString('latin1'));
  }

  openDirectory(at: number, name: string, links: 'follow' | 'refuse'): number {
    return this.#openDirectoryPath(name === '' ? this.#pathOf(at, '.') : this.#pathOf(at, name), links);
  }

  #openDirectoryPath(path: string, links: 'follow' | 'refuse'): number {
    const flags = OPEN.directory | (links === 'refuse' ? OPEN.noFollow : 0);
    const fd = attempt('opendir', path, () => {
      if (links === 'refuse' && fs.lstatSync(bytesOf(path)).isSymbolicLink()) throw new PosixError('ELOOP', 'opendir', path);
      return fs.openSync(bytesOf(path), flags);
    });
    this.#directories.set(fd, path);
    return fd;
  }

  readNames(directory: number, names: string[]): void {
    const path = this.#pathOf(directory, '.');
    for (const name of attempt('readdir', path, () => fs.readdirSync(bytesOf(path), 'buffer'))) names.push(name.toString('latin1'));
  }

  open(at: number, name: string, flags: number, mode: number): number {
    return attempt('open', name, () => fs.openSync(this.#bytes(at, name), flags | OPEN.noFollow, mode));
  }

  openBeneath(directory: number, path: string, flags: number, mode: number): number {
    const components = path.split('/');
    if (path.startsWith('/') || components.includes('..')) throw new PosixError('EXDEV', 'open', path);
    let parent = this.#pathOf(directory, '.');
    for (const component of components.slice(0, -1)) {
      parent = joinPaths(parent, component);
      const type = attempt('open', path, () => fs.lstatSync(bytesOf(parent)).mode) & TYPE_MASK;
      if (type !== TYPE.directory) throw new PosixError(type === TYPE.symlink ? 'ELOOP' : 'ENOTDIR', 'open', path);
    }
    const whole = joinPaths(parent, components.at(-1)!);
    if ((flags & OPEN.directory) !== 0) return this.#openDirectoryPath(whole, 'refuse');
    return attempt('open', path, () => fs.openSync(bytesOf(whole), flags | OPEN.noFollow, mode));
  }

  close(fd: number): void {
    this.#directories.delete(fd);
    attempt('close', '', () => fs.closeSync(fd));
  }

  pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const n = attempt('read', '', () => fs.readSync(fd, buffer, offset + done, length - done, position + done));
      if (n === 0) break;
      done += n;
    }
    return done;
  }

  read(fd: number, buffer: Uint8Array, offset: number, length: number): number {
    return attempt('read', '', () => fs.readSync(fd, buffer, offset, length, null));
  }

  pwrite(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): void {
    for (let done = 0; done < length; )
      done += attempt('write', '', () => fs.writeSync(fd, buffer, offset + done, length - done, position + done));
  }

  truncate(fd: number, sizeBytes: number): void {
    attempt('truncate', '', () => fs.ftruncateSync(fd, sizeBytes));
  }

  sizeOf(fd: number): number {
    const stat = attempt('fstat', '', () => fs.fstatSync(fd));
    if (!stat.isBlockDevice()) return stat.size;
    const device = `${(stat.rdev >>> 8) & 0xfff}:${(stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00)}`;
    return attempt('size of device', device, () => Number(fs.readFileSync(`/sys/dev/block/${device}/size`, 'latin1')) * 512);
  }

  nextData(fd: number, from: number): number | undefined {
    return from < this.sizeOf(fd) ? from : undefined;
  }

  punchHole(): boolean {
    return false;
  }

  syncFileSystem(fd: number): void {
    attempt('fsync', '', () => fs.fsyncSync(fd));
  }

  mkdir(at: number, name: string, mode: number): void {
    attempt('mkdir', name, () => fs.mkdirSync(this.#bytes(at, name), mode));
  }

  symlink(target: string, at: number, name: string): void {
    attempt('symlink', name, () => fs.symlinkSync(bytesOf(target), this.#bytes(at, name)));
  }

  link(fromAt: number, fromName: string, at: number, name: string): void {
    attempt('link', name, () => fs.linkSync(this.#bytes(fromAt, fromName), this.#bytes(at, name)));
  }

  mknod(_at: number, name: string): void {
    throw new PosixError('ENOTSUP', 'mknod', name);
  }

  unlink(at: number, name: string): void {
    attempt('unlink', name, () => fs.unlinkSync(this.#bytes(at, name)));
  }

  rmdir(at: number, name: string): void {
    attempt('rmdir', name, () => fs.rmdirSync(this.#bytes(at, name)));
  }

  rename(fromAt: number, fromName: string, at: number, name: string): void {
    attempt('rename', name, () => fs.renameSync(this.#bytes(fromAt, fromName), this.#bytes(at, name)));
  }

  chown(at: number, name: string, uid: number, gid: number): void {
    attempt('chown', name, () => (name === '' ? fs.fchownSync(at, uid, gid) : fs.lchownSync(this.#bytes(at, name), uid, gid)));
  }

  chmod(at: number, name: string, mode: number): void {
    attempt('chmod', name, () => {
      if (name === '') return fs.fchmodSync(at, mode);
      const path = this.#bytes(at, name);
      if (fs.lstatSync(path).isSymbolicLink()) throw new PosixError('ENOTSUP', 'chmod', name);
      fs.chmodSync(path, mode);
    });
  }

  setMtime(at: number, name: string, seconds: number, nanoseconds: number): void {
    // As near as a double comes: some 200 ns. As text, because Node takes a negative number for "now".
    const time = String(seconds + nanoseconds / 1e9);
    attempt('utimensat', name, () => {
      if (name === '') return fs.futimesSync(at, String(fs.fstatSync(at).atimeMs / 1000), time);
      const path = this.#bytes(at, name);
      fs.lutimesSync(path, String(fs.lstatSync(path).atimeMs / 1000), time);
    });
  }

  listXattrs(): readonly string[] {
    return [];
  }

  getXattr(): Uint8Array | undefined {
    return undefined;
  }

  setXattr(_at: number, name: string): void {
    throw new PosixError('ENOTSUP', 'setxattr', name);
  }

  removeXattr(): void {}

  #bytes(at: number, name: string): Buffer {
    return bytesOf(this.#pathOf(at, name));
  }

  #pathOf(at: number, name: string): string {
    if (at === HERE) return name;
    const directory = this.#directories.get(at);
    if (directory === undefined) throw new PosixError('EBADF', 'lookup', name);
    return name === '.' ? directory : joinPaths(directory, name);
  }
}

/** `path` for Node. A zero byte or a char above 255 would name another file: refused. */
function bytesOf(path: string): Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes.
  if (!/^[\x01-\xff]+$/.test(path)) throw new PosixError(path === '' ? 'ENOENT' : 'EINVAL', 'lookup', path);
  return Buffer.from(path, 'latin1');
}

function attempt<T>(call: string, path: string, action: () => T): T {
  for (;;) {
    try {
      return action();
    } catch (error) {
      const cause = fromNodeError(error, call, path);
      if (!(cause instanceof PosixError) || cause.code !== 'EINTR') throw cause;
    }
  }
}

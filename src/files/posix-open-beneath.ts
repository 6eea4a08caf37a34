// Opens a path below a directory such that no component is a symlink and nothing outside is reached, whoever renames what meanwhile.
//
// One openat2 does it since Linux 5.6. Before that (and where a seccomp filter hides the call) the path is walked component by component,
// each opened without following links and held while the next one is looked up. Paths longer than one call can name are walked in strides.

import { cString, O_CLOEXEC, O_PATH, PATH_BYTES_MAX, type PosixBinding } from './posix-binding.ts';
import { OPEN, TYPE, TYPE_MASK } from './posix-constants.ts';
import { codeOfErrno, PosixError } from './posix-error.ts';

// No magic links of /proc, no symlink in any component, nothing outside the directory.
const RESOLVE_STRICTLY_BENEATH = 0x02 | 0x04 | 0x08;
const PASS = OPEN.directory | OPEN.noFollow | O_PATH | O_CLOEXEC;

export class OpenBeneath {
  readonly #c: PosixBinding;
  readonly #path = Buffer.allocUnsafeSlow(PATH_BYTES_MAX);
  readonly #how = new Uint32Array(6); // u64 flags, mode, resolve
  #openat2: PosixBinding['openat2'];
  #openat2Works = false;

  constructor(binding: PosixBinding) {
    this.#c = binding;
    this.#openat2 = binding.openat2;
    this.#how[4] = RESOLVE_STRICTLY_BENEATH;
  }

  /** See `Posix.openBeneath`. */
  open(directory: number, path: string, flags: number, mode: number): number {
    const wanted = flags | OPEN.noFollow | O_CLOEXEC | ((flags & OPEN.directory) !== 0 ? O_PATH : 0);
    if (path.length < PATH_BYTES_MAX) return this.#open(directory, path, wanted, mode);
    return this.#inStrides(
      directory,
      path,
      (at, stride) => this.#open(at, stride, PASS, 0),
      (at, rest) => this.#open(at, rest, wanted, mode),
    );
  }

  /** Opens a path that is longer than one call can name, following the links in it as `open` does, except in its last component. */
  openLong(at: number, path: string, flags: number, mode: number): number {
    const pass = OPEN.directory | O_PATH | O_CLOEXEC;
    return this.#inStrides(
      at,
      path,
      (from, stride) => this.#openat(from, stride, pass, 0),
      (from, rest) => this.#openat(from, rest, flags, mode),
    );
  }

  #inStrides(
    start: number,
    path: string,
    pass: (at: number, stride: string) => number,
    last: (at: number, rest: string) => number,
  ): number {
    let at = start;
    let rest = path;
    try {
      while (rest.length >= PATH_BYTES_MAX) {
        const cut = rest.lastIndexOf('/', PATH_BYTES_MAX - 1);
        if (cut <= 0) throw new PosixError('ENAMETOOLONG', 'open', path);
        const next = pass(at, rest.slice(0, cut));
        this.#leave(at, start);
        at = next;
        rest = rest.slice(cut + 1);
      }
      return last(at, rest);
    } finally {
      this.#leave(at, start);
    }
  }

  #open(directory: number, path: string, flags: number, mode: number): number {
    if (this.#openat2 === undefined) return this.#openByComponents(directory, path, flags, mode);
    const how = this.#how;
    how[0] = flags;
    how[2] = (flags & OPEN.create) !== 0 ? mode : 0;
    const bytes = cString(this.#path, path, 'open');
    for (;;) {
      const fd = this.#openat2(directory, bytes, how);
      if (fd >= 0) {
        this.#openat2Works = true;
        return fd;
      }
      const code = codeOfErrno(this.#c.errno());
      if (code === 'EINTR' || code === 'EAGAIN') continue; // EAGAIN: a rename somewhere disturbed the check
      if (!this.#openat2Works && (code === 'ENOSYS' || code === 'EPERM')) {
        // EPERM may also be honest: then the other way says so too.
        if (code === 'ENOSYS') this.#openat2 = undefined;
        return this.#openByComponents(directory, path, flags, mode);
      }
      throw new PosixError(code === 'ENOTDIR' && isSymlink(this.#c, directory, path) ? 'ELOOP' : code, 'open', path);
    }
  }

  #openByComponents(directory: number, path: string, flags: number, mode: number): number {
    const components = path.split('/');
    if (path.startsWith('/') || components.includes('..')) throw new PosixError('EXDEV', 'open', path);
    const last = components.pop()!;
    let at = directory;
    try {
      for (const component of components) {
        const next = this.#openat(at, component, PASS, 0);
        this.#leave(at, directory);
        at = next;
      }
      return this.#openat(at, last, flags, mode);
    } finally {
      this.#leave(at, directory);
    }
  }

  #openat(at: number, name: string, flags: number, mode: number): number {
    for (;;) {
      const fd = this.#c.openat(at, cString(this.#path, name, 'open'), flags, mode);
      if (fd >= 0) return fd;
      const error = openFailed(this.#c, 'open', at, name);
      if (error.code !== 'EINTR') throw error;
    }
  }

  #leave(at: number, directory: number): void {
    if (at !== directory) this.#c.close(at);
  }
}

/** Why an `openat` without following failed. "Not a directory" of a symlink becomes ELOOP, as where no directory is asked for. */
export function openFailed(c: PosixBinding, call: string, at: number, name: string): PosixError {
  const code = codeOfErrno(c.errno());
  return new PosixError(code === 'ENOTDIR' && isSymlink(c, at, name) ? 'ELOOP' : code, call, name);
}

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE = 1;

export function isSymlink(c: PosixBinding, at: number, name: string): boolean {
  const x = new Uint32Array(64);
  const path = cString(Buffer.alloc(PATH_BYTES_MAX), name, 'lstat');
  return c.statx(at, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_TYPE, x) === 0 && (x[7]! & TYPE_MASK) === TYPE.symlink;
}

// Open directories of one tree, by path: a few recent ones, so that a run over a tree in canonical order opens each directory about once.
// Each is opened below the root without following a symlink in any component.

import { HERE, OPEN, type Posix } from './posix.ts';

const OPEN_MAX = 32;

export class DirectoryCache {
  readonly #posix: Posix;
  readonly #root: number;
  /** Least recently used first. */
  readonly #open = new Map<string, number>();
  readonly #notes = new Map<number, number>();
  #latest = '';
  #latestFd = -1;

  /** `location`: the root, one char per byte; links in it are followed, for it is the user's own word. Throws PosixError. */
  constructor(posix: Posix, location: string) {
    this.#posix = posix;
    this.#root = posix.openDirectory(HERE, location, 'follow');
  }

  /** For use as `at` until the next call but one. '' is the root. Throws PosixError: ELOOP for a symlink in the way, ENOTDIR, ENOENT, ... */
  at(path: string): number {
    if (path === this.#latest && this.#latestFd !== -1) return this.#latestFd;
    if (path === '') {
      this.#latest = path;
      this.#latestFd = this.#root;
      return this.#root;
    }
    let fd = this.#open.get(path);
    if (fd === undefined) {
      if (this.#open.size >= OPEN_MAX) this.#drop(this.#open.keys().next().value!);
      fd = this.#posix.openBeneath(this.#root, path, OPEN.directory, 0);
    } else this.#open.delete(path); // to the end of the queue
    this.#open.set(path, fd);
    this.#latest = path;
    this.#latestFd = fd;
    return fd;
  }

  /** What the caller has found out about the directory of the last `at`, as long as it is held open; 0 at first. */
  get note(): number {
    return this.#notes.get(this.#latestFd) ?? 0;
  }

  set note(note: number) {
    this.#notes.set(this.#latestFd, note);
  }

  /** Forgets a directory that is about to be removed, and all below. */
  forget(path: string): void {
    for (const open of [...this.#open.keys()]) if (open === path || open.startsWith(`${path}/`)) this.#drop(open);
  }

  close(): void {
    for (const path of [...this.#open.keys()]) this.#drop(path);
    this.#posix.close(this.#root);
  }

  #drop(path: string): void {
    const fd = this.#open.get(path)!;
    this.#posix.close(fd);
    this.#notes.delete(fd);
    this.#open.delete(path);
    if (path === this.#latest) this.#latestFd = -1;
  }
}

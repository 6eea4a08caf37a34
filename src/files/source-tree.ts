// Reading what a walk found: content and extended attributes, by the path of the entry. As in the walk, no symlink below the root is
// followed: a directory that became a link meanwhile is a problem (ELOOP), not a way out of the tree.

import type { Xattr } from '../model/entry.ts';
import { nameOfPath, parentOfPath } from '../model/entry-path.ts';
import { readXattrs } from './attributes.ts';
import { DirectoryCache } from './directory-cache.ts';
import { HERE, OPEN, type Posix } from './posix.ts';
import { posixCalls } from './posix-calls.ts';
import { isPosixError } from './posix-error.ts';

export class SourceTree {
  readonly location: string;
  readonly #posix: Posix;
  #directories: DirectoryCache | undefined;

  /** `location`: a root as it was given to `walk`. Nothing is opened before it is needed. */
  constructor(location: string, posix: Posix = posixCalls()) {
    this.location = location;
    this.#posix = posix;
  }

  /** Opens the content of an entry for reading, without touching its access time where that is allowed, and without waiting on what has
   *  become a fifo: look at the descriptor (`lstat(fd, '')`) before trusting it to be the file. Throws PosixError. */
  openFile(path: string): number {
    const flags = OPEN.read | OPEN.nonBlocking;
    try {
      return this.#open(path, flags | OPEN.noAccessTime);
    } catch (error) {
      if (!isPosixError(error, 'EPERM')) throw error; // somebody else's file, and we are not root
      return this.#open(path, flags);
    }
  }

  /** Of any entry, in byte order of their names. For a file that is open anyway, `readXattrs(posix, fd, '')` is faster. Throws PosixError. */
  readXattrs(path: string): readonly Xattr[] {
    if (path === '') return readXattrs(this.#posix, HERE, this.location);
    return readXattrs(this.#posix, this.#root().at(parentOfPath(path)), nameOfPath(path));
  }

  close(): void {
    this.#directories?.close();
    this.#directories = undefined;
  }

  #open(path: string, flags: number): number {
    if (path === '') return this.#posix.open(HERE, this.location, flags, 0);
    return this.#posix.open(this.#root().at(parentOfPath(path)), nameOfPath(path), flags, 0);
  }

  #root(): DirectoryCache {
    return (this.#directories ??= new DirectoryCache(this.#posix, this.location));
  }
}

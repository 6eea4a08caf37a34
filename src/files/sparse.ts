// Holes of files: they read as zeros, so whoever would read one need not. A file of terabytes that holds little (the disk of a virtual machine)
// takes as long as what it holds.
//
// Whether a file system can be believed: OpenZFS has answered "hole" for data that was just written (its issue 15526), so it is not asked.

import { statfsSync } from 'node:fs';
import { FileStat, type Posix, TYPE, TYPE_MASK } from './posix.ts';
import { isPosixError } from './posix-error.ts';

const BLOCK_BYTES = 512;
const ZFS_MAGIC = 0x2fc12fc1;
const stat = new FileStat();

/** What is known of the holes of one open file, as far as it was asked. Use positioned reads meanwhile: looking moves the file's own position. */
export class Holes {
  readonly #posix: Posix;
  readonly #fd: number;
  /** The hole that was found last. */
  #from = 0;
  #to = 0;

  constructor(posix: Posix, fd: number) {
    this.#posix = posix;
    this.#fd = fd;
  }

  /** Whether all of the range reads as zeros because nothing is stored there. False where that cannot be told, and for what lies behind the end. */
  cover(from: number, to: number): boolean {
    if (from < this.#from || from >= this.#to) this.#look(from);
    return from >= this.#from && to <= this.#to;
  }

  #look(from: number): void {
    this.#from = from;
    this.#to = from;
    try {
      this.#to = this.#posix.nextData(this.#fd, from) ?? this.#posix.sizeOf(this.#fd);
    } catch (error) {
      // A disk that is ill says so when it is read.
      if (!isPosixError(error)) throw error;
    }
  }
}

/** Undefined of a file that is stored whole, of what is no regular file, and where holes cannot be seen. */
export function holesOf(posix: Posix, fd: number): Holes | undefined {
  if (!posix.can.holes) return undefined;
  posix.lstat(fd, '', stat);
  const isSparse = (stat.mode & TYPE_MASK) === TYPE.file && stat.blocks * BLOCK_BYTES < stat.sizeBytes;
  return isSparse && isHonest(fd) ? new Holes(posix, fd) : undefined;
}

function isHonest(fd: number): boolean {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type !== ZFS_MAGIC;
  } catch {
    return false;
  }
}

// Walks directory trees in canonical order (see `comparePaths`): depth first, a directory right before its content, siblings by the
// bytes of their names, so that the stream can be merged with the one of an earlier snapshot.
//
// Everything is looked up relative to the open directory above it and no link is followed, so somebody who moves directories about
// cannot lead the walk astray, and no tree is too deep for a path. Memory: the names in the directories on the way down to the current
// entry, and at most OPEN_DIRECTORIES_MAX descriptors.
//
// Nothing is left out in silence: what could not be read is yielded as a problem. Only what the options exclude is not yielded.

import type { EntryKind, FileEntry } from '../model/entry.ts';
import { ENTRY_PATH_BYTES_MAX, joinPaths } from '../model/entry-path.ts';
import { CACHE_TAG, isCacheDirectory } from './cache-directory.ts';
import type { Exclude } from './exclude.ts';
import { kindOfMode } from './kind-of-mode.ts';
import { FileStat, HERE, OPEN, type Posix } from './posix.ts';
import { posixCalls } from './posix-calls.ts';
import { isPosixError, PosixError } from './posix-error.ts';

export const OPEN_DIRECTORIES_MAX = 64;

export type WalkOptions = {
  /** The calls of this thread when absent. */
  readonly posix?: Posix;
  /** Keeps the directory on which another file system is mounted, but not what is in it. */
  readonly oneFileSystem?: boolean;
  readonly exclude?: Exclude;
  /** Keeps of a directory with a valid CACHEDIR.TAG only itself and the tag. */
  readonly excludeCaches?: boolean;
  readonly without?: Without;
};

/** A directory that is left out by whatever way the walk comes upon it: a path says too little where something is mounted twice. */
export type Without = {
  readonly directory: Pick<FileStat, 'device' | 'inodeHigh' | 'inodeLow'>;
  /** `place`: where it was found. */
  readonly onFound: (place: string) => void;
};

export type WalkedEntry = FileEntry & {
  /** Position of its root in the list that was given to `walk`. */
  readonly root: number;
  /** Space on disk; less than `sizeBytes` for a file with holes (or one that the file system compressed). */
  readonly allocatedBytes: number;
  /** Equal for names of one inode, whatever the root; '' for directories and for what has one name only. Exact, where `inode` may be
   *  folded to 52 bits. */
  readonly hardLinkKey: string;
};

export type WalkProblem = {
  readonly kind: 'problem';
  readonly root: number;
  /** What could not be read. After an entry of kind 'directory' with the same path: its content, or a part of it, is missing. */
  readonly path: string;
  /** Name of the errno. ENOENT: it vanished. */
  readonly code: string;
  readonly message: string;
};

export type WalkItem = WalkedEntry | WalkProblem;

/** Walks one root after the other. A root (one char per byte, as given to the kernel) may be of any kind; its own entry has the path ''.
 *  Stopping early (`return`) closes what is open. */
export function* walk(roots: readonly string[], options: WalkOptions = {}): Generator<WalkItem, void, undefined> {
  for (const [root, location] of roots.entries()) yield* new TreeWalk(root, location, options).items();
}

type Frame = {
  /** CLOSED while the walk is far below. */
  fd: number;
  /** Of the directory, with a "/" at its end; '' for the root. */
  readonly prefix: string;
  names: string[];
  next: number;
  /** Of the directory, once it is closed: to know it again. */
  device: number;
  inodeLow: number;
  inodeHigh: number;
};

const CLOSED = -1;

class TreeWalk {
  readonly #root: number;
  readonly #location: string;
  readonly #options: WalkOptions;
  readonly #posix: Posix;
  readonly #stat = new FileStat();
  readonly #stack: Frame[] = [];
  #device = 0;

  constructor(root: number, location: string, options: WalkOptions) {
    this.#root = root;
    this.#location = location;
    this.#options = options;
    this.#posix = options.posix ?? posixCalls();
  }

  *items(): Generator<WalkItem, void, undefined> {
    const stack = this.#stack;
    try {
      const first = this.#look(HERE, this.#location, '');
      yield first;
      this.#device = this.#stat.device;
      if (first.kind === 'directory') {
        const problem = this.#enter(HERE, this.#location, '');
        if (problem !== undefined) yield problem;
      }
      while (stack.length > 0) {
        const frame = stack[stack.length - 1]!;
        if (frame.next === frame.names.length) {
          this.#leave();
          continue;
        }
        if (frame.fd === CLOSED) {
          const problem = this.#reopen(frame);
          if (problem !== undefined) {
            yield problem;
            this.#leave();
            continue;
          }
        }
        const name = frame.names[frame.next++]!;
        const path = frame.prefix + name;
        const item = this.#look(frame.fd, name, path);
        if (this.#isExcluded(item) || this.#isWithout(item)) continue;
        yield item;
        if (item.kind !== 'directory') continue;
        const problem = this.#enter(frame.fd, name, path);
        if (problem !== undefined) yield problem;
      }
    } finally {
      while (stack.length > 0) this.#leave();
    }
  }

  #isExcluded(item: WalkItem): boolean {
    const exclude = this.#options.exclude;
    if (exclude === undefined) return false;
    // Whatever it is, if it cannot even be looked at.
    if (item.kind === 'problem') return exclude(item.path, true) || exclude(item.path, false);
    return exclude(item.path, item.kind === 'directory');
  }

  /** Of the entry that was looked at last. */
  #isWithout({ kind, path }: WalkItem): boolean {
    const { without } = this.#options;
    if (without === undefined || kind !== 'directory') return false;
    const { directory, onFound } = without;
    const { device, inodeHigh, inodeLow } = this.#stat;
    if (device !== directory.device || inodeHigh !== directory.inodeHigh || inodeLow !== directory.inodeLow) return false;
    onFound(joinPaths(this.#location, path));
    return true;
  }

  /** The entry of a name, or the problem with it. */
  #look(at: number, name: string, path: string): WalkItem {
    const stat = this.#stat;
    try {
      if (path.length > ENTRY_PATH_BYTES_MAX) throw new PosixError('ENAMETOOLONG', 'lstat', path);
      this.#posix.lstat(at, name, stat);
      const kind = kindOfMode(stat.mode);
      if (kind === undefined) throw new PosixError('EINVAL', 'lstat', path);
      const linkTarget = kind === 'symlink' ? this.#posix.readlink(at, name) : '';
      if (kind === 'file' && stat.sizeBytes > Number.MAX_SAFE_INTEGER) throw new PosixError('EFBIG', 'lstat', path);
      return this.#entry(kind, path, linkTarget);
    } catch (error) {
      return this.#problem(error, path);
    }
  }

  #entry(kind: EntryKind, path: string, linkTarget: string): WalkedEntry {
    const stat = this.#stat;
    const isDevice = kind === 'character-device' || kind === 'block-device';
    return {
      path,
      kind,
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      sizeBytes: kind === 'file' ? stat.sizeBytes : 0,
      mtimeSec: stat.mtimeSec,
      mtimeNsec: stat.mtimeNsec,
      ctimeSec: stat.ctimeSec,
      ctimeNsec: stat.ctimeNsec,
      inode: foldedInode(stat),
      device: stat.device,
      links: stat.links,
      rdevMajor: isDevice ? stat.rdevMajor : 0,
      rdevMinor: isDevice ? stat.rdevMinor : 0,
      linkTarget,
      root: this.#root,
      allocatedBytes: stat.blocks * 512,
      hardLinkKey: stat.links > 1 && kind !== 'directory' ? `${stat.device}:${stat.inodeHigh}:${stat.inodeLow}` : '',
    };
  }

  /** Opens a directory that was just yielded, reads its names and makes it the current one. */
  #enter(at: number, name: string, path: string): WalkProblem | undefined {
    const posix = this.#posix;
    const stat = this.#stat;
    const { oneFileSystem, excludeCaches } = this.#options;
    if (oneFileSystem === true && stat.device !== this.#device) return undefined;
    const frame: Frame = {
      fd: CLOSED,
      prefix: path === '' ? '' : `${path}/`,
      names: [],
      next: 0,
      device: 0,
      inodeLow: 0,
      inodeHigh: 0,
    };
    try {
      frame.fd = posix.openDirectory(at, name, 'refuse');
      this.#stack.push(frame);
      this.#closeFarAbove();
      // Opening can have mounted something (autofs), or somebody put another directory in its place.
      if (oneFileSystem === true) posix.lstat(frame.fd, '', stat);
      if (oneFileSystem === true && stat.device !== this.#device) return undefined;
      posix.readNames(frame.fd, frame.names);
      if (excludeCaches === true && frame.names.includes(CACHE_TAG) && isCacheDirectory(posix, frame.fd)) frame.names = [CACHE_TAG];
      return undefined;
    } catch (error) {
      return this.#problem(error, path);
    } finally {
      frame.names.sort(); // of what was read before an error, too
    }
  }

  #leave(): void {
    const frame = this.#stack.pop()!;
    if (frame.fd !== CLOSED) this.#posix.close(frame.fd);
  }

  /** Keeps the number of descriptors bounded. The root's own stays: it is the way back to the others. */
  #closeFarAbove(): void {
    const above = this.#stack.length - OPEN_DIRECTORIES_MAX;
    const frame = this.#stack[above];
    if (above < 1 || frame === undefined || frame.fd === CLOSED) return;
    const stat = this.#stat;
    this.#posix.lstat(frame.fd, '', stat);
    frame.device = stat.device;
    frame.inodeLow = stat.inodeLow;
    frame.inodeHigh = stat.inodeHigh;
    this.#posix.close(frame.fd);
    frame.fd = CLOSED;
  }

  #reopen(frame: Frame): WalkProblem | undefined {
    const path = frame.prefix.slice(0, -1);
    const stat = this.#stat;
    try {
      frame.fd = this.#posix.openBeneath(this.#stack[0]!.fd, path, OPEN.directory, 0);
      this.#posix.lstat(frame.fd, '', stat);
      if (stat.device === frame.device && stat.inodeLow === frame.inodeLow && stat.inodeHigh === frame.inodeHigh) return undefined;
      throw new PosixError('ESTALE', 'opendir', path);
    } catch (error) {
      return this.#problem(error, path);
    }
  }

  #problem(error: unknown, path: string): WalkProblem {
    if (!isPosixError(error)) throw error;
    const { message } = new PosixError(error.code, error.call, joinPaths(this.#location, path));
    return { kind: 'problem', root: this.#root, path, code: error.code, message };
  }
}

/** For telling whether a file changed, not for telling two files apart: exact up to 52 bits, folded above. */
function foldedInode({ inodeLow, inodeHigh }: FileStat): number {
  return (inodeHigh < 0x10_0000 ? inodeHigh : (inodeHigh & 0xf_ffff) ^ (inodeHigh >>> 20)) * 2 ** 32 + inodeLow;
}

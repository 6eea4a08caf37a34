// A directory tree that is restored to. Paths come out of a snapshot, which somebody else may have made, and the target may hold what
// somebody else left there; so the rules are:
//
//   1. A path is checked as text first: relative, no "..", no empty component, no zero byte.
//   2. The directory above an entry is opened below the target's root without following a symlink in any component (`DirectoryCache`),
//      and the entry is made relative to that. Whatever is renamed meanwhile, nothing lands behind a link.
//   3. The entry itself is created exclusively. What is in its way stays and is a fault, or is unlinked first ('replace'); it is never
//      followed or opened. A directory with content is never removed.
//   4. An old file is written in place only when it is a regular file with this one name: other names might lie outside the target.
//
// New files and directories are private (0600, 0700) until they have their owner; the rest follows when they are complete. Every method
// throws only TARGET_ faults. To restore one entry is to fail one entry: the caller decides which faults end the run (TARGET_FULL does, for one).

import { readFileSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import type { EntryKind } from '../model/entry.ts';
import { displayPath, faultOfPath, joinPaths, nameOfPath, parentOfPath } from '../model/entry-path.ts';
import { type AttributeProblem, type Attributes, applyAttributes, isReplaced } from './attributes.ts';
import { DirectoryCache } from './directory-cache.ts';
import { kindOfMode } from './kind-of-mode.ts';
import { FileStat, OPEN, type Posix, TYPE, TYPE_MASK } from './posix.ts';
import { posixCalls } from './posix-calls.ts';
import { isPosixError } from './posix-error.ts';
import { targetFault } from './target-fault.ts';

/** What to do with something else of the same name. */
export type Existing = 'refuse' | 'replace';

export type NodeKind = 'fifo' | 'socket' | 'character-device' | 'block-device';

const NODE_TYPES: Readonly<Record<NodeKind, number>> = {
  fifo: TYPE.fifo,
  socket: TYPE.socket,
  'character-device': TYPE.characterDevice,
  'block-device': TYPE.blockDevice,
};

const OWNER_ALL = 0o700;
const SPECIAL_BITS = 0o7000;
const NO_PROBLEMS: readonly AttributeProblem[] = Object.freeze([]);

/** What `finishFile` finds: a private file that may have inherited anything; one whose owner is right and that has no attributes; one whose
 *  mode is right, too. */
export type NewFileState = 'new' | 'has-owner' | 'has-mode';

// What is known of the new files of a directory. UNTRIED: the next one will tell. ORDINARY: they are ours and inherit nothing. UNLIKE: else.
const UNTRIED = 1;
const ORDINARY = 2;
const UNLIKE = 3;

type Self = { readonly uid: number; readonly gid: number; readonly umask: number };

/** The umask as the kernel tells it: process.umask() would set it to 0 for a moment, in all threads. */
function whoWeAre(): Self {
  let umask = 0o777;
  try {
    const line = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    if (line !== null) umask = Number.parseInt(line[1]!, 8);
  } catch {
    // Nothing is ordinary then.
  }
  return { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1, umask };
}

export class TargetTree {
  readonly location: string;
  readonly #posix: Posix;
  readonly #directories: DirectoryCache;
  readonly #stat = new FileStat();
  #self: Self | undefined;
  /** Of the file that `createFileFor` made last. */
  newFileState: NewFileState = 'new';

  /** `location` (one char per byte) must be a directory, or a link to one. */
  constructor(location: string, posix: Posix = posixCalls()) {
    this.location = location;
    this.#posix = posix;
    try {
      this.#directories = new DirectoryCache(posix, location);
    } catch (error) {
      if (isPosixError(error, 'ENOENT'))
        throw new Fault('TARGET_NOT_FOUND', `There is no directory "${displayPath(location)}"`, { cause: error });
      throw this.#fault(error, 'open the target', '');
    }
  }

  close(): void {
    this.#directories.close();
  }

  /** 'existed': a directory was there and stays as it is, with its content ('' always exists). */
  makeDirectory(path: string, existing: Existing): 'created' | 'existed' {
    if (path === '') return 'existed';
    return this.#within(path, 'create the directory', (at, name) => {
      try {
        this.#posix.mkdir(at, name, OWNER_ALL);
        return 'created';
      } catch (error) {
        if (!isPosixError(error, 'EEXIST')) throw error;
      }
      if (this.#typeOf(at, name) === TYPE.directory) {
        this.#makeUsable(at, name);
        return 'existed';
      }
      this.#clear(at, name, path, existing);
      this.#posix.mkdir(at, name, OWNER_ALL);
      return 'created';
    });
  }

  /** Makes the directories above `path` that are missing. */
  makeParents(path: string): void {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1))
      this.makeDirectory(path.slice(0, slash), 'refuse');
  }

  /** A new, empty, private regular file, open for reading and writing; the caller closes it. */
  createFile(path: string, existing: Existing): number {
    const flags = OPEN.readWrite | OPEN.create | OPEN.exclusive;
    return this.#create(path, 'create the file', existing, (at, name) => this.#posix.open(at, name, flags, 0o600));
  }

  /** As `createFile`, for a file that `finishFile` gives these attributes. Where new files are known to belong to whom they should, and
   *  inherit nothing, it has its mode from the start: for most files two system calls are enough that way, instead of five. What is still to
   *  be done is in `newFileState`. */
  createFileFor(wanted: Attributes, existing: Existing): number {
    const flags = OPEN.readWrite | OPEN.create | OPEN.exclusive;
    return this.#create(wanted.path, 'create the file', existing, (at, name) => {
      const inheritance = this.#isOrdinary(wanted) ? this.#inheritance(at) : UNLIKE;
      if (inheritance === ORDINARY) {
        const fd = this.#posix.open(at, name, flags, wanted.mode);
        this.newFileState = 'has-mode';
        return fd;
      }
      const fd = this.#posix.open(at, name, flags, 0o600);
      this.newFileState = inheritance === UNTRIED && this.#learn(fd) === ORDINARY ? 'has-owner' : 'new';
      return fd;
    });
  }

  /** Gives the file that `createFileFor` made, and that has its content, the rest of its attributes. `state`: as it was left then. */
  finishFile(fd: number, wanted: Attributes, state: NewFileState): readonly AttributeProblem[] {
    if (state !== 'new') {
      try {
        if (state === 'has-owner') this.#posix.chmod(fd, '', wanted.mode);
        this.#posix.setMtime(fd, '', wanted.mtimeSec, wanted.mtimeNsec);
        return NO_PROBLEMS;
      } catch (error) {
        if (!isPosixError(error)) throw error; // else it happens again below, and is reported
      }
    }
    return applyAttributes(this.#posix, fd, '', wanted);
  }

  /** An old regular file, open for reading and writing, to be brought up to date; the caller closes it. Undefined when there is none that
   *  may be changed in place (nothing, another kind, other hard links, no permission, being executed): create it then. */
  openFile(path: string): number | undefined {
    return this.#within(path, 'open the file', (at, name) => {
      let fd: number;
      try {
        // Opening is enough to make some devices act, so look first.
        if (this.#typeOf(at, name) !== TYPE.file) return undefined;
        fd = this.#posix.open(at, name, OPEN.readWrite | OPEN.nonBlocking, 0);
      } catch (error) {
        if (isPosixError(error, 'ENOENT', 'ELOOP', 'EACCES', 'EPERM', 'ETXTBSY')) return undefined;
        throw error;
      }
      this.#posix.lstat(fd, '', this.#stat);
      if ((this.#stat.mode & TYPE_MASK) === TYPE.file && this.#stat.links === 1) return fd;
      this.#posix.close(fd);
      return undefined;
    });
  }

  /** `linkTarget` is written as it is and never looked at. */
  makeSymlink(path: string, linkTarget: string, existing: Existing): void {
    this.#create(path, 'create the symlink', existing, (at, name) => this.#posix.symlink(linkTarget, at, name));
  }

  /** Another name for what is at `original`, a path in this tree too. */
  makeHardLink(path: string, original: string, existing: Existing): void {
    this.#check(path, 'create the hard link');
    if (path === original) throw new Fault('TARGET_UNSUPPORTED', `A hard link to itself cannot be made: "${displayPath(path)}"`);
    this.#within(original, 'find the original of a hard link', (originalAt, originalName) =>
      this.#create(path, 'create the hard link', existing, (at, name) => this.#posix.link(originalAt, originalName, at, name)),
    );
  }

  makeNode(path: string, kind: NodeKind, rdevMajor: number, rdevMinor: number, existing: Existing): void {
    const mode = NODE_TYPES[kind] | 0o600;
    this.#create(path, `create the ${kind}`, existing, (at, name) => this.#posix.mknod(at, name, mode, rdevMajor, rdevMinor));
  }

  /** Removes anything but a directory with content. What is not there is removed already. */
  remove(path: string): void {
    this.#within(path, 'remove', (at, name) => {
      try {
        this.#remove(at, name, path);
      } catch (error) {
        if (!isPosixError(error, 'ENOENT')) throw error;
      }
    });
  }

  /** The names in a directory of the target, sorted: what a restore that deletes compares with. */
  names(path: string): readonly string[] {
    const list = (at: number, name: string): string[] => {
      const fd = this.#posix.openDirectory(at, name, 'refuse');
      try {
        const names: string[] = [];
        this.#posix.readNames(fd, names);
        return names.sort();
      } finally {
        this.#posix.close(fd);
      }
    };
    return this.#within(path, 'list', list);
  }

  /** What is at `path` now; undefined when nothing is. `into` is filled, too. */
  look(path: string, into: FileStat): EntryKind | undefined {
    return this.#within(path, 'look at', (at, name) => {
      try {
        this.#posix.lstat(at, name, into);
        return kindOfMode(into.mode);
      } catch (error) {
        if (isPosixError(error, 'ENOENT')) return undefined;
        throw error;
      }
    });
  }

  /** See attributes.ts; for a file that is still open pass its `fd`, which is faster. For '' they are the target's own. */
  applyAttributes(wanted: Attributes, fd?: number): readonly AttributeProblem[] {
    if (fd !== undefined) return applyAttributes(this.#posix, fd, '', wanted);
    return this.#within(wanted.path, 'set the attributes of', (at, name) => applyAttributes(this.#posix, at, name, wanted));
  }

  /** Whether a new file that nobody has touched needs nothing but its time. */
  #isOrdinary({ mode, uid, gid, xattrs }: Attributes): boolean {
    const self = (this.#self ??= whoWeAre());
    return xattrs.length === 0 && uid === self.uid && gid === self.gid && (mode & (SPECIAL_BITS | self.umask)) === 0;
  }

  /** How new files come about in the directory `at`, the one that was asked for last. It is looked for once: only its owner can change it,
   *  and directories of others are never trusted. */
  #inheritance(at: number): number {
    const known = this.#directories.note;
    if (known !== 0) return known;
    const stat = this.#stat;
    this.#posix.lstat(at, '', stat);
    this.#directories.note = stat.uid === this.#self!.uid && this.#posix.can.xattrs ? UNTRIED : UNLIKE;
    return this.#directories.note;
  }

  /** Looks at the first new file of a directory. */
  #learn(fd: number): number {
    const stat = this.#stat;
    this.#posix.lstat(fd, '', stat);
    const isAsMade = stat.uid === this.#self!.uid && stat.gid === this.#self!.gid && (stat.mode & 0o7777) === 0o600;
    const isBare = isAsMade && !this.#posix.listXattrs(fd, '').some(isReplaced);
    this.#directories.note = isBare ? ORDINARY : UNLIKE;
    return this.#directories.note;
  }

  #create<T>(path: string, action: string, existing: Existing, make: (at: number, name: string) => T): T {
    if (path === '')
      throw new Fault('TARGET_OCCUPIED', `Cannot ${action} in the place of the target "${displayPath(this.location)}" itself`);
    return this.#within(path, action, (at, name) => {
      try {
        return make(at, name);
      } catch (error) {
        if (!isPosixError(error, 'EEXIST')) throw error;
      }
      this.#clear(at, name, path, existing);
      return make(at, name);
    });
  }

  /** Makes room for an entry, or says what is in its way. */
  #clear(at: number, name: string, path: string, existing: Existing): void {
    if (existing === 'replace') {
      this.#remove(at, name, path);
      return;
    }
    const link = this.#typeOf(at, name) === TYPE.symlink;
    throw new Fault(
      link ? 'TARGET_LINK_IN_THE_WAY' : 'TARGET_OCCUPIED',
      `${link ? 'A symlink' : 'Something else'} is at "${displayPath(joinPaths(this.location, path))}"`,
    );
  }

  #remove(at: number, name: string, path: string): void {
    if (this.#typeOf(at, name) === TYPE.directory) {
      this.#directories.forget(path);
      this.#posix.rmdir(at, name);
    } else this.#posix.unlink(at, name);
  }

  #typeOf(at: number, name: string): number {
    this.#posix.lstat(at, name, this.#stat);
    return this.#stat.mode & TYPE_MASK;
  }

  /** Who is not root needs the owner's rights on an old directory to restore into it; its own mode comes at the end. */
  #makeUsable(at: number, name: string): void {
    const { mode } = this.#stat;
    if ((mode & OWNER_ALL) === OWNER_ALL || process.getuid?.() === 0) return;
    try {
      this.#posix.chmod(at, name, (mode & 0o7777) | OWNER_ALL);
    } catch (error) {
      if (!isPosixError(error)) throw error; // it will show when something is to be made in there
    }
  }

  #check(path: string, action: string): void {
    const reason = faultOfPath(path);
    if (reason === undefined) return;
    const where = displayPath(this.location);
    throw new Fault('TARGET_PATH_ESCAPES', `Refused to ${action} "${displayPath(path)}" in "${where}": ${reason}`);
  }

  #within<T>(path: string, action: string, act: (at: number, name: string) => T): T {
    this.#check(path, action);
    try {
      return act(this.#directories.at(parentOfPath(path)), nameOfPath(path));
    } catch (error) {
      throw this.#fault(error, action, path);
    }
  }

  #fault(error: unknown, action: string, path: string): unknown {
    return isPosixError(error) ? targetFault(error, action, this.location, path) : error;
  }
}

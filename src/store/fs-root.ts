// The directory under a directory store: names, durability and temporary files.
//
// Durability of a new name needs three fsyncs: of the file before it gets the name, of the directory that holds the name, and of
// the parent of every directory that was made for it. A name that somebody else made may not be durable yet (its maker was killed
// between link and fsync), so whoever answers "it is there" has to sync as well. `ensure` does that once for each directory and
// process.
//
// What is made in it belongs to whom the directory belongs: root, who only looks after it, must not shut its owner out of the next backup. And
// who shares it with a group (it has the setgid bit, or what is made in it would have other groups) shares what he makes, whatever his umask.
// Only what truly lies in it is given away: its owner could put a link to /etc where root makes something next.

import { randomBytes } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readlink, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { fsFault, isErrno } from './fs-faults.ts';

/** Lies beside the objects, on the same file system. No StoreKey can hold "~". */
export const TEMPORARY = 'tmp~';

const SETGID = 0o2000;
const GROUP_OF_DIRECTORY = 0o070;
const GROUP_OF_FILE = 0o060;

/** Whom the root belongs to, when what is made in it has to be given to him. */
type Owner = { readonly uid: number; readonly gid: number; readonly mode: number; readonly realPath: string };

export class FsRoot {
  readonly path: string;
  readonly #owner: Owner | undefined;
  readonly #device: bigint;
  readonly #inode: bigint;
  /** Directories (relative to the root) whose names are durable all the way up. */
  readonly #ensured = new Set<string>(['', '.']);

  private constructor(path: string, owner: Owner | undefined, device: bigint, inode: bigint) {
    this.path = path;
    this.#owner = owner;
    this.#device = device;
    this.#inode = inode;
  }

  /** Throws STORE_BUCKET_MISSING when there is no such directory and `create` is false. */
  static async open(path: string, create: boolean): Promise<FsRoot> {
    const absolute = resolve(path);
    try {
      if (create) await makeRoot(absolute);
      const facts = await stat(absolute, { bigint: true });
      if (!facts.isDirectory()) throw new Fault('STORE_BAD_LOCATION', `${absolute} is not a directory`);
      return new FsRoot(absolute, await ownerOf(absolute, facts), facts.dev, facts.ino);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw new Fault('STORE_BUCKET_MISSING', `there is no directory ${absolute}`, { cause: error });
      if (isErrno(error, 'ENOTDIR', 'EEXIST'))
        throw new Fault('STORE_BAD_LOCATION', `${absolute} is not a directory`, { cause: error });
      throw fsFault(error, `open the directory ${absolute}`);
    }
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** A fresh name for something temporary, relative to the root. */
  temporaryName(): string {
    return join(TEMPORARY, randomBytes(8).toString('hex'));
  }

  /** Throws STORE_UNREACHABLE unless the root is still the directory that was opened: under a mount that went away lies another,
   *  empty one, in which everything seems to be missing. */
  async assertThere(): Promise<void> {
    const facts = await stat(this.path, { bigint: true }).catch((error) => {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    });
    if (facts?.dev === this.#device && facts.ino === this.#inode) return;
    throw new Fault('STORE_UNREACHABLE', `the directory ${this.path} is gone, or another one is in its place`, {
      hint: 'Mount the file system again, then run the command again.',
    });
  }

  /** Makes a directory (relative to the root) and its parents, and makes their names durable; not that of temporary files, which nothing
   *  leads back to. */
  async ensure(directory: string): Promise<void> {
    if (this.#ensured.has(directory)) return;
    const parent = dirname(directory);
    await this.ensure(parent);
    try {
      await this.makeDirectory(directory);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) await this.assertThere();
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    if (directory !== TEMPORARY) await this.sync(parent);
    this.#ensured.add(directory);
  }

  /** Makes a directory (relative to the root); EEXIST when something is there. */
  async makeDirectory(directory: string): Promise<void> {
    await mkdir(this.at(directory));
    if (this.#owner === undefined) return;
    const handle = await open(this.at(directory), constants.O_DIRECTORY | constants.O_NOFOLLOW);
    await give(handle, this.#owner, GROUP_OF_DIRECTORY).finally(() => handle.close());
  }

  /** Makes the names in a directory (relative to the root) durable. */
  async sync(directory: string): Promise<void> {
    const handle = await open(this.at(directory), 'r');
    try {
      await handle.sync();
    } catch (error) {
      // Some network file systems know no fsync of directories; they make names durable at once, or not at all.
      if (!isErrno(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw error;
    } finally {
      await handle.close();
    }
  }

  /** Writes a file and fsyncs it. On failure the file is removed. */
  async write(name: string, parts: readonly Uint8Array[]): Promise<void> {
    const handle = await open(this.at(name), 'wx');
    try {
      try {
        for (const part of parts) await writeAll(handle, part);
        if (this.#owner !== undefined) await give(handle, this.#owner, GROUP_OF_FILE);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      await this.remove(name);
      throw error;
    }
  }

  /** Writes a temporary file and answers its name. */
  async writeTemporary(parts: readonly Uint8Array[]): Promise<string> {
    await this.ensure(TEMPORARY);
    const name = this.temporaryName();
    await this.#again(TEMPORARY, () => this.write(name, parts));
    return name;
  }

  /** Gives a file one more name, unless that name is taken: answers false then. `directory` is where the new name lies. */
  async link(from: string, to: string): Promise<boolean> {
    try {
      await this.#again(dirname(to), () => link(this.at(from), this.at(to)));
      return true;
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return false;
      throw error;
    }
  }

  /** Removes a file as far as possible. For clearing up, where nothing depends on it. */
  async remove(name: string): Promise<void> {
    await unlink(this.at(name)).catch(() => {});
  }

  async removeTree(name: string): Promise<void> {
    await rm(this.at(name), { recursive: true, force: true }).catch(() => {});
  }

  /** Somebody may have removed an empty directory by hand since `ensure` saw it: makes it again, once. */
  async #again<T>(directory: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || !this.#ensured.has(directory)) throw error;
      for (let at = directory; at !== '.'; at = dirname(at)) this.#ensured.delete(at);
      await this.ensure(directory);
      return await work();
    }
  }
}

/** Of the directory that `facts` are of. */
async function ownerOf(path: string, facts: BigIntStats): Promise<Owner | undefined> {
  const [uid, gid, mode] = [Number(facts.uid), Number(facts.gid), Number(facts.mode)];
  if ((mode & SETGID) === 0 && !(process.geteuid?.() === 0 && uid !== 0)) return undefined;
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const now = await handle.stat({ bigint: true });
    const isSame = now.dev === facts.dev && now.ino === facts.ino;
    return isSame ? { uid, gid, mode, realPath: await readlink(`/proc/self/fd/${handle.fd}`) } : undefined;
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

/** As far as the file system lets. */
async function give(made: FileHandle, { uid, gid, mode, realPath }: Owner, groupRights: number): Promise<void> {
  try {
    if (!(await readlink(`/proc/self/fd/${made.fd}`)).startsWith(`${realPath}/`)) return;
    if (process.geteuid?.() === 0) await made.chown(uid, gid);
    const now = (await made.stat()).mode;
    const wanted = now | ((mode & SETGID) === 0 ? 0 : mode & groupRights);
    if (wanted !== now) await made.chmod(wanted & 0o7777);
  } catch (error) {
    if (!isErrno(error, 'EPERM', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw error;
  }
}

async function makeRoot(path: string): Promise<void> {
  const first = makeDirectory(path);
  if (first === undefined) return;
  // Every parent from the first one that was there already.
  for (let at = path; at.length >= first.length; at = dirname(at)) {
    const handle = await open(dirname(at), 'r');
    await handle.sync().finally(() => handle.close());
  }
}

async function writeAll(handle: Awaited<ReturnType<typeof open>>, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

// Walks a directory store for its objects, a page at a time. A listing that failed can be asked for the same page again: its state
// changes only after a step has succeeded.
//
// What a key leads to is listed, through links too: who has moved a part of a repository and put a link in its place reads it as before, and
// a listing that left it out would be a scrub of less, and a repair that takes it for lost.

import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fsFault, isErrno, NO_FILE } from './fs-faults.ts';
import type { FsRoot } from './fs-root.ts';
import type { ListedObject, StoreKey } from './object-store.ts';
import { isStoreKey, splitPrefix } from './store-key.ts';

const PAGE_OBJECTS_MAX = 1_000;

type Kind = Pick<Dirent, 'isDirectory' | 'isFile'>;
const NOTHING: Kind = { isDirectory: () => false, isFile: () => false };

export class FsListing {
  readonly #root: FsRoot;
  readonly #prefix: StoreKey;
  /** Directories that are still to be read; '' is the root. */
  readonly #directories: string[];
  /** Keys of files whose size is still to be asked. */
  #keys: string[] = [];

  constructor(root: FsRoot, prefix: StoreKey) {
    this.#root = root;
    this.#prefix = prefix;
    this.#directories = [splitPrefix(prefix).segments.join('/')];
  }

  /** The next page, or undefined at the end. Pages are never empty. */
  async next(): Promise<readonly ListedObject[] | undefined> {
    for (;;) {
      while (this.#keys.length < PAGE_OBJECTS_MAX && this.#directories.length > 0) await this.#readDirectory();
      if (this.#keys.length === 0) return undefined;
      const keys = this.#keys.slice(0, PAGE_OBJECTS_MAX);
      const sizes = await Promise.all(keys.map((key) => this.#size(key)));
      this.#keys = this.#keys.slice(keys.length);
      const page = keys.flatMap((key, i) => (sizes[i] === undefined ? [] : [{ key, sizeBytes: sizes[i] }]));
      if (page.length > 0) return page;
    }
  }

  async #readDirectory(): Promise<void> {
    const directory = this.#directories.at(-1) as string;
    const found: { readonly key: string; readonly is: Kind }[] = [];
    for (const entry of await this.#entries(directory)) {
      const key = directory === '' ? entry.name : `${directory}/${entry.name}`;
      // Registers, temporary files and what others put there have names that are no keys.
      if (!isStoreKey(key) || !(this.#prefix.startsWith(`${key}/`) || key.startsWith(this.#prefix))) continue;
      found.push({ key, is: entry.isSymbolicLink() ? await this.#behindLink(key) : entry });
    }
    this.#directories.pop();
    for (const { key, is } of found) {
      if (is.isDirectory()) this.#directories.push(key);
      if (is.isFile() && key.startsWith(this.#prefix)) this.#keys.push(key);
    }
  }

  /** What the link at `key` leads to. A directory that it lies in itself is nothing: its objects are listed already. */
  async #behindLink(key: string): Promise<Kind> {
    const facts = await this.#facts(key);
    if (facts === undefined || !facts.isDirectory()) return facts ?? NOTHING;
    for (let at = dirname(key); ; at = dirname(at)) {
      const above = await this.#facts(at);
      if (above !== undefined && above.dev === facts.dev && above.ino === facts.ino) return NOTHING;
      if (at === '.') return facts;
    }
  }

  async #entries(directory: string): Promise<readonly Dirent[]> {
    try {
      return await readdir(this.#root.at(directory), { withFileTypes: true });
    } catch (error) {
      if (!isErrno(error, ...NO_FILE)) throw fsFault(error, `list ${this.#root.at(directory)}`);
      await this.#root.assertThere();
      return [];
    }
  }

  async #size(key: string): Promise<number | undefined> {
    return (await this.#facts(key))?.size;
  }

  async #facts(key: string): Promise<Stats | undefined> {
    try {
      return await stat(this.#root.at(key));
    } catch (error) {
      if (isErrno(error, ...NO_FILE)) return undefined;
      throw fsFault(error, `look at ${this.#root.at(key)}`);
    }
  }
}

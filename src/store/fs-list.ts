// Walks a directory store for its objects, a page at a time. A listing that failed can be asked for the same page again: its state
// changes only after a step has succeeded.

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { fsFault, isErrno } from './fs-faults.ts';
import type { FsRoot } from './fs-root.ts';
import type { ListedObject, StoreKey } from './object-store.ts';
import { isStoreKey, splitPrefix } from './store-key.ts';

const PAGE_OBJECTS_MAX = 1_000;

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
    const entries = await this.#entries(directory);
    this.#directories.pop();
    for (const entry of entries) {
      const key = directory === '' ? entry.name : `${directory}/${entry.name}`;
      // Registers, temporary files and what others put there have names that are no keys.
      if (!isStoreKey(key)) continue;
      if (entry.isDirectory() && (this.#prefix.startsWith(`${key}/`) || key.startsWith(this.#prefix))) this.#directories.push(key);
      if (entry.isFile() && key.startsWith(this.#prefix)) this.#keys.push(key);
    }
  }

  async #entries(directory: string): Promise<readonly Dirent[]> {
    try {
      return await readdir(this.#root.at(directory), { withFileTypes: true });
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw fsFault(error, `list ${this.#root.at(directory)}`);
      await this.#root.assertThere();
      return [];
    }
  }

  async #size(key: string): Promise<number | undefined> {
    try {
      return (await stat(this.#root.at(key))).size;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw fsFault(error, `look at ${this.#root.at(key)}`);
    }
  }
}

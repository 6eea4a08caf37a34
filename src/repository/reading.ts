// Reading maps while others prune: a block that has moved meanwhile is looked for in the newer index.

import type { Head, IndexRef } from '../format/head.ts';
import type { References } from '../model/reference.ts';
import type { CallOptions } from '../store/object-store.ts';
import { BlockReader } from './block-reader.ts';
import { readableIndexes } from './head-changes.ts';
import type { Repository } from './repository.ts';

/** Brings the local index to everything that is readable in this head, and keeps it so while nodes are read. */
export class MapReader {
  readonly #repository: Repository;
  readonly #blocks: BlockReader;
  readonly #options: CallOptions | undefined;
  #isFixed = false;

  private constructor(repository: Repository, options: CallOptions | undefined) {
    this.#repository = repository;
    this.#options = options;
    const { store, keyring, keys } = repository;
    this.#blocks = new BlockReader(store, keyring, keys, {
      find: (id) => repository.findPlace(id),
      refresh: () => this.#refresh(),
    });
  }

  static async open(repository: Repository, head: Head, options?: CallOptions): Promise<MapReader> {
    const reader = new MapReader(repository, options);
    await repository.syncIndex(readableIndexes(head), options);
    return reader;
  }

  /** Reads by these index objects and no newer ones. */
  static async fixed(repository: Repository, indexes: readonly IndexRef[], options?: CallOptions): Promise<MapReader> {
    const reader = new MapReader(repository, options);
    await repository.syncIndex(indexes, options);
    reader.#isFixed = true;
    return reader;
  }

  readonly readNode = (reference: References): Promise<Uint8Array> => this.#blocks.read(reference, this.#options);

  async #refresh(): Promise<void> {
    if (!this.#isFixed) await this.#repository.refreshIndex(this.#options);
  }
}

// Writes index objects of a good size for any number of packs.

import type { IndexRef } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { encodeIndexObject } from './index-objects.ts';
import type { Keyring, Random } from './keyring.ts';
import { indexKey } from './layout.ts';

/** Of pack directories, before compression. */
export const INDEX_BYTES_FULL = 8 * 1024 * 1024;
const PACK_OVERHEAD_BYTES = 64;

export class IndexWriter {
  readonly #store: ObjectStore;
  readonly #keyring: Keyring;
  readonly #random: Random;
  readonly #options: CallOptions | undefined;
  #packs: IndexedPack[] = [];
  #bytes = 0;
  /** Stored so far. */
  readonly indexes: IndexRef[] = [];
  bytesWritten = 0;

  constructor(store: ObjectStore, keyring: Keyring, random: Random, options?: CallOptions) {
    this.#store = store;
    this.#keyring = keyring;
    this.#random = random;
    this.#options = options;
  }

  async add(pack: IndexedPack): Promise<void> {
    this.#packs.push(pack);
    this.#bytes += pack.directory.length + PACK_OVERHEAD_BYTES;
    if (this.#bytes >= INDEX_BYTES_FULL) await this.#write();
  }

  async finish(): Promise<readonly IndexRef[]> {
    if (this.#packs.length > 0) await this.#write();
    return this.indexes;
  }

  async #write(): Promise<void> {
    const packs = this.#packs;
    this.#packs = [];
    this.#bytes = 0;
    const { id, bytes } = encodeIndexObject(packs, this.#keyring, this.#random);
    await this.#store.put(indexKey(id), bytes, this.#options);
    this.indexes.push({ id, bytes: bytes.length, packs: packs.length });
    this.bytesWritten += bytes.length;
  }
}

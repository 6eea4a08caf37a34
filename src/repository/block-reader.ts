// Reads single blocks on demand, with a small cache: how nodes are read, and content where it is wanted piece by piece (export, diff).
// Restore and verify read whole packs in parallel instead (src/engine/restore.ts).

import { Fault, isFault } from '../base/faults.ts';
import { DIGEST_BYTES } from '../codec/chunk-id.ts';
import type { BlockPlace } from '../index/tables.ts';
import { blockOf, bytesEqual, digestOf, lengthOf, offsetOf, type References } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { BlockOpener } from '../worker/block-opener.ts';
import type { Keyring } from './keyring.ts';
import { hex, packKey } from './layout.ts';
import { readAnew } from './read-anew.ts';
import type { SessionKeyFinder } from './session-keys.ts';

/** Answers where a block lies. `refresh` after a miss, since a prune may have moved it: brings what `find` answers up to date. */
export type BlockFinder = {
  readonly find: (blockId: Uint8Array) => BlockPlace | undefined;
  readonly refresh: () => Promise<void>;
};

/** Whether a block lies elsewhere by now: only then is it worth another look. */
export function hasMoved(before: BlockPlace | undefined, now: BlockPlace | undefined): boolean {
  return now !== undefined && (before === undefined || !bytesEqual(before.pack, now.pack) || before.offset !== now.offset);
}

export class BlockReader {
  /** From the store; a block that is in the cache is not fetched. */
  bytesFetched = 0;
  readonly #store: ObjectStore;
  readonly #keyring: Keyring;
  readonly #keys: SessionKeyFinder;
  readonly #finder: BlockFinder;
  readonly #opener = new BlockOpener();
  readonly #cache = new Map<string, Promise<Uint8Array>>();
  readonly #cacheBytesMax: number;
  #cacheBytes = 0;

  constructor(store: ObjectStore, keyring: Keyring, keys: SessionKeyFinder, finder: BlockFinder, cacheBytesMax = 16 * 1024 * 1024) {
    this.#store = store;
    this.#keyring = keyring;
    this.#keys = keys;
    this.#finder = finder;
    this.#cacheBytesMax = cacheBytesMax;
  }

  /** The bytes of one reference, checked against its digest unless `check` is false (units digests are checked by their map). */
  async read(reference: References, options?: CallOptions): Promise<Uint8Array> {
    const blockId = blockOf(reference);
    const block = await this.block(blockId, options);
    const bytes = block.subarray(offsetOf(reference), offsetOf(reference) + lengthOf(reference));
    if (
      bytes.length !== lengthOf(reference) ||
      !bytesEqual(this.#keyring.ids.id(bytes).subarray(0, DIGEST_BYTES), digestOf(reference))
    ) {
      throw new Fault('FORMAT_DAMAGED', `Block ${hex(blockId)} does not hold what a map says at ${offsetOf(reference)}`);
    }
    return bytes;
  }

  /** A whole block, opened. */
  block(blockId: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    const name = hex(blockId);
    const cached = this.#cache.get(name);
    if (cached !== undefined) {
      this.#cache.delete(name);
      this.#cache.set(name, cached);
      return cached;
    }
    const fetched = this.#fetch(blockId, options);
    this.#cache.set(name, fetched);
    fetched.then(
      (bytes) => this.#evict(bytes.length),
      () => this.#cache.delete(name),
    );
    return fetched;
  }

  #evict(more: number): void {
    this.#cacheBytes += more;
    for (const [name, cached] of this.#cache) {
      if (this.#cacheBytes <= this.#cacheBytesMax || this.#cache.size <= 2) return;
      this.#cache.delete(name);
      cached.then(
        (bytes) => {
          this.#cacheBytes -= bytes.length;
        },
        () => {},
      );
      return;
    }
  }

  async #fetch(blockId: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    for (;;) {
      const place = this.#finder.find(blockId);
      try {
        if (place === undefined) throw new Fault('STORE_NOT_FOUND', `Block ${hex(blockId)} is in no pack of the index`);
        return await readAnew(() => this.#open(blockId, place, options));
      } catch (error) {
        // A prune may have moved the block since the index was read.
        if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
        await this.#finder.refresh();
        if (!hasMoved(place, this.#finder.find(blockId))) throw error;
      }
    }
  }

  async #open(blockId: Uint8Array, place: BlockPlace, options?: CallOptions): Promise<Uint8Array> {
    const { pack, offset, storedLength, rawLength, codec, session, assetId, sealingCounter, kind } = place;
    const sealed = await this.#store.get(packKey(pack), { offset, length: storedLength }, options);
    this.bytesFetched += sealed.length;
    const key = kind === 'metadata' ? this.#keys.metadataKey(session, assetId) : await this.#keys.dataKey(session, options);
    const bytes = new Uint8Array(rawLength);
    if (!this.#opener.open(bytes, sealed, { id: blockId, rawLength, codec, sealingCounter, key })) {
      throw new Fault('FORMAT_DAMAGED', `Block ${hex(blockId)} in pack ${hex(pack)} is damaged`);
    }
    return bytes;
  }
}

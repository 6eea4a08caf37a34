// Log that need not cross the line: a section, or a range that repeats others, holds what is here already in ranges. It is made of them, and
// taken only if the digest that ends the source's object is its own, so it is that object byte for byte. What does not come out the same (two
// versions of zstd; a key that may not read; a range that was missed) crosses as anything else, and what was made is forgotten.

import { isFault } from '../base/faults.ts';
import { type RemadeObject, remakeLogObject } from '../engine/log-remake.ts';
import type { ReadingRepository } from '../engine/log-tail.ts';
import { bytesEqual } from '../model/reference.ts';
import { unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { SessionKeyCache } from '../repository/session-keys.ts';
import type { Mirror } from './mirror-object.ts';

const DIGEST_BYTES = 32;

export class LogRemaker {
  readonly #mirror: Mirror;
  /** The replica, opened by the source's keys. */
  readonly #repository: ReadingRepository;
  /** One at a time: each takes the memory of a section. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(mirror: Mirror, { parameters, keyring }: OpenedRepository) {
    this.#mirror = mirror;
    this.#repository = { store: mirror.replica, parameters, keyring, keys: new SessionKeyCache(mirror.replica, keyring) };
  }

  /** Undefined when it must cross, or when the source does not have it. */
  async remake(assetId: Uint8Array, epoch: string, object: RemadeObject): Promise<Uint8Array | undefined> {
    const asked = this.#digestAtSource(object.key);
    asked.catch(() => {});
    // A section is known to be there, a range is asked for while it is not.
    if (object.kind === 'range' && (await asked) === undefined) return undefined;
    const making = this.#last.then(() => this.#make(assetId, epoch, object));
    this.#last = making.catch(() => {});
    const made = await making;
    if (made === undefined) return undefined;
    const digest = await asked;
    return digest !== undefined && bytesEqual(made.subarray(-DIGEST_BYTES), digest) ? made : undefined;
  }

  async #make(assetId: Uint8Array, epoch: string, object: RemadeObject): Promise<Uint8Array | undefined> {
    const { signal } = this.#mirror;
    const { keys } = this.#repository;
    const session = unhex(epoch);
    try {
      const opening = { metadata: keys.metadataKey(session, assetId), data: await keys.dataKey(session, { signal }) };
      return await remakeLogObject(this.#repository, opening, object);
    } catch (error) {
      if (!isFault(error, 'KEY_CANNOT_READ', 'KEY_SUPERSEDED', 'STORE_NOT_FOUND')) throw error;
      return undefined;
    }
  }

  async #digestAtSource(key: string): Promise<Uint8Array | undefined> {
    const { source, signal } = this.#mirror;
    const size = await source.size(key, { signal });
    if (size === undefined || size <= DIGEST_BYTES) return undefined;
    try {
      return await source.get(key, { offset: size - DIGEST_BYTES, length: DIGEST_BYTES }, { signal });
    } catch (error) {
      if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
      return undefined;
    }
  }
}

// Keys of sessions, fetched when a block of theirs is first opened.

import { Fault, isFault } from '../base/faults.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { type Keyring, SESSION_KEY_BYTES } from './keyring.ts';
import { hex, sessionKeyKey } from './layout.ts';

/** What opens the blocks of sessions. */
export type SessionKeyFinder = Pick<SessionKeyCache, 'dataKey' | 'metadataKey'>;

export class SessionKeyCache {
  readonly #store: ObjectStore;
  readonly #keyring: Keyring;
  readonly #dataKeys = new Map<string, Promise<Uint8Array>>();
  readonly #metadataKeys = new Map<string, Uint8Array>();

  constructor(store: ObjectStore, keyring: Keyring) {
    this.#store = store;
    this.#keyring = keyring;
  }

  /** Opens data blocks; KEY_CANNOT_READ when this key is for writing only. */
  dataKey(session: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    const name = hex(session);
    let key = this.#dataKeys.get(name);
    if (key === undefined) {
      key = this.#fetch(session, options);
      key.catch(() => this.#dataKeys.delete(name));
      this.#dataKeys.set(name, key);
    }
    return key;
  }

  /** Opens nodes. */
  metadataKey(session: Uint8Array, assetId: Uint8Array): Uint8Array {
    // A prune's session seals nodes of several assets.
    const name = `${hex(session)} ${hex(assetId)}`;
    let key = this.#metadataKeys.get(name);
    if (key === undefined) {
      key = this.#keyring.metadataKeyOf(session, assetId);
      this.#metadataKeys.set(name, key);
    }
    return key;
  }

  async #fetch(session: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    if (this.#keyring.role !== 'owner')
      throw new Fault('KEY_CANNOT_READ', `The key of session ${hex(session)} is sealed to the tenant; this key is for writing`);
    for (const pairId of this.#keyring.pairIds) {
      try {
        const object = await this.#store.get(sessionKeyKey(pairId, session), { offset: 0, length: SESSION_KEY_BYTES + 1 }, options);
        return this.#keyring.openSessionKey(pairId, session, object);
      } catch (error) {
        if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
      }
    }
    throw new Fault(
      'STORE_NOT_FOUND',
      `The key of session ${hex(session)} is not in the store at ${this.#store.location}: what it sealed cannot be opened`,
    );
  }
}

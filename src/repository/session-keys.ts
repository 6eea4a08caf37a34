// Keys of sessions, fetched when a block of theirs is first opened.

import { Fault, isFault } from '../base/faults.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { type Keyring, SESSION_KEY_BYTES } from './keyring.ts';
import { hex, keyObjectKey, SESSION_KEYS_PREFIX, sessionKeyKey } from './layout.ts';
import { readAnew } from './read-anew.ts';

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

  /** Opens data blocks; KEY_CANNOT_READ when this key is for writing only, KEY_SUPERSEDED when others have changed the keys meanwhile,
   *  STORE_NOT_FOUND when the session's key is lost. */
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

  /** KEY_SUPERSEDED when others have changed the keys since the repository was opened: what is written is to be sealed to the new pair. */
  async mustBeCurrent(options?: CallOptions): Promise<void> {
    const { keyId } = this.#keyring;
    if ((await this.#store.size(keyObjectKey(keyId), options)) === undefined)
      throw new Fault('KEY_SUPERSEDED', `The key ${keyId} is not in the repository at ${this.#store.location} any more`);
  }

  async #fetch(session: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    if (this.#keyring.role !== 'owner')
      throw new Fault('KEY_CANNOT_READ', `The key of session ${hex(session)} is sealed to the tenant; this key is for writing`);
    for (const pairId of this.#keyring.pairIds) {
      try {
        const range = { offset: 0, length: SESSION_KEY_BYTES + 1 };
        return await readAnew(async () => {
          const object = await this.#store.get(sessionKeyKey(pairId, session), range, options);
          return this.#keyring.openSessionKey(pairId, session, object);
        });
      } catch (error) {
        if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
      }
    }
    await this.mustBeCurrent(options);
    throw await this.#missing(hex(session), options);
  }

  /** Whether it is lost, or this program does not know the pair that it is sealed to by now: a repair would drop what a lost key has sealed.
   *  A rotation takes the key objects away that do not have its pair before it moves the first session's key (keys.ts). */
  async #missing(session: string, options?: CallOptions): Promise<Fault> {
    const { keyId } = this.#keyring;
    // Two rotations at once, or one that could not take the old key away, leave keys that do not have all pairs.
    for await (const page of this.#store.list(SESSION_KEYS_PREFIX, options))
      if (page.some(({ key }) => key.endsWith(`/${session}`)))
        return new Fault(
          'KEY_SUPERSEDED',
          `The key of session ${session} is sealed to a pair that the key ${keyId} does not have`,
          {
            hint: 'A rotation of the keys was cut off, or two ran at once. Nothing is damaged: "holdfast key rotate" brings the pairs together.',
          },
        );
    return new Fault(
      'STORE_NOT_FOUND',
      `The key of session ${session} is not in the store at ${this.#store.location}: what it sealed cannot be opened`,
    );
  }
}

// What a maintenance session seals with. There is one of it in each session, however often the session plans and moves anew: a second data
// key would be nowhere stored, since the object of the first is there already, and everything that it sealed would be lost; a counter that
// began again would use a nonce twice.

import { invariant } from '../base/invariant.ts';
import type { PackKind } from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { writeCounter } from '../worker/dedup.ts';
import type { Keyring, Random, SessionKeys } from './keyring.ts';
import { sessionKeyKey } from './layout.ts';

export type SessionSealingOptions = {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  /** 10 bytes. */
  readonly session: Uint8Array;
  readonly random: Random;
};

export class SessionSealing {
  readonly #options: SessionSealingOptions;
  #own: Promise<SessionKeys> | undefined;
  #counter = 0;

  constructor(options: SessionSealingOptions) {
    this.#options = options;
  }

  get session(): Uint8Array {
    return this.#options.session;
  }

  /** The session's key for such a pack. Stored before it is answered for the first time. */
  async keyFor(kind: PackKind, assetId: Uint8Array, call?: CallOptions): Promise<Uint8Array> {
    if (kind === 'metadata') return this.#options.keyring.metadataKeyOf(this.session, assetId);
    if (this.#own === undefined) {
      this.#own = this.#store(assetId, call);
      this.#own.catch(() => {
        this.#own = undefined;
      });
    }
    return (await this.#own).dataKey;
  }

  /** 6 bytes. One counter for all keys of this session: no nonce is used twice under any of them. */
  nextCounter(): Uint8Array {
    const counter = new Uint8Array(6);
    writeCounter(counter, 0, this.#counter++);
    return counter;
  }

  async #store(assetId: Uint8Array, call?: CallOptions): Promise<SessionKeys> {
    const { store, keyring, random } = this.#options;
    const { keys, pairId, sealed } = keyring.newSession(this.session, assetId, random);
    const stored = await storeSessionKey(store, sessionKeyKey(pairId, this.session), sealed, call);
    invariant(stored === 'stored', 'a session stores one key');
    return keys;
  }
}

/** Stores the sealed key of a session. 'another' when a different object lies there: nobody could open what this key seals. */
export async function storeSessionKey(
  store: ObjectStore,
  key: string,
  sealed: Uint8Array,
  call?: CallOptions,
): Promise<'stored' | 'another'> {
  if ((await store.put(key, sealed, call)) === 'created') return 'stored';
  // Perhaps of an attempt whose answer was lost.
  return bytesEqual(await store.get(key, undefined, call), sealed) ? 'stored' : 'another';
}

/** Stores the key of a session that another has drawn, and sealed to a pair that may not be the newest any more: it is sealed to the newest, since
 *  who drew it may go on for long after a rotation. 'another' when a different key lies there. KEY_NOT_FOUND, FORMAT_DAMAGED when it does not open:
 *  nobody could ever read what it seals. */
export async function storeReceivedKey(
  { store, keyring }: { readonly store: ObjectStore; readonly keyring: Keyring },
  { pairId, session, sealed }: { readonly pairId: string; readonly session: Uint8Array; readonly sealed: Uint8Array },
): Promise<'stored' | 'another'> {
  const dataKey = keyring.openSessionKey(pairId, session, sealed);
  const newest = keyring.payload.role === 'owner' ? keyring.payload.pairs.at(-1) : undefined;
  invariant(newest !== undefined, 'an owner has a pair');
  const key = sessionKeyKey(newest.id, session);
  const object = pairId === newest.id ? sealed : keyring.sealSessionKey(newest.publicKey, session, dataKey);
  if ((await store.put(key, object)) === 'created') return 'stored';
  // Perhaps of an attempt whose answer was lost, or a rotation brought it here.
  return bytesEqual(keyring.openSessionKey(newest.id, session, await store.get(key)), dataKey) ? 'stored' : 'another';
}

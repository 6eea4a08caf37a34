// What an opened key can do: name chunks, seal and open directories and registers, make and open session keys. An owner opens
// everything; a writer makes sessions for one asset, reads that asset's maps, and cannot read any content, not even its own.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { openOnce, sealOnce } from '../codec/aead.ts';
import { DIGEST_BYTES, IdHasher, objectId } from '../codec/chunk-id.ts';
import { chunkMultiplier } from '../codec/chunk-multiplier.ts';
import { type Derive, deriveFromPassphrase, deriveKey, isScryptCostBearable, SCRYPT_COST } from '../codec/derive.ts';
import { BOX_BYTES, generateBoxPair, openWithPrivateKey, PUBLIC_KEY_BYTES, sealToPublicKey } from '../codec/sealed-box.ts';
import { generateSigningPair } from '../codec/signature.ts';
import {
  decodeKeyObject,
  decodeKeyPayload,
  encodeKeyObject,
  encodeKeyPayload,
  type KeyObject,
  type KeyPayload,
  type KeyRole,
  type OwnerPayload,
} from '../format/key-object.ts';
import type { RepositoryParameters } from '../format/repository-object.ts';

const SESSION_KEY_MAGIC = Buffer.from('HFSK\x01', 'latin1');

export type Random = (bytes: number) => Uint8Array;

/** The secrets of a new tenant. */
export function newOwnerPayload(repositoryObject: Uint8Array, random: Random): OwnerPayload {
  return {
    role: 'owner',
    repositoryDigest: objectId(repositoryObject),
    idKey: random(32),
    metadataKey: random(32),
    pairs: [newPair(random)],
    ...generateSigningPair(),
  };
}

export function newPair(random: Random): { readonly id: string; readonly publicKey: Uint8Array; readonly privateKey: Uint8Array } {
  return { id: Buffer.from(random(8)).toString('hex'), ...generateBoxPair() };
}

/** Seals `payload` under a passphrase. */
export async function sealKeyObject(
  payload: KeyPayload,
  details: {
    readonly id: string;
    readonly label: string;
    readonly createdAt: string;
    readonly passphrase: Uint8Array;
    readonly repositoryId: Uint8Array;
    readonly random: Random;
  },
): Promise<Uint8Array> {
  const salt = details.random(16);
  const nonce = details.random(12);
  const kek = await deriveFromPassphrase(details.passphrase, salt, SCRYPT_COST);
  const sealed = sealOnce(kek, nonce, encodeKeyPayload(payload), keyAad(details.repositoryId, details.id, payload.role));
  return encodeKeyObject({
    role: payload.role,
    label: details.label,
    createdAt: details.createdAt,
    cost: SCRYPT_COST,
    salt,
    nonce,
    sealed,
  });
}

/** The payload, or undefined when the passphrase is not this key's. */
export async function openKeyObject(
  bytes: Uint8Array,
  details: { readonly id: string; readonly passphrase: Uint8Array; readonly repositoryId: Uint8Array },
  derive: Derive = deriveFromPassphrase,
): Promise<{ readonly key: KeyObject; readonly payload: KeyPayload } | undefined> {
  const what = `The key ${details.id}`;
  const key = decodeKeyObject(bytes, what);
  if (!isScryptCostBearable(key.cost)) throw new Fault('FORMAT_DAMAGED', `${what} asks for an unbearable scrypt cost`);
  const kek = await derive(details.passphrase, key.salt, key.cost);
  const plain = openOnce(kek, key.nonce, key.sealed, keyAad(details.repositoryId, details.id, key.role));
  return plain === undefined ? undefined : { key, payload: decodeKeyPayload(plain, what) };
}

function keyAad(repositoryId: Uint8Array, id: string, role: KeyRole): Uint8Array {
  return Buffer.from(`holdfast key 1\n${Buffer.from(repositoryId).toString('hex')}\n${id}\n${role}`);
}

/** Keys of one session, as workers need them. */
export type SessionKeys = {
  /** 10 bytes. */
  readonly session: Uint8Array;
  readonly assetId: Uint8Array;
  readonly dataKey: Uint8Array;
  readonly metadataKey: Uint8Array;
};

export class Keyring {
  readonly keyId: string;
  readonly payload: KeyPayload;
  readonly directoryKey: Uint8Array;
  /** Of the content chunker. */
  readonly multiplier: number;
  readonly ids: IdHasher;
  readonly #repositoryId: Uint8Array;

  constructor(keyId: string, payload: KeyPayload, parameters: RepositoryParameters) {
    this.keyId = keyId;
    this.payload = payload;
    this.#repositoryId = parameters.id;
    this.ids = new IdHasher(payload.idKey);
    this.directoryKey = deriveKey(payload.idKey, parameters.id, 'directory');
    const secret = deriveKey(payload.idKey, parameters.id, 'chunker');
    this.multiplier = chunkMultiplier(secret);
  }

  get role(): KeyRole {
    return this.payload.role;
  }

  /** 16 bytes. */
  assetId(asset: string): Uint8Array {
    return this.ids.idOf(Buffer.from(`asset\0${asset}`)).subarray(0, DIGEST_BYTES);
  }

  subkey(...info: readonly (string | Uint8Array)[]): Uint8Array {
    return deriveKey(this.directoryKey, this.#repositoryId, ...info);
  }

  /** Opens a session's maps and snapshot; KEY_CANNOT_READ when this key is of another asset. */
  metadataKeyOf(session: Uint8Array, assetId: Uint8Array): Uint8Array {
    return deriveKey(this.#assetKey(assetId), this.#repositoryId, 'session', session);
  }

  /** Draws a data key and seals it: the object to be stored under `session-keys/<pair>/<session>` before any block is. */
  newSession(
    session: Uint8Array,
    assetId: Uint8Array,
    random: Random,
  ): { readonly keys: SessionKeys; readonly pairId: string; readonly sealed: Uint8Array } {
    const dataKey = random(32);
    const keys = { session, assetId, dataKey, metadataKey: this.metadataKeyOf(session, assetId) };
    const sealTo = this.payload.role === 'owner' ? this.payload.pairs.at(-1) : this.payload.sealTo;
    invariant(sealTo !== undefined, 'a key has a pair to seal to');
    return { keys, pairId: sealTo.id, sealed: this.sealSessionKey(sealTo.publicKey, session, dataKey) };
  }

  sealSessionKey(publicKey: Uint8Array, session: Uint8Array, dataKey: Uint8Array): Uint8Array {
    return Buffer.concat([SESSION_KEY_MAGIC, sealToPublicKey(publicKey, dataKey, this.#repositoryId, session)]);
  }

  /** The data key inside a session key object. */
  openSessionKey(pairId: string, session: Uint8Array, object: Uint8Array): Uint8Array {
    const what = `The key of session ${Buffer.from(session).toString('hex')}`;
    if (this.payload.role !== 'owner')
      throw new Fault('KEY_CANNOT_READ', `${what} is sealed to the tenant; this key is for writing`);
    const pair = this.payload.pairs.find(({ id }) => id === pairId);
    if (pair === undefined)
      throw new Fault('KEY_NOT_FOUND', `${what} is sealed to the pair ${pairId}, which this key does not hold`);
    const isObject =
      object.length === SESSION_KEY_MAGIC.length + BOX_BYTES &&
      SESSION_KEY_MAGIC.equals(object.subarray(0, SESSION_KEY_MAGIC.length));
    const dataKey = isObject
      ? openWithPrivateKey(pair, object.subarray(SESSION_KEY_MAGIC.length), this.#repositoryId, session)
      : undefined;
    if (dataKey === undefined) throw new Fault('FORMAT_DAMAGED', `${what} does not open: it was changed`);
    return dataKey;
  }

  /** Pairs that may hold a session's key, newest first. */
  get pairIds(): readonly string[] {
    return this.payload.role === 'owner' ? this.payload.pairs.map(({ id }) => id).reverse() : [this.payload.sealTo.id];
  }

  #assetKey(assetId: Uint8Array): Uint8Array {
    if (this.payload.role === 'owner') return deriveKey(this.payload.metadataKey, this.#repositoryId, 'asset', assetId);
    if (Buffer.compare(this.assetId(this.payload.asset), assetId) !== 0) {
      throw new Fault('KEY_CANNOT_READ', `This key is for writing the asset "${this.payload.asset}" and opens nothing of others`);
    }
    return this.payload.assetKey;
  }

  /** What an agent gets for writing one asset. */
  writerPayload(asset: string): KeyPayload {
    invariant(this.payload.role === 'owner', 'only an owner makes writer keys');
    const { repositoryDigest, idKey } = this.payload;
    const newest = this.payload.pairs.at(-1);
    invariant(newest !== undefined, 'an owner has a pair');
    return {
      role: 'writer',
      repositoryDigest,
      idKey,
      ...generateSigningPair(),
      asset,
      assetKey: this.#assetKey(this.assetId(asset)),
      sealTo: { id: newest.id, publicKey: newest.publicKey },
    };
  }
}

export const SESSION_KEY_BYTES = SESSION_KEY_MAGIC.length + PUBLIC_KEY_BYTES + 48;

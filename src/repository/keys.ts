// Keys of a repository: listing, adding, removing, changing passphrases, and exchanging the pair that session keys are sealed to.
//
// Key objects are write-once, so every change is a new object first, proven to open, and the deletion of an old one afterwards. Dying in
// between leaves a key too many, never one too few. An owner's key is removed only by the holder of another one.

import { randomBytes } from 'node:crypto';
import { forEachBounded } from '../base/bounded.ts';
import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { generateSigningPair } from '../codec/signature.ts';
import { type BoxPair, decodeKeyObject, type KeyPayload, type KeyRole, type OwnerPayload } from '../format/key-object.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions } from '../store/object-store.ts';
import { Keyring, newPair, openKeyObject, sealKeyObject } from './keyring.ts';
import { hex, keyObjectKey, SESSION_KEYS_PREFIX, sessionKeyKey, unhex } from './layout.ts';
import { keyIds, type OpenedRepository } from './open.ts';
import { registerCodec } from './register-codec.ts';
import { mustNotBeReplica } from './replica-mark.ts';

const OBJECTS_IN_FLIGHT_MAX = 16;
const KEY_ID_BYTES = 8;

export type KeyInfo = {
  /** 16 hex digits. */
  readonly id: string;
  readonly role: KeyRole;
  readonly label: string;
  readonly createdAt: string;
  /** The one that opened the repository. */
  readonly isInUse: boolean;
};

export type NewKey = { readonly passphrase: Uint8Array; readonly label: string; readonly now: Date };

/** Oldest first. */
export async function listKeys({ store, keyring }: OpenedRepository, options?: CallOptions): Promise<KeyInfo[]> {
  const keys: KeyInfo[] = [];
  await forEachBounded(await keyIds(store, options), OBJECTS_IN_FLIGHT_MAX, async (id) => {
    const object = await getIfThere({ store }, keyObjectKey(id), options);
    if (object === undefined) return;
    const { role, label, createdAt } = decodeKeyObject(object, `The key ${id}`);
    keys.push({ id, role, label, createdAt, isInUse: id === keyring.keyId });
  });
  return keys.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : a.id < b.id ? -1 : 1));
}

/** Another key that opens everything. Answers its id. KEY_CANNOT_READ with a writer's key. */
export async function addOwnerKey(repository: OpenedRepository, key: NewKey, options?: CallOptions): Promise<string> {
  const payload = ownerPayload(repository);
  await mayChange(repository, options);
  return putKey(repository, { ...payload, ...generateSigningPair() }, key, options);
}

/** A key that writes one asset and cannot read any content. Answers its id. */
export async function addWriterKey(
  repository: OpenedRepository,
  asset: string,
  key: NewKey,
  options?: CallOptions,
): Promise<string> {
  ownerPayload(repository);
  await mayChange(repository, options);
  return putKey(repository, repository.keyring.writerPayload(asset), key, options);
}

/** By id, or the beginning of one. KEY_NOT_FOUND; KEY_IN_USE for the one that opened the repository: so one owner's key always stays. */
export async function removeKey(
  repository: OpenedRepository,
  name: string,
  dryRun: boolean,
  options?: CallOptions,
): Promise<KeyInfo> {
  const { store, keyring } = repository;
  ownerPayload(repository);
  const matches = (await listKeys(repository, options)).filter(({ id }) => id.startsWith(name.toLowerCase()));
  const key = name === '' ? undefined : matches[0];
  if (key === undefined || matches.length > 1)
    throw new Fault(
      'KEY_NOT_FOUND',
      `${key === undefined ? 'No key' : 'More than one key'} of the repository at ${store.location} begins with "${name}"`,
    );
  if (key.isInUse) throw new Fault('KEY_IN_USE', `The key ${key.id} is the one that opened the repository`);
  if (dryRun) return key;
  await mayChange(repository, options);
  const own = await store.get(keyObjectKey(keyring.keyId), undefined, options);
  await store.delete(keyObjectKey(key.id), options);
  // Somebody with that key may have removed ours at the same time: then both come back.
  await store.put(keyObjectKey(keyring.keyId), own, options);
  return key;
}

/** The key in use under another passphrase: a new key object takes its place. Answers its id. */
export async function changePassphrase(repository: OpenedRepository, key: NewKey, options?: CallOptions): Promise<string> {
  const { store, keyring } = repository;
  await mayChange(repository, options);
  const id = await putKey(repository, keyring.payload, key, options);
  await store.delete(keyObjectKey(keyring.keyId), options);
  return id;
}

export type RotateDetails = NewKey & {
  /** Other owners' keys would not open what is written from now on: they are removed if true; otherwise their presence is a fault. */
  readonly dropOtherOwners: boolean;
  readonly onSession?: (done: number, total: number) => void;
};

export type Rotated = {
  readonly keyId: string;
  readonly pairId: string;
  readonly sessions: number;
  readonly removed: readonly KeyInfo[];
  readonly writers: readonly KeyInfo[];
};

export type RotationPlan = {
  /** Pairs that sessions may be sealed to now. */
  readonly pairs: readonly BoxPair[];
  /** Keys that the new one takes the place of: the one in use, and those that an interrupted rotation has left. */
  readonly replaced: readonly KeyInfo[];
  /** Other owners' keys. */
  readonly foreign: readonly KeyInfo[];
  /** Keys that go on sealing to the old pair. */
  readonly writers: readonly KeyInfo[];
  readonly sessions: number;
};

/** KEY_OTHER_OWNERS when there are some and they are not to be dropped; KEY_CANNOT_READ with a writer's key. Changes nothing. */
export async function planRotation(
  repository: OpenedRepository,
  details: RotateDetails,
  options?: CallOptions,
): Promise<RotationPlan> {
  const payload = ownerPayload(repository);
  const keys = await listKeys(repository, options);
  const owners = keys.filter(({ role, isInUse }) => role === 'owner' && !isInUse);
  const same = await openedBy(repository, owners, details.passphrase, options);
  const foreign = owners.filter(({ id }) => !same.has(id));
  if (foreign.length > 0 && !details.dropOtherOwners) {
    throw new Fault(
      'KEY_OTHER_OWNERS',
      `${foreign.length} other owners' keys would not open what is written after the rotation: ${foreign.map(({ id, label }) => `${id} (${label})`).join(', ')}`,
    );
  }
  // An earlier rotation that was interrupted has left its pair in a key of the same passphrase.
  const pairs = new Map(payload.pairs.map((pair) => [pair.id, pair]));
  for (const other of same.values()) for (const pair of other.pairs) if (!pairs.has(pair.id)) pairs.set(pair.id, pair);
  return {
    pairs: [...pairs.values()],
    replaced: keys.filter(({ id, isInUse }) => isInUse || same.has(id)),
    foreign,
    writers: keys.filter(({ role }) => role === 'writer'),
    sessions: (await sealedTo(repository, [...pairs.keys()], options)).length,
  };
}

/** A new pair for session keys; all of them are sealed anew to it and the old objects deleted. `passphrase` is that of the key in use.
 *  Order: the new pair is in a key object before anything is sealed to it, and a session's old key object goes only when the new one was
 *  read back. The old pairs stay in the key: a backup that runs meanwhile still seals to one. Run again after an interruption: it goes on. */
export async function rotatePair(repository: OpenedRepository, details: RotateDetails, options?: CallOptions): Promise<Rotated> {
  const { store, parameters } = repository;
  const { pairs, replaced, foreign, writers } = await planRotation(repository, details, options);
  await mayChange(repository, options);
  const pair = newPair(randomBytes);
  const rotated: OwnerPayload = { ...ownerPayload(repository), pairs: [...pairs, pair] };
  const keyId = await putKey(repository, rotated, details, options);
  for (const { id } of [...replaced, ...foreign]) await store.delete(keyObjectKey(id), options);
  const old = pairs.map(({ id }) => id);
  const sessions = await sealAnew(repository, new Keyring(keyId, rotated, parameters), old, details, options);
  return { keyId, pairId: pair.id, sessions, removed: foreign, writers };
}

/** Keys that this passphrase opens, too, and that hold the same secrets. */
async function openedBy(
  { store, parameters, keyring }: OpenedRepository,
  keys: readonly KeyInfo[],
  passphrase: Uint8Array,
  options?: CallOptions,
): Promise<Map<string, OwnerPayload>> {
  const opened = new Map<string, OwnerPayload>();
  for (const { id } of keys) {
    const object = await getIfThere({ store }, keyObjectKey(id), options);
    const key = object === undefined ? undefined : await openKeyObject(object, { id, passphrase, repositoryId: parameters.id });
    if (key?.payload.role === 'owner' && bytesEqual(key.payload.idKey, keyring.payload.idKey)) opened.set(id, key.payload);
  }
  return opened;
}

async function sealAnew(
  { store }: OpenedRepository,
  keyring: Keyring,
  oldPairIds: readonly string[],
  { onSession }: RotateDetails,
  options?: CallOptions,
): Promise<number> {
  const newest = keyring.payload.role === 'owner' ? keyring.payload.pairs.at(-1) : undefined;
  invariant(newest !== undefined, 'an owner has a pair');
  const found = await sealedTo({ store }, oldPairIds, options);
  let done = 0;
  await forEachBounded(found, OBJECTS_IN_FLIGHT_MAX, async ({ pairId, session }) => {
    const object = await getIfThere({ store }, sessionKeyKey(pairId, session), options);
    if (object !== undefined) {
      const dataKey = keyring.openSessionKey(pairId, session, object);
      const key = sessionKeyKey(newest.id, session);
      await store.put(key, keyring.sealSessionKey(newest.publicKey, session, dataKey), options);
      const back = keyring.openSessionKey(newest.id, session, await store.get(key, undefined, options));
      if (!bytesEqual(back, dataKey))
        throw new Fault('FORMAT_DAMAGED', `The key of session ${hex(session)} that was written is not the one that can be read`);
      await store.delete(sessionKeyKey(pairId, session), options);
    }
    onSession?.(++done, found.length);
  });
  return found.length;
}

/** Session keys under these pairs, as far as the listing tells. */
async function sealedTo(
  { store }: Pick<OpenedRepository, 'store'>,
  pairIds: readonly string[],
  options?: CallOptions,
): Promise<{ readonly pairId: string; readonly session: Uint8Array }[]> {
  const found: { readonly pairId: string; readonly session: Uint8Array }[] = [];
  for (const pairId of pairIds) {
    const prefix = `${SESSION_KEYS_PREFIX}${pairId}/`;
    for await (const page of store.list(prefix, options))
      for (const { key } of page) found.push({ pairId, session: unhex(key.slice(prefix.length)) });
  }
  return found;
}

/** Stores a key object and proves that it opens. Answers its id. */
export async function putKey(
  { store, parameters }: Pick<OpenedRepository, 'store' | 'parameters'>,
  payload: KeyPayload,
  { passphrase, label, now }: NewKey,
  options?: CallOptions,
): Promise<string> {
  const id = hex(randomBytes(KEY_ID_BYTES));
  const repositoryId = parameters.id;
  const object = await sealKeyObject(payload, {
    id,
    label,
    createdAt: now.toISOString(),
    passphrase,
    repositoryId,
    random: randomBytes,
  });
  await store.put(keyObjectKey(id), object, options);
  const stored = await store.get(keyObjectKey(id), undefined, options);
  if ((await openKeyObject(stored, { id, passphrase, repositoryId })) === undefined)
    throw new Fault('FORMAT_DAMAGED', `The key ${id} that was written does not open`);
  return id;
}

/** The keys of a replica are those of its source. */
function mayChange({ store, keyring }: OpenedRepository, options?: CallOptions): Promise<void> {
  return mustNotBeReplica(store, registerCodec(keyring, randomBytes), options);
}

function ownerPayload({ keyring, store }: OpenedRepository): OwnerPayload {
  if (keyring.payload.role === 'owner') return keyring.payload;
  throw new Fault(
    'KEY_CANNOT_READ',
    `The key ${keyring.keyId} of the repository at ${store.location} is for writing only and cannot change keys`,
  );
}

async function getIfThere(
  { store }: Pick<OpenedRepository, 'store'>,
  key: string,
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, undefined, options);
  } catch (error) {
    if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
    throw error;
  }
}

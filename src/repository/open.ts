// Making and opening a repository: finding out whether the place is one, opening a key with the passphrase.

import { Fault, isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import type { Derive } from '../codec/derive.ts';
import { KEY_OBJECT_BYTES_MAX } from '../format/key-object.ts';
import {
  DEFAULT_PARAMETERS,
  decodeRepositoryObject,
  encodeRepositoryObject,
  REPOSITORY_OBJECT_BYTES_MAX,
  type RepositoryParameters,
} from '../format/repository-object.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { Keyring, newOwnerPayload, openKeyObject, type Random, sealKeyObject } from './keyring.ts';
import { hex, KEYS_PREFIX, keyObjectKey, REPOSITORY_OBJECT } from './layout.ts';
import { passphraseForms } from './passphrase.ts';
import { readAnew } from './read-anew.ts';

export type OpenedRepository = {
  readonly store: ObjectStore;
  readonly parameters: RepositoryParameters;
  readonly keyring: Keyring;
};

export type InitDetails = {
  readonly passphrase: Uint8Array;
  readonly label: string;
  readonly now: Date;
  readonly random: Random;
};

/** Makes a repository in an empty place. The object `repository` is written last: a place without it is not a repository yet. `makeHead`
 *  makes the head, before. One that is there already is never replaced, though nobody can open it: it may be all that is left of a
 *  repository that lost its object, or belong to somebody who is making one here now. FORMAT_REPOSITORY_EXISTS. */
export async function initRepository(
  store: ObjectStore,
  details: InitDetails,
  makeHead: (opened: OpenedRepository) => Promise<'created' | 'exists'>,
  options?: CallOptions,
): Promise<OpenedRepository> {
  await store.probe(options);
  const exists = () => new Fault('FORMAT_REPOSITORY_EXISTS', `There is a repository at ${store.location} already`);
  if ((await store.size(REPOSITORY_OBJECT, options)) !== undefined) throw exists();
  const { passphrase, label, now, random } = details;
  const createdAt = now.toISOString();
  const parameters: RepositoryParameters = { id: random(16), createdAt, ...DEFAULT_PARAMETERS };
  const object = encodeRepositoryObject(parameters);
  const payload = newOwnerPayload(object, random);
  const keyId = hex(random(8));
  const key = await sealKeyObject(payload, { id: keyId, label, createdAt, passphrase, repositoryId: parameters.id, random });
  const opened = { store, parameters, keyring: new Keyring(keyId, payload, parameters) };
  await store.put(keyObjectKey(keyId), key, options);
  const head = await makeHead(opened);
  if (head === 'created' && (await putOwn(store, object, options))) return opened;
  await store.delete(keyObjectKey(keyId), options);
  if (head === 'created' || (await store.size(REPOSITORY_OBJECT, options)) !== undefined) throw exists();
  throw new Fault(
    'FORMAT_REPOSITORY_EXISTS',
    `There is the head of a repository at ${store.location}, but not its object "repository"`,
    {
      hint: 'Either an init was interrupted there: empty the place, then run it again. Or the object was lost: get it back from a copy.',
    },
  );
}

/** Whether the repository is the one of `object`. A put whose answer was lost finds, when it is repeated, what it has stored itself. */
async function putOwn(store: ObjectStore, object: Uint8Array, options?: CallOptions): Promise<boolean> {
  if ((await store.put(REPOSITORY_OBJECT, object, options)) === 'created') return true;
  return Buffer.compare(await store.get(REPOSITORY_OBJECT, undefined, options), object) === 0;
}

/** `preferredKey`: the id of the key that opened it last time here, tried first. */
export async function openRepository(
  store: ObjectStore,
  passphrase: Uint8Array,
  preferredKey?: (repositoryId: string) => string | undefined,
  options?: CallOptions,
  derive?: Derive,
): Promise<OpenedRepository> {
  const { parameters, object } = await readParameters(store, options);
  const ids = await keyIds(store, options);
  const preferred = preferredKey?.(hex(parameters.id));
  ids.sort((a, b) => Number(b === preferred) - Number(a === preferred) || (a < b ? -1 : 1));
  let damage: Fault | undefined;
  for (const { id, form } of passphraseForms(passphrase).flatMap((form) => ids.map((id) => ({ id, form })))) {
    const opened = await openKey(store, id, form, parameters, options, derive);
    if (opened instanceof Fault) damage ??= opened;
    if (opened === undefined || opened instanceof Fault) continue;
    if (!bytesEqual(opened.payload.repositoryDigest, objectId(object))) {
      throw new Fault(
        'FORMAT_DAMAGED',
        `The object "repository" at ${store.location} is not the one that the key ${id} was made for`,
      );
    }
    return { store, parameters, keyring: new Keyring(id, opened.payload, parameters) };
  }
  if (damage !== undefined) throw damage;
  throw new Fault(
    'KEY_PASSPHRASE_WRONG',
    `None of the ${ids.length} keys of the repository at ${store.location} opens with this passphrase`,
    ids.length > 0
      ? undefined
      : { hint: 'Its keys are gone: put "keys/" back from a copy, or an exported key with "holdfast key import".' },
  );
}

/** Undefined when it is another passphrase's; the fault when the key is damaged (one that is must not keep the others from opening). */
async function openKey(
  store: ObjectStore,
  id: string,
  passphrase: Uint8Array,
  { id: repositoryId }: RepositoryParameters,
  options: CallOptions | undefined,
  derive: Derive | undefined,
): Promise<Awaited<ReturnType<typeof openKeyObject>> | Fault> {
  try {
    const read = (): Promise<Uint8Array> => store.get(keyObjectKey(id), { offset: 0, length: KEY_OBJECT_BYTES_MAX + 1 }, options);
    return await readAnew(async () => {
      const object = await read();
      const opened = await openKeyObject(object, { id, passphrase, repositoryId }, derive);
      // What does not open says of itself only that another passphrase may be meant.
      if (opened === undefined && Buffer.compare(object, await read()) !== 0)
        throw new Fault('FORMAT_DAMAGED', `The key ${id} is another one each time that it is read`);
      return opened;
    });
  } catch (error) {
    // Not there: removed since it was listed.
    if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
    if (isFault(error, 'FORMAT_DAMAGED', 'FORMAT_TOO_NEW')) return error;
    throw error;
  }
}

/** FORMAT_NOT_A_REPOSITORY. */
export async function readParameters(
  store: ObjectStore,
  options?: CallOptions,
): Promise<{ readonly parameters: RepositoryParameters; readonly object: Uint8Array }> {
  try {
    return await readAnew(async () => {
      const object = await store.get(REPOSITORY_OBJECT, { offset: 0, length: REPOSITORY_OBJECT_BYTES_MAX + 1 }, options);
      return { parameters: decodeRepositoryObject(object, store.location), object };
    });
  } catch (error) {
    if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
    throw new Fault('FORMAT_NOT_A_REPOSITORY', `There is no repository at ${store.location}`, { cause: error });
  }
}

export async function keyIds(store: ObjectStore, options?: CallOptions): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of store.list(KEYS_PREFIX, options)) for (const { key } of page) ids.push(key.slice(KEYS_PREFIX.length));
  return ids;
}

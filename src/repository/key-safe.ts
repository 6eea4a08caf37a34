// A key for the safe: the payload of an opened key as text, in clear or sealed under a passphrase of its own, and the way back.

import { randomBytes } from 'node:crypto';
import { Fault, isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { decodeKeyPayload, encodeKeyPayload, type KeyPayload, type KeyRole } from '../format/key-object.ts';
import { decodeKeyText, encodeKeyText, type KeyText } from '../format/key-text.ts';
import { decodeRepositoryObject, type RepositoryParameters } from '../format/repository-object.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { openKeyObject, sealKeyObject } from './keyring.ts';
import { type NewKey, putKey } from './keys.ts';
import { hex, REPOSITORY_OBJECT } from './layout.ts';
import type { OpenedRepository } from './open.ts';

/** Of a key that is sealed in its text: an id is bound to the seal, and this one is the same for all. */
const SAFE_KEY_ID = 'safe';

/** The key that opened the repository. Without a passphrase the text opens everything that the key opens: it is a secret. */
export async function exportKeyText(repository: OpenedRepository, passphrase: Uint8Array | undefined, now: Date): Promise<string> {
  const { keyring, parameters, store } = repository;
  const content = await contentOf(repository, passphrase, now);
  return [
    'Key of a Holdfast repository, for the safe',
    '',
    `Repository  ${hex(parameters.id)}`,
    `Location    ${store.location}`,
    `Key         ${keyring.keyId} (${keyring.role})`,
    `Written     ${now.toISOString()}`,
    `Protection  ${passphrase === undefined ? 'none: whoever has this text can read every backup' : 'a passphrase, which is kept elsewhere'}`,
    '',
    'To use it: holdfast key import FILE, with a file that holds the lines below.',
    '',
    encodeKeyText(content),
  ].join('\n');
}

async function contentOf(
  { keyring, parameters }: OpenedRepository,
  passphrase: Uint8Array | undefined,
  now: Date,
): Promise<KeyText> {
  const { payload, keyId } = keyring;
  if (passphrase === undefined) return { kind: 'KEY', bytes: encodeKeyPayload(payload) };
  const details = {
    id: SAFE_KEY_ID,
    label: `copy of ${keyId}`,
    createdAt: now.toISOString(),
    passphrase,
    repositoryId: parameters.id,
    random: randomBytes,
  };
  return { kind: 'SEALED KEY', bytes: await sealKeyObject(payload, details) };
}

export type KeyImport = {
  readonly text: string;
  /** Asked for only when the text is sealed. */
  readonly textPassphrase: () => Promise<Uint8Array>;
  readonly label: string;
  readonly now: Date;
  /** For the new key; asked for when the text has proven good. */
  readonly passphrase: () => Promise<Uint8Array>;
};

/** Makes a key object of a text: no other key is needed. KEY_TEXT_DAMAGED, KEY_PASSPHRASE_WRONG, KEY_OF_OTHER_REPOSITORY. */
export async function importKeyText(
  store: ObjectStore,
  details: KeyImport,
  options?: CallOptions,
): Promise<{ readonly id: string; readonly role: KeyRole }> {
  const text = decodeKeyText(details.text);
  const object = await readRepositoryObject(store, options);
  const parameters = decodeRepositoryObject(object, store.location);
  const payload = await payloadOf(text, details, parameters);
  if (!bytesEqual(payload.repositoryDigest, objectId(object))) {
    throw new Fault('KEY_OF_OTHER_REPOSITORY', `The key was not made for the repository at ${store.location}`);
  }
  const key: NewKey = { passphrase: await details.passphrase(), label: details.label, now: details.now };
  return { id: await putKey({ store, parameters }, payload, key, options), role: payload.role };
}

async function readRepositoryObject(store: ObjectStore, options?: CallOptions): Promise<Uint8Array> {
  try {
    return await store.get(REPOSITORY_OBJECT, undefined, options);
  } catch (error) {
    if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
    throw new Fault('FORMAT_NOT_A_REPOSITORY', `There is no repository at ${store.location}`, { cause: error });
  }
}

async function payloadOf({ kind, bytes }: KeyText, details: KeyImport, { id }: RepositoryParameters): Promise<KeyPayload> {
  const what = 'The key in the text';
  if (kind === 'KEY') return decodeKeyPayload(bytes, what);
  const opened = await openKeyObject(bytes, { id: SAFE_KEY_ID, passphrase: await details.textPassphrase(), repositoryId: id });
  if (opened === undefined)
    throw new Fault('KEY_PASSPHRASE_WRONG', `${what} does not open with this passphrase, or is of another repository`);
  return opened.payload;
}

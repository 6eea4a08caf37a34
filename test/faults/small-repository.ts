// A repository with the smallest packs that the format allows, so that little data makes many writes.

import { randomBytes } from 'node:crypto';
import { DEFAULT_PARAMETERS, encodeRepositoryObject, type RepositoryParameters } from '../../src/format/repository-object.ts';
import { HeadKeeper } from '../../src/repository/head.ts';
import { Keyring, newOwnerPayload, sealKeyObject } from '../../src/repository/keyring.ts';
import { hex, keyObjectKey, REPOSITORY_OBJECT } from '../../src/repository/layout.ts';
import { registerCodec } from '../../src/repository/register-codec.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';

export const SMALL_PACK_BYTES = 1024 * 1024;

export async function makeSmallRepository(store: ObjectStore, passphrase: Uint8Array): Promise<void> {
  const createdAt = '2026-01-01T00:00:00.000Z';
  const parameters: RepositoryParameters = {
    id: randomBytes(16),
    createdAt,
    ...DEFAULT_PARAMETERS,
    packBytes: SMALL_PACK_BYTES,
    blockBytes: 256 * 1024,
    content: { minBytes: 16 * 1024, averageBytes: 64 * 1024, maxBytes: 256 * 1024 },
  };
  const object = encodeRepositoryObject(parameters);
  const payload = newOwnerPayload(object, randomBytes);
  const id = hex(randomBytes(8));
  const key = await sealKeyObject(payload, {
    id,
    label: 'test',
    createdAt,
    passphrase,
    repositoryId: parameters.id,
    random: randomBytes,
  });
  const keyring = new Keyring(id, payload, parameters);
  await store.put(keyObjectKey(id), key);
  const codec = registerCodec(keyring, randomBytes);
  await new HeadKeeper({ store, codec, random: randomBytes, now: () => new Date(), sleep: async () => {} }).create();
  await store.put(REPOSITORY_OBJECT, object);
}

// Index objects in the store: sealed lists of pack directories. See src/format/README.md, "Index objects".

import { Fault } from '../base/faults.ts';
import { openOnce, sealOnce } from '../codec/aead.ts';
import { objectId } from '../codec/chunk-id.ts';
import { compressFrame, decompressFrame } from '../codec/zstd-frame.ts';
import { decodeIndexPlain, encodeIndexPlain, INDEX_PLAIN_BYTES_MAX, type IndexedPack } from '../format/index-object.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import type { Keyring, Random } from './keyring.ts';
import { hex, indexKey } from './layout.ts';
import { readAnew } from './read-anew.ts';

const MAGIC = Buffer.from('HFIX\x01\0\0\0', 'latin1');
const SALT_BYTES = 16;
const HEADER_BYTES = MAGIC.length + SALT_BYTES;
const ZERO_NONCE = new Uint8Array(12);

export function encodeIndexObject(
  packs: readonly IndexedPack[],
  keyring: Keyring,
  random: Random,
): { readonly id: string; readonly bytes: Uint8Array } {
  const header = Buffer.concat([MAGIC, random(SALT_BYTES)]);
  const plain = compressFrame(encodeIndexPlain(packs));
  const sealed = sealOnce(keyring.subkey('index', header.subarray(MAGIC.length)), ZERO_NONCE, plain, header);
  const bytes = Buffer.concat([header, sealed]);
  return { id: hex(objectId(bytes)), bytes };
}

export function decodeIndexObject(id: string, bytes: Uint8Array, keyring: Keyring): IndexedPack[] {
  const what = `The index object ${id}`;
  const isIndex = bytes.length > HEADER_BYTES && MAGIC.equals(bytes.subarray(0, MAGIC.length)) && hex(objectId(bytes)) === id;
  if (!isIndex) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: its bytes are not those that its name says`);
  const header = bytes.subarray(0, HEADER_BYTES);
  const frame = openOnce(keyring.subkey('index', header.subarray(MAGIC.length)), ZERO_NONCE, bytes.subarray(HEADER_BYTES), header);
  if (frame === undefined) throw new Fault('FORMAT_DAMAGED', `${what} does not open with this tenant's key`);
  const plain = decompressFrame(frame, INDEX_PLAIN_BYTES_MAX);
  if (plain === undefined) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it does not decompress`);
  return decodeIndexPlain(plain, what);
}

export async function readIndexObject(
  store: ObjectStore,
  id: string,
  keyring: Keyring,
  options?: CallOptions,
): Promise<IndexedPack[]> {
  return readAnew(async () => decodeIndexObject(id, await store.get(indexKey(id), undefined, options), keyring));
}

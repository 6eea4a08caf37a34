// A pack's own directory, read without reading the pack: the trailer at its end tells where it begins.

import { Fault } from '../base/faults.ts';
import { openOnce } from '../codec/aead.ts';
import {
  decodeDirectory,
  decodeTrailer,
  type PackDirectory,
  type PackTrailer,
  packLengthOf,
  TRAILER_BYTES,
} from '../format/pack.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import type { Keyring } from './keyring.ts';
import { hex, packKey } from './layout.ts';
import { readAnew } from './read-anew.ts';

/** Most directories fit into this with their trailer: one request. */
const TAIL_BYTES = 64 * 1024;
const ZERO_NONCE = new Uint8Array(12);

export type ReadDirectory = {
  readonly trailer: PackTrailer;
  /** Plain bytes, as an index object holds them. */
  readonly bytes: Uint8Array;
  readonly directory: PackDirectory;
  readonly packLength: number;
};

/** Reads and opens the directory of a stored pack. `packLength` saves a request when it is known. */
export function readPackDirectory(...pack: Parameters<typeof read>): Promise<ReadDirectory> {
  return readAnew(() => read(...pack));
}

async function read(
  store: ObjectStore,
  packId: Uint8Array,
  keyring: Keyring,
  packLength?: number,
  options?: CallOptions,
): Promise<ReadDirectory> {
  const key = packKey(packId);
  const what = `The pack ${hex(packId)}`;
  const length = packLength ?? (await store.size(key, options));
  if (length === undefined) throw new Fault('STORE_NOT_FOUND', `${what} is not in the store at ${store.location}`);
  if (length < TRAILER_BYTES) throw new Fault('FORMAT_DAMAGED', `${what} is cut off: it has ${length} bytes`);
  const tailLength = Math.min(length, TAIL_BYTES);
  let tail = await store.get(key, { offset: length - tailLength, length: tailLength }, options);
  const trailer = decodeTrailer(tail.subarray(tail.length - TRAILER_BYTES), what);
  const needed = trailer.directoryLength + TRAILER_BYTES;
  if (needed > length) throw new Fault('FORMAT_DAMAGED', `${what} is cut off: its directory is longer than the pack`);
  if (needed > tail.length) tail = await store.get(key, { offset: length - needed, length: needed }, options);
  const opened = openPackDirectory(tail.subarray(tail.length - needed), trailer, keyring, what);
  if (packLengthOf(opened.directory, opened.bytes.length) !== length)
    throw new Fault('FORMAT_DAMAGED', `${what} is damaged: it has ${length} bytes, which is not what its directory adds up to`);
  return { ...opened, packLength: length };
}

/** From the sealed directory and trailer that end a pack. */
export function openPackDirectory(
  tail: Uint8Array,
  trailer: PackTrailer,
  keyring: Keyring,
  what: string,
): Omit<ReadDirectory, 'packLength'> {
  const clear = tail.subarray(tail.length - TRAILER_BYTES);
  const sealed = tail.subarray(0, trailer.directoryLength);
  const bytes = openOnce(keyring.subkey('pack', trailer.salt), ZERO_NONCE, sealed, clear);
  if (bytes === undefined) throw new Fault('FORMAT_DAMAGED', `${what} is damaged: its directory does not open`);
  const directory = decodeDirectory(bytes, what);
  if (directory.blocks.length !== trailer.blockCount)
    throw new Fault('FORMAT_DAMAGED', `${what} is damaged: its directory names another number of blocks than its trailer`);
  return { trailer, bytes, directory };
}

// Sealing and opening objects of a log, and their names. See src/format/README.md, "Logs".
//
// Each object is sealed with keys of its own, derived from its epoch's and its name: so a nonce is never used twice, and an object in the
// place of another one does not open.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { openOnce, sealOnce, TAG_BYTES } from '../codec/aead.ts';
import { objectId } from '../codec/chunk-id.ts';
import { deriveKey } from '../codec/derive.ts';
import { compressFrame, decompressFrame } from '../codec/zstd-frame.ts';
import type { RetiredEpoch } from '../format/log-catalogue.ts';
import {
  decodeLogData,
  decodeLogHeader,
  decodeLogIndex,
  encodeLogData,
  encodeLogHeader,
  encodeLogIndex,
  LOG_HEADER_BYTES,
  LOG_INDEX_BYTES_MAX,
  LOG_PIECE_BYTES,
  LOG_SECTION_BYTES,
  type LogIndex,
  type LogObjectKind,
} from '../format/log-object.ts';
import { bytesEqual } from '../model/reference.ts';
import { hex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { readAnew } from '../repository/read-anew.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { LogFrame } from './log-frames.ts';

const ZERO_NONCE = new Uint8Array(12);
const DIGEST_BYTES = 32;
/** The first read of an index: most fit. */
const INDEX_READ_BYTES = 32 * 1024;

/** Opens and seals what belongs to one epoch. `data` is undefined for who may only read what is marked. */
export type EpochKeys = { readonly metadata: Uint8Array; readonly data: Uint8Array | undefined };

export function sectionOf(position: number): number {
  return Math.floor(position / LOG_SECTION_BYTES) * LOG_SECTION_BYTES;
}

export function epochPrefix(assetId: Uint8Array, { incarnation, epoch, timeline }: RetiredEpoch): string {
  return `log/${hex(assetId)}/${incarnation}/${epoch}/${timeline.toString(16).padStart(8, '0')}`;
}

export function sectionKey(prefix: string, section: number): string {
  return `${prefix}/${section.toString(16).padStart(16, '0')}`;
}

export function rangeKey(prefix: string, section: number, number: number): string {
  return `${sectionKey(prefix, section)}.${String(number).padStart(6, '0')}`;
}

/** Every so many ranges of a section one holds all of it so far. */
export const RANGES_UNTIL_WHOLE = 64;

export type LogObject = {
  readonly kind: LogObjectKind;
  readonly key: string;
  readonly index: LogIndex;
  readonly frames: readonly LogFrame[];
};

/** The same bytes for the same object, whoever seals it. */
export function sealLogObject(repository: OpenedRepository, keys: EpochKeys, { kind, key, index, frames }: LogObject): Uint8Array {
  invariant(keys.data !== undefined, 'who writes a log has its key');
  const id = repository.parameters.id;
  const plainIndex = compressFrame(encodeLogIndex(index));
  const plainData = encodeLogData(frames.map(({ bytes }) => bytes));
  const header = encodeLogHeader(kind, plainIndex.length + TAG_BYTES, plainData.length + TAG_BYTES);
  const sealedIndex = sealOnce(deriveKey(keys.metadata, id, 'log index', key), ZERO_NONCE, plainIndex, header);
  const sealedData = sealOnce(deriveKey(keys.data, id, 'log data', key), ZERO_NONCE, plainData, header);
  const object = Buffer.concat([header, sealedIndex, sealedData]);
  return Buffer.concat([object, objectId(object)]);
}

export type StoredLogIndex = LogIndex & { /** Length that the object must have. */ readonly objectBytes: number };

/** What an object says of itself; undefined when the store definitely has none. */
export function readLogIndex(...object: Parameters<typeof readIndex>): Promise<StoredLogIndex | undefined> {
  return readAnew(() => readIndex(...object));
}

async function readIndex(
  repository: OpenedRepository,
  keys: EpochKeys,
  key: string,
  options?: CallOptions,
): Promise<StoredLogIndex | undefined> {
  let head: Uint8Array;
  try {
    head = await repository.store.get(key, { offset: 0, length: INDEX_READ_BYTES }, options);
  } catch (error) {
    if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
    throw error;
  }
  const what = `The log object ${key}`;
  const { indexBytes, dataBytes } = decodeLogHeader(head.subarray(0, LOG_HEADER_BYTES), what);
  const end = LOG_HEADER_BYTES + indexBytes;
  const whole = end <= head.length ? head : await repository.store.get(key, { offset: 0, length: end }, options);
  return { ...openIndex(repository, keys, key, whole), objectBytes: end + dataBytes + DIGEST_BYTES };
}

/** Needs no key: whether the bytes are those that were written. */
export function isIntactLogObject(object: Uint8Array): boolean {
  const body = object.subarray(0, Math.max(0, object.length - DIGEST_BYTES));
  return body.length >= LOG_HEADER_BYTES && bytesEqual(objectId(body), object.subarray(body.length));
}

export type OpenedLogObject = {
  readonly index: LogIndex;
  readonly bytes: Uint8Array;
  /** As they are stored. */
  readonly frames: readonly LogFrame[];
};

/** All of it; STORE_NOT_FOUND, FORMAT_DAMAGED, KEY_CANNOT_READ. */
export async function readLogObject(
  repository: OpenedRepository,
  keys: EpochKeys,
  key: string,
  options?: CallOptions,
): Promise<OpenedLogObject> {
  return readAnew(async () => openLogObject(repository, keys, key, await repository.store.get(key, undefined, options)));
}

/** FORMAT_DAMAGED, KEY_CANNOT_READ. */
export function openLogObject(repository: OpenedRepository, keys: EpochKeys, key: string, object: Uint8Array): OpenedLogObject {
  const what = `The log object ${key}`;
  const damaged = (why: string): Fault => new Fault('FORMAT_DAMAGED', `${what} is damaged: ${why}`);
  if (keys.data === undefined) throw new Fault('KEY_CANNOT_READ', `${what} holds content, and this key is for writing`);
  const body = object.subarray(0, Math.max(0, object.length - DIGEST_BYTES));
  if (!isIntactLogObject(object)) throw damaged('its bytes are not those that were written');
  const header = body.subarray(0, LOG_HEADER_BYTES);
  const { indexBytes, dataBytes } = decodeLogHeader(header, what);
  if (body.length !== LOG_HEADER_BYTES + indexBytes + dataBytes) throw damaged('its length is another than it says');
  const index = openIndex(repository, keys, key, body);
  const sealed = body.subarray(LOG_HEADER_BYTES + indexBytes);
  const plain = openOnce(deriveKey(keys.data, repository.parameters.id, 'log data', key), ZERO_NONCE, sealed, header);
  if (plain === undefined) throw damaged('it does not open');
  const length = index.to - index.from;
  // Most are one frame, and its content is all of it.
  let bytes: Uint8Array | undefined;
  const frames: LogFrame[] = [];
  let at = 0;
  for (const frame of decodeLogData(plain, what)) {
    const piece = decompressFrame(frame, LOG_PIECE_BYTES);
    if (piece === undefined || at + piece.length > length) throw damaged('it does not decompress');
    if (bytes === undefined && piece.length === length) bytes = piece;
    else (bytes ??= new Uint8Array(length)).set(piece, at);
    frames.push({ length: piece.length, bytes: frame });
    at += piece.length;
  }
  bytes ??= new Uint8Array(length);
  if (at !== length || !bytesEqual(repository.keyring.ids.id(bytes), index.digest))
    throw damaged('its content is another than it says');
  return { index, bytes, frames };
}

function openIndex({ parameters }: OpenedRepository, keys: EpochKeys, key: string, object: Uint8Array): LogIndex {
  const what = `The log object ${key}`;
  const header = object.subarray(0, LOG_HEADER_BYTES);
  const { indexBytes } = decodeLogHeader(header, what);
  const sealed = object.subarray(LOG_HEADER_BYTES, LOG_HEADER_BYTES + indexBytes);
  const frame = openOnce(deriveKey(keys.metadata, parameters.id, 'log index', key), ZERO_NONCE, sealed, header);
  const plain = frame === undefined ? undefined : decompressFrame(frame, LOG_INDEX_BYTES_MAX);
  if (plain === undefined) throw new Fault('FORMAT_DAMAGED', `${what} does not open: it was changed, or is cut short`);
  return decodeLogIndex(plain, what);
}

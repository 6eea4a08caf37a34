// Presence and places, as bytes: these questions come by the hundred thousand.
//
//   presence   asks with ids (32 each); is answered with a bit for each (least significant first), then block id (16), u32 offset and
//              u32 length of each that is known
//   places     asks with block ids (16 each); is answered with a record of 79 bytes for each, all zero where a block is not to be read

import { Fault } from '../base/faults.ts';

export const CHUNK_ID_BYTES = 32;
export const CHUNK_PLACE_BYTES = 24;
export const BLOCK_ID_BYTES = 16;
export const BLOCK_PLACE_BYTES = 79;

/** `found[i]` is 1 or 0; of a found one `places[i * CHUNK_PLACE_BYTES]` is filled. */
export type Presence = { readonly found: Uint8Array; readonly places: Uint8Array };

export function encodePresence({ found, places }: Presence, count: number): Uint8Array {
  let hits = 0;
  for (let i = 0; i < count; i++) hits += found[i]!;
  const bits = Math.ceil(count / 8);
  const bytes = new Uint8Array(bits + hits * CHUNK_PLACE_BYTES);
  for (let i = 0, at = bits; i < count; i++) {
    if (found[i] !== 1) continue;
    bytes[i >> 3]! |= 1 << (i & 7);
    bytes.set(places.subarray(i * CHUNK_PLACE_BYTES, (i + 1) * CHUNK_PLACE_BYTES), at);
    at += CHUNK_PLACE_BYTES;
  }
  return bytes;
}

/** SERVICE_CORRUPT_ANSWER when it is not the answer to `count` ids. */
export function decodePresence(bytes: Uint8Array, count: number): Presence {
  const found = new Uint8Array(count);
  const places = new Uint8Array(count * CHUNK_PLACE_BYTES);
  let at = Math.ceil(count / 8);
  for (let i = 0; i < count; i++) {
    if (((bytes[i >> 3] ?? 0) & (1 << (i & 7))) === 0) continue;
    found[i] = 1;
    places.set(bytes.subarray(at, at + CHUNK_PLACE_BYTES), i * CHUNK_PLACE_BYTES);
    at += CHUNK_PLACE_BYTES;
  }
  if (at !== bytes.length)
    throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${count} chunk ids has ${bytes.length} bytes, not ${at}`);
  return { found, places };
}

/** Where a block lies, and what opens it. */
export type WirePlace = {
  readonly pack: Uint8Array;
  readonly session: Uint8Array;
  readonly assetId: Uint8Array;
  readonly sealingCounter: Uint8Array;
  readonly kind: 'data' | 'metadata';
  readonly offset: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly codec: number;
};

export function encodePlaces(places: readonly (WirePlace | undefined)[]): Uint8Array {
  const bytes = new Uint8Array(places.length * BLOCK_PLACE_BYTES);
  const view = new DataView(bytes.buffer);
  places.forEach((place, i) => {
    if (place === undefined) return;
    const at = i * BLOCK_PLACE_BYTES;
    bytes[at] = 1;
    bytes.set(place.pack, at + 1);
    bytes.set(place.session, at + 33);
    bytes.set(place.assetId, at + 43);
    bytes.set(place.sealingCounter, at + 59);
    view.setUint32(at + 65, place.offset, true);
    view.setUint32(at + 69, place.storedLength, true);
    view.setUint32(at + 73, place.rawLength, true);
    bytes[at + 77] = place.codec;
    bytes[at + 78] = place.kind === 'data' ? 0 : 1;
  });
  return bytes;
}

/** SERVICE_CORRUPT_ANSWER when it is not the answer to `count` ids. */
export function decodePlaces(bytes: Uint8Array, count: number): (WirePlace | undefined)[] {
  if (bytes.length !== count * BLOCK_PLACE_BYTES)
    throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${count} block ids has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => {
    const at = i * BLOCK_PLACE_BYTES;
    if (bytes[at] !== 1) return undefined;
    return {
      pack: bytes.slice(at + 1, at + 33),
      session: bytes.slice(at + 33, at + 43),
      assetId: bytes.slice(at + 43, at + 59),
      sealingCounter: bytes.slice(at + 59, at + 65),
      offset: view.getUint32(at + 65, true),
      storedLength: view.getUint32(at + 69, true),
      rawLength: view.getUint32(at + 73, true),
      codec: bytes[at + 77]!,
      kind: bytes[at + 78] === 0 ? 'data' : 'metadata',
    } as const;
  });
}
